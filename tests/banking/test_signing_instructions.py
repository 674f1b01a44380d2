"""Instructions: what is signed is what is read, and nothing about one can be changed, added or left out."""

from __future__ import annotations

import json
import string
from decimal import Decimal

import jwt
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from neonctl.banking.signing import keys
from neonctl.banking.signing.base64url import decoded, encoded
from neonctl.banking.signing.claims import TERMS, canonical_haircut, canonical_percent, parse_haircut, parse_percent
from neonctl.banking.signing.instruction import TYP, Instruction, check_asked, parse_instruction
from neonctl.banking.signing.jws import LARGEST, parse_compact, sign_compact, signed_by
from neonctl.errors import NeonctlError, UsageError

ED25519, P256, OTHER = (keys.signer_of(keys.generate(kind)) for kind in ("ed25519", "p256", "ed25519"))
SIGNERS = st.sampled_from([ED25519, P256])

_words = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x1FFF, exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200
)
_key_ids = st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43)
_seconds = st.integers(0, 4_102_444_800)
_terms = {
    "activate": st.fixed_dictionaries(
        {
            "haircut": st.integers(0, 10_000).map(lambda n: canonical_haircut(Decimal(n) / 10_000)),
            "de_minimis": st.integers(0, 10**17).map(lambda n: f"{Decimal(n) / 100:.2f}"),
            "equal_shares": st.booleans(),
        }
    ),
    "release": st.fixed_dictionaries({"percent": st.integers(1, 10_000).map(lambda n: f"{Decimal(n) / 100:.2f}")}),
    "unwind": st.fixed_dictionaries(
        {"permanent_haircut_sha256": st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex)}
    ),
    "rearm": st.just({}),
    "add-key": st.fixed_dictionaries(
        {
            "key_id": _key_ids,
            "key_name": _words,
            "key_kind": st.sampled_from(["officer", "regulator"]),
            "valid_from": _seconds,
            "valid_until": st.none() | _seconds,
        }
    ),
    "revoke-key": st.fixed_dictionaries({"key_id": _key_ids, "reason": _words}),
}


@st.composite
def instructions(draw):
    action = draw(st.sampled_from(sorted(_terms)))
    nbf = draw(_seconds)
    return Instruction(
        action=action,
        jurisdiction=draw(st.sampled_from(["NZ", "AU"])),
        scope=draw(st.sampled_from(["bank/prod", "bank/dev", "Bank_2.x-y/pr-17"])),
        reference=draw(_words),
        nbf=nbf,
        exp=nbf + draw(st.integers(1, 31 * 86_400)),
        jti=draw(st.uuids().map(str)),
        terms=draw(_terms[action]),
    )


INSTRUCTION = Instruction(
    action="activate",
    jurisdiction="NZ",
    scope="bank/dev",
    reference="RBNZ 2026/17",
    nbf=1_795_000_000,
    exp=1_795_086_400,
    jti="01a1fc82-f7d1-7b72-81d7-84ccb17d5982",
    terms={"haircut": "0.2500", "de_minimis": "0.00", "equal_shares": False},
)


def code(call, *arguments, **more) -> str:
    with pytest.raises(NeonctlError) as refused:
        call(*arguments, **more)
    return refused.value.code


def test_every_action_is_drawn():
    assert set(_terms) == set(TERMS)


@given(instructions(), SIGNERS)
def test_what_was_signed_is_read_and_holds_for_its_key_alone(instruction, signer):
    text = instruction.sign(signer)
    jws, read = parse_instruction(text + "\n", name="i.jws")
    assert read == instruction
    assert (jws.key_id, jws.payload) == (signer.public.key_id, rfc8785.dumps(instruction.claims))
    assert signed_by(jws, signer.public)
    assert not signed_by(jws, OTHER.public)
    assert jwt.api_jws.decode(text, signer.public.key, algorithms=["EdDSA", "ES256"]) == jws.payload


@given(instructions())
def test_two_officers_who_mean_the_same_sign_the_same(instruction):
    one, other = (parse_instruction(instruction.sign(signer), name="i")[0] for signer in (ED25519, P256))
    assert one.payload_sha256 == other.payload_sha256
    assert one.text != other.text


@given(instructions(), SIGNERS, st.data())
def test_no_character_can_be_changed(instruction, signer, data):
    text = instruction.sign(signer)
    at = data.draw(st.integers(0, len(text) - 1))
    to = data.draw(st.sampled_from([c for c in string.ascii_letters + string.digits + "-_.=+/" if c != text[at]]))
    try:
        jws, _ = parse_instruction(text[:at] + to + text[at + 1 :], name="i")
    except UsageError as refused:
        assert refused.code == "OBR_INSTRUCTION_INVALID"
    else:
        assert not signed_by(jws, signer.public)


@given(instructions(), instructions(), SIGNERS)
def test_no_claim_can_be_taken_from_another_instruction(mine, other, signer):
    protected, _, signature = mine.sign(signer).split(".")
    for claim in mine.claims:
        mixed = {**mine.claims, claim: other.claims.get(claim, "0.0000")}
        if mixed == mine.claims:
            continue
        forged = f"{protected}.{encoded(rfc8785.dumps(mixed))}.{signature}"
        assert not signed_by(parse_compact(forged), signer.public), claim


@given(st.sampled_from(sorted(_terms)), st.data())
def test_the_claims_are_exactly_those_of_the_action(action, data):
    instruction = data.draw(instructions().filter(lambda each: each.action == action))
    claims = instruction.claims
    left_out = data.draw(st.sampled_from(sorted(claims)))
    for wrong in ({k: v for k, v in claims.items() if k != left_out}, {**claims, "extra": "1"}):
        text = sign_compact(rfc8785.dumps(wrong), ED25519, typ=TYP)
        assert code(parse_instruction, text, name="i") == "OBR_INSTRUCTION_INVALID"


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        ("action", ["Activate", "", None, 1, "drill"]),
        ("jurisdiction", ["nz", "US", None]),
        ("scope", ["prod", "bank/", "/prod", "bank/prod/x", "bank/Prod", "bank\n/prod"]),
        ("reference", ["", "x" * 201, "a\nb", "a\x1b[2Jb", "a\u202eb", "a\u200bb", "a\x9bb", None, 5]),
        ("nbf", ["1795000000", -1, True, None, 10**12, 1_795_086_400]),
        ("exp", ["1795086400", 1_795_000_000, 1_795_000_000 + 32 * 86_400, None]),
        ("jti", ["", "short", "a b c d e f g h", None]),
        ("haircut", ["0.25", ".2500", "0.25000", "1.0001", "-0.2500", "2.5e-1", 0.25, 1, None, "\u0660.2500"]),
        ("de_minimis", ["0", "0.0", "-1.00", "1,000.00", "1e3", "01.00", 0, None, "0.000"]),
        ("equal_shares", [0, "false", None]),
    ],
)
def test_each_claim_has_one_form(claim, values):
    for value in values:
        payload = json.dumps({**INSTRUCTION.claims, claim: value}).encode()
        text = sign_compact(payload, ED25519, typ=TYP)
        assert code(parse_instruction, text, name="i") == "OBR_INSTRUCTION_INVALID", value


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256K"},
        {"alg": "Ed25519"},
        {"alg": "eddsa"},
        {"typ": "JWT"},
        {"typ": "obr-status+jws"},
        {"kid": 7},
        {"crit": ["exp"], "exp": 1},
        {"b64": True},
        {"b64": False, "crit": ["b64"]},
        {"jwk": ED25519.public.jwk},
        {"jku": "https://example.test/keys"},
        {"x5c": []},
        {"x5u": "https://example.test"},
        {"cty": "json"},
        {"zip": "DEF"},
    ],
)
def test_no_header_has_a_say(header):
    members = {"alg": "EdDSA", "kid": ED25519.public.key_id, "typ": TYP, **header}
    signing_input = f"{encoded(json.dumps(members).encode())}.{encoded(INSTRUCTION.payload)}"
    text = f"{signing_input}.{encoded(ED25519.sign(signing_input.encode()))}"
    assert code(parse_instruction, text, name="i") == "OBR_INSTRUCTION_INVALID"


def test_the_algorithm_is_the_keys_not_the_documents():
    """Signed by the P-256 key, but said to be EdDSA, and the other way round; also under a borrowed key id."""
    for signer, alg in ((P256, "EdDSA"), (ED25519, "ES256")):
        header = {"alg": alg, "kid": signer.public.key_id, "typ": TYP}
        signing_input = f"{encoded(json.dumps(header).encode())}.{encoded(INSTRUCTION.payload)}"
        jws = parse_compact(f"{signing_input}.{encoded(signer.sign(signing_input.encode()))}")
        assert not any(signed_by(jws, each.public) for each in (P256, ED25519))
    header = {"alg": "EdDSA", "kid": ED25519.public.key_id, "typ": TYP}
    signing_input = f"{encoded(json.dumps(header).encode())}.{encoded(INSTRUCTION.payload)}"
    assert not signed_by(
        parse_compact(f"{signing_input}.{encoded(OTHER.sign(signing_input.encode()))}"), ED25519.public
    )


def test_hmac_with_the_public_key_is_no_signature():
    """The oldest trick: the public key as the secret of an HMAC."""
    text = jwt.api_jws.encode(
        INSTRUCTION.payload,
        encoded(ED25519.public.key.public_bytes_raw()),
        algorithm="HS256",
        headers={"kid": ED25519.public.key_id, "typ": TYP},
    )
    assert code(parse_instruction, text, name="i") == "OBR_INSTRUCTION_INVALID"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"action":"activate","action":"rearm"}',
        b"[]",
        b'"text"',
        b"",
        b"{",
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":12345678901234567890}',
        b'{"a":"\\ud800"}',
        b"\xff\xfe",
        b'{"a":' * 2000,
    ],
)
def test_json_that_could_be_read_in_two_ways_is_refused(payload):
    assert code(parse_instruction, sign_compact(payload, ED25519, typ=TYP), name="i") == "OBR_INSTRUCTION_INVALID"


def test_a_member_that_stands_twice_is_refused_even_when_signed():
    text = INSTRUCTION.payload.decode().replace('"haircut":"0.2500"', '"haircut":"0.0100","haircut":"0.2500"')
    assert code(parse_instruction, sign_compact(text.encode(), ED25519, typ=TYP), name="i") == "OBR_INSTRUCTION_INVALID"
    header = f'{{"alg":"EdDSA","alg":"none","kid":"{ED25519.public.key_id}","typ":"{TYP}"}}'
    signing_input = f"{encoded(header.encode())}.{encoded(INSTRUCTION.payload)}"
    forged = f"{signing_input}.{encoded(ED25519.sign(signing_input.encode()))}"
    assert code(parse_instruction, forged, name="i") == "OBR_INSTRUCTION_INVALID"


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_rubbish_is_no_instruction(rubbish):
    assert code(parse_instruction, rubbish, name="i") == "OBR_INSTRUCTION_INVALID"


def test_form_is_exact():
    text = INSTRUCTION.sign(ED25519)
    for wrong in (text + "=", text + ".", "." + text, text.replace(".", "..", 1), text * 20, "x" * (LARGEST + 1)):
        assert code(parse_instruction, wrong, name="i") == "OBR_INSTRUCTION_INVALID"
    protected, body, signature = text.split(".")
    loose = signature[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[signature[-1]]
    assert decoded(signature)
    assert code(parse_instruction, f"{protected}.{body}.{loose}", name="i") == "OBR_INSTRUCTION_INVALID"


def test_it_must_allow_exactly_what_is_asked():
    asked = {"haircut": "0.2500", "de_minimis": "0.00", "scope": "bank/dev", "reference": "RBNZ 2026/17"}
    check_asked(INSTRUCTION, "activate", asked, name="i")
    assert code(check_asked, INSTRUCTION, "unwind", {}, name="i") == "OBR_INSTRUCTION_WRONG_ACTION"
    for claim, value in (("haircut", "0.2501"), ("de_minimis", "0.01"), ("scope", "bank/prod"), ("reference", "x")):
        with pytest.raises(NeonctlError) as refused:
            check_asked(INSTRUCTION, "activate", {**asked, claim: value}, name="i")
        assert (refused.value.code, refused.value.details["claim"]) == ("OBR_INSTRUCTION_MISMATCH", claim)


@given(st.integers(0, 10_000))
def test_a_haircut_has_one_form(tenthousandths):
    value = Decimal(tenthousandths) / 10_000
    for written in {f"{value:.4f}", f"{value.normalize():f}"}:
        assert canonical_haircut(parse_haircut(written)) == f"{value:.4f}"


def test_what_is_no_haircut_and_no_percentage():
    for text in ("", "25", "1.1", "-0.1", "0.25001", ".5", "0,25", "1e-1", " 0.1", "NaN", "0.\u0662"):
        assert code(parse_haircut, text) == "HAIRCUT_INVALID", text
    for text in ("", "0", "0.00", "100.01", "101", "-1", "1e1", "10%", "010", "1.001"):
        assert code(parse_percent, text) == "PERCENT_INVALID", text
    assert [canonical_percent(parse_percent(text)) for text in ("10", "12.5", "100", "0.01")] == [
        "10.00",
        "12.50",
        "100.00",
        "0.01",
    ]
