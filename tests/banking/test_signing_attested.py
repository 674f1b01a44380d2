"""Attested documents: whoever has the public key can check one, and nobody can change one."""

from __future__ import annotations

import hashlib
import json

import pytest
import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from neonctl.banking.signing import keys
from neonctl.banking.signing.attested import attest, attested_text, check_attested
from neonctl.banking.signing.base64url import decoded, encoded
from neonctl.errors import NeonctlError

SIGNER, OTHER = (keys.signer_of(keys.generate("p256")) for _ in range(2))
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_documents = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), _values, max_size=6).map(
    lambda each: {**each, "kind": "obr-status"}
)
DOCUMENT = {"kind": "obr-status", "resolution_state": "activated", "haircut_pct": "0.2500", "counts": {"events": 3}}


def refused(text, key=SIGNER.public) -> str:
    with pytest.raises(NeonctlError) as error:
        check_attested(text, key, name="status.json")
    return error.value.code


@given(_documents)
def test_a_document_comes_back_however_its_file_is_laid_out(document):
    whole = attest(document, SIGNER)
    for text in (attested_text(whole), json.dumps(whole), json.dumps(whole, sort_keys=True, indent=7)):
        assert check_attested(text, SIGNER.public, name="s").document == document
    assert refused(attested_text(whole), OTHER.public) == "ATTESTED_FOREIGN_KEY"


@given(_documents, st.data())
def test_no_member_can_be_changed_added_or_left_out(document, data):
    whole = attest(document, SIGNER)
    name = data.draw(st.sampled_from(sorted(document)))
    changed = data.draw(_values.filter(lambda value: rfc8785.dumps(value) != rfc8785.dumps(document[name])))
    for forged in (
        {**document, name: changed},
        {**document, "\N{SNOWMAN}more": 1},
        {key: value for key, value in document.items() if key != name},
    ):
        assert refused(json.dumps({**whole, "document": forged})) == "ATTESTED_ALTERED"


def test_it_can_be_checked_by_the_standards_alone():
    """By cryptography and RFC 8785, as the guide says; nothing of ours but the file."""
    file = json.loads(attested_text(attest(DOCUMENT, SIGNER)))
    header, middle, signature = file["signature"].split(".")
    assert middle == ""
    assert json.loads(decoded(header)) == {"alg": "ES256", "kid": SIGNER.public.key_id, "typ": "obr-status+jws"}
    raw = decoded(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    signed = f"{header}.{encoded(rfc8785.dumps(file['document']))}".encode()
    assert isinstance(SIGNER.public.key, ec.EllipticCurvePublicKey)
    SIGNER.public.key.verify(der, signed, ec.ECDSA(hashes.SHA256()))


def test_signatures_of_the_next_document_are_no_help():
    one, two = attest(DOCUMENT, SIGNER), attest({**DOCUMENT, "resolution_state": "resolved"}, SIGNER)
    assert refused(json.dumps({**one, "signature": two["signature"]})) == "ATTESTED_ALTERED"
    # A manifest's signature is none of a status, even over the same bytes.
    export = attest({**DOCUMENT, "kind": "obr-export"}, SIGNER)
    assert refused(json.dumps({**export, "document": DOCUMENT})) == "ATTESTED_ALTERED"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema_version":1,"document":{},"key_id":"k"}',
        '{"schema_version":1,"document":[],"key_id":"k","signature":"a..b"}',
        '{"schema_version":2,"document":{},"key_id":"k","signature":"a..b"}',
        '{"schema_version":1,"document":{},"document":{},"key_id":"k","signature":"a..b"}',
        '{"schema_version":1,"document":{"a":1.5},"key_id":"k","signature":"a..b"}',
        '{"schema_version":1,"document":{},"key_id":"k","signature":"a.b.c"}',
        '{"schema_version":1,"document":{},"key_id":"k","signature":"a..b..c"}',
        '{"schema_version":1,"document":{"a":1},"key_id":"k","signature":"!..!"}',
    ],
)
def test_what_is_no_such_document(text):
    assert refused(text) == "ATTESTED_INVALID"


def test_a_kind_that_is_not_known_is_not_taken():
    whole = attest({**DOCUMENT, "kind": "obr-other"}, SIGNER)
    assert refused(json.dumps(whole)) == "ATTESTED_INVALID"


def test_a_status_is_signed_by_p256_only():
    with pytest.raises(NeonctlError) as error:
        attest(DOCUMENT, keys.signer_of(keys.generate("ed25519")))
    assert error.value.code == "STATUS_KEY_INVALID"


def test_the_key_of_the_file_has_no_say():
    """Somebody signs with his own key and writes the bank's id into the file, or into the header as well."""
    forged = attest(DOCUMENT, OTHER)
    assert refused(json.dumps({**forged, "key_id": SIGNER.public.key_id})) == "ATTESTED_FOREIGN_KEY"
    header = encoded(json.dumps({"alg": "ES256", "kid": SIGNER.public.key_id, "typ": "obr-status+jws"}).encode())
    signature = encoded(OTHER.sign(f"{header}.{encoded(rfc8785.dumps(DOCUMENT))}".encode()))
    whole = {**forged, "key_id": SIGNER.public.key_id, "signature": f"{header}..{signature}"}
    assert refused(json.dumps(whole)) == "ATTESTED_ALTERED"


def test_the_canonical_form_is_the_one_of_the_standard():
    """RFC 8785 3.2.2, without its fractions: those are never signed here."""
    text = '{"peach":"This sorting order","péché":"is wrong according to French","pêche":"but canonicalization MUST",'
    text += '"sin":"ignore locale","\\u20ac":"Euro Sign","\\r":"Carriage Return","1":"One"}'
    assert (
        hashlib.sha256(rfc8785.dumps(json.loads(text))).hexdigest()
        == hashlib.sha256(
            '{"\\r":"Carriage Return","1":"One","peach":"This sorting order","péché":"is wrong according to French",'
            '"pêche":"but canonicalization MUST","sin":"ignore locale","€":"Euro Sign"}'.encode()
        ).hexdigest()
    )
