"""Keys that sign: their files, their JSON form, their ids."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from neonctl.banking.signing import keys
from neonctl.banking.signing.base64url import encoded
from neonctl.errors import UsageError
from neonctl.secret import Secret

KINDS = ("ed25519", "p256")
PASSPHRASE = Secret("correct horse battery staple")


def code(call, *arguments, **more) -> str:
    with pytest.raises(UsageError) as refused:
        call(*arguments, **more)
    return refused.value.code


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_comes_back_from_each_of_its_forms(kind):
    private = keys.generate(kind)
    public = keys.signer_of(private).public
    assert keys.read_public(public.pem(), name="k.pub").key_id == public.key_id
    assert keys.public_from_jwk(public.jwk, name="k").key_id == public.key_id
    der = public.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert keys.public_from_der(der, name="k").key_id == public.key_id
    for passphrase in (None, PASSPHRASE):
        pem = keys.private_pem(private, passphrase)
        assert (b"ENCRYPTED" in pem) is (passphrase is not None)
        assert keys.signer_of(keys.read_private(pem, passphrase, name="k")).public.key_id == public.key_id


def test_the_id_is_the_thumbprint_of_rfc_7638():
    """RFC 8037 A.3 gives it for Ed25519."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert keys.public_from_jwk(jwk, name="k").key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_passphrase_is_needed_and_must_be_right():
    pem = keys.private_pem(keys.generate("ed25519"), PASSPHRASE)
    assert code(keys.read_private, pem, None, name="k") == "KEY_PASSPHRASE_MISSING"
    with pytest.raises(UsageError) as refused:
        keys.read_private(pem, Secret("another canary"), name="k")
    assert refused.value.code == "KEY_PASSPHRASE_WRONG"
    assert "canary" not in f"{refused.value!r}{refused.value.__cause__!r}{refused.value.details}"


def test_other_keys_do_not_sign_here():
    for private in (
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ed448.Ed448PrivateKey.generate(),
    ):
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert code(keys.read_private, pem, None, name="k") == "KEY_INVALID"
        assert code(keys.read_public, public, name="k") == "KEY_INVALID"


def test_a_private_key_is_not_taken_for_its_public_one_and_not_shown():
    pem = keys.private_pem(keys.generate("ed25519"), None)
    with pytest.raises(UsageError) as refused:
        keys.read_public(pem, name="k")
    assert "it is a private one" in (refused.value.hint or "")
    assert pem.decode().splitlines()[1] not in f"{refused.value!r}{refused.value.hint}"


@given(st.binary(max_size=200))
def test_rubbish_is_no_key(rubbish):
    for read in (keys.read_public, keys.public_from_der):
        assert code(read, rubbish, name="k") == "KEY_INVALID"
    locked = b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in rubbish  # hypothesis reads our constants
    wanted = "KEY_PASSPHRASE_MISSING" if locked else "KEY_INVALID"
    assert code(keys.read_private, rubbish, None, name="k") == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_a_json_web_key_has_its_members_and_no_others(kind):
    jwk = keys.signer_of(keys.generate(kind)).public.jwk
    changed = [{**jwk, "alg": "none"}, {**jwk, "d": "AAAA"}, {**jwk, "kty": "oct"}, {**jwk, "crv": "P-521"}, {}]
    changed += [{name: value for name, value in jwk.items() if name != missing} for missing in jwk]
    changed += [{**jwk, "x": jwk["x"] + "="}, {**jwk, "x": 7}, {**jwk, "x": jwk["x"][:-2]}]
    for each in changed:
        assert code(keys.public_from_jwk, each, name="k") == "KEY_INVALID", each


def test_a_point_that_is_not_on_the_curve_is_no_key():
    jwk = keys.signer_of(keys.generate("p256")).public.jwk
    assert code(keys.public_from_jwk, {**jwk, "y": jwk["x"]}, name="k") == "KEY_INVALID"


def test_a_key_that_anybody_can_sign_with_is_refused():
    """The point of order one verifies this signature over every message; its kin do for some of them."""
    identity = ed25519.Ed25519PublicKey.from_public_bytes(b"\1" + bytes(31))
    identity.verify(b"\1" + bytes(63), b"whatever is said")
    for weak in keys._WEAK:
        for sign_bit in (0, 0x80):
            point = weak[:-1] + bytes([weak[-1] | sign_bit])
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(point)}
            assert code(keys.public_from_jwk, jwk, name="k") == "KEY_INVALID"
    pem = identity.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert code(keys.read_public, pem, name="k") == "KEY_INVALID"


def test_two_keys_have_two_ids():
    assert len({keys.signer_of(keys.generate(kind)).public.key_id for kind in KINDS for _ in range(20)}) == 40
    assert isinstance(keys.generate("ed25519"), ed25519.Ed25519PrivateKey)
