"""By whose authority: which documents are believed, and the code of each that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from neonctl.banking.signing import keys
from neonctl.banking.signing.authority import Document, VerifyingKey, check_authority
from neonctl.banking.signing.instruction import Instruction
from neonctl.errors import NeonctlError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RBNZ, ANNA, BEN, STRANGER = (keys.signer_of(keys.generate(kind)) for kind in ("p256", "ed25519", "p256", "ed25519"))
INSTRUCTION = Instruction(
    action="activate",
    jurisdiction="NZ",
    scope="bank/dev",
    reference="RBNZ 2026/17",
    nbf=int((NOW - timedelta(hours=1)).timestamp()),
    exp=int((NOW + timedelta(hours=1)).timestamp()),
    jti="01a1fc82-f7d1-7b72-81d7-84ccb17d5982",
    terms={"haircut": "0.2500", "de_minimis": "0.00", "equal_shares": False},
)
ASKED = {"haircut": "0.2500", "de_minimis": "0.00", "scope": "bank/dev", "reference": "RBNZ 2026/17"}


def trusted(signer, name, kind) -> VerifyingKey:
    return VerifyingKey(signer.public.key_id, name, kind, signer.public)


REGISTERED = [trusted(RBNZ, "RBNZ", "regulator"), trusted(ANNA, "Anna", "officer"), trusted(BEN, "Ben", "officer")]
KEYS = {key.key_id: key for key in REGISTERED}


def check(*texts, kind="regulator", known=KEYS, action="activate", asked=ASKED):
    documents = [Document(f"{number}.jws", text) for number, text in enumerate(texts)]
    return check_authority(documents, known, kind=kind, action=action, asked=asked)


def code(*texts, **more) -> str:
    with pytest.raises(NeonctlError) as refused:
        check(*texts, **more)
    return refused.value.code


def with_key(signer, **changes):
    return {**KEYS, signer.public.key_id: replace(KEYS[signer.public.key_id], **changes)}


def test_the_regulator_alone_or_two_officers():
    text = INSTRUCTION.sign(RBNZ)
    found = check(text)
    assert (found.signers, found.texts, found.instruction) == (("RBNZ",), (text,), INSTRUCTION)
    found = check(INSTRUCTION.sign(ANNA), INSTRUCTION.sign(BEN), kind="officer")
    assert found.signers == ("Anna", "Ben")


def test_an_officer_is_no_regulator_and_the_regulator_no_officer():
    assert code(INSTRUCTION.sign(ANNA)) == "OBR_INSTRUCTION_KEY_WRONG_KIND"
    assert code(INSTRUCTION.sign(ANNA), INSTRUCTION.sign(RBNZ), kind="officer") == "OBR_INSTRUCTION_KEY_WRONG_KIND"


def test_two_officers_are_two_who_signed_the_same():
    assert code(INSTRUCTION.sign(ANNA), INSTRUCTION.sign(ANNA), kind="officer") == "OBR_INSTRUCTION_SAME_OFFICER"
    other = replace(INSTRUCTION, jti="another-number")
    assert code(INSTRUCTION.sign(ANNA), other.sign(BEN), kind="officer") == "OBR_INSTRUCTION_PAYLOADS_DIFFER"
    assert code(INSTRUCTION.sign(ANNA), kind="officer") == "OBR_INSTRUCTION_SAME_OFFICER"
    spare = keys.signer_of(keys.generate("ed25519"))
    both = {**KEYS, spare.public.key_id: trusted(spare, "Anna", "officer")}
    assert (
        code(INSTRUCTION.sign(ANNA), INSTRUCTION.sign(spare), kind="officer", known=both)
        == "OBR_INSTRUCTION_SAME_OFFICER"
    )


def test_a_key_must_be_registered():
    assert code(INSTRUCTION.sign(STRANGER)) == "OBR_INSTRUCTION_KEY_UNKNOWN"


def test_a_signature_that_is_not_its_keys():
    protected, body, _ = INSTRUCTION.sign(RBNZ).split(".")
    other = replace(INSTRUCTION, terms={**INSTRUCTION.terms, "haircut": "0.1000"}).sign(RBNZ)
    assert code(f"{protected}.{body}.{other.split('.')[2]}") == "OBR_INSTRUCTION_ALTERED"
    # Somebody registered under another's id: the key that is registered decides.
    assert code(INSTRUCTION.sign(RBNZ), known=with_key(RBNZ, public=BEN.public)) == "OBR_INSTRUCTION_ALTERED"


def test_action_and_terms_are_those_of_the_document():
    text = INSTRUCTION.sign(RBNZ)
    assert code(text, action="unwind", asked={}) == "OBR_INSTRUCTION_WRONG_ACTION"
    for claim, value in (("haircut", "0.3000"), ("scope", "bank/prod"), ("reference", "x"), ("de_minimis", "5.00")):
        assert code(text, asked={**ASKED, claim: value}) == "OBR_INSTRUCTION_MISMATCH"


def test_the_signature_is_looked_at_before_what_is_said():
    """An altered document is told to be altered, whatever else is wrong with it."""
    late = replace(INSTRUCTION, exp=INSTRUCTION.nbf + 1, action="rearm", terms={})
    protected, body, _ = late.sign(RBNZ).split(".")
    assert code(f"{protected}.{body}.{INSTRUCTION.sign(RBNZ).split('.')[2]}") == "OBR_INSTRUCTION_ALTERED"
