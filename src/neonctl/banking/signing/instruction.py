"""Instructions: what a regulator or two officers sign, so that a resolution is done (MOD-143 11.1).

The payload is JSON with exactly the claims of its action. Amounts are text in their one canonical form, so that two
people who mean the same sign the same; times are whole seconds of the epoch, as JWT has them (RFC 7519).

    OBR_INSTRUCTION_INVALID        64  not a JWS as it is accepted here, or not the claims of its action
    OBR_INSTRUCTION_WRONG_ACTION    1
    OBR_INSTRUCTION_MISMATCH        1  it allows something else than what was asked for
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from neonctl.banking.signing.claims import ACTIONS, COMMON, TERMS, Action, shown_claim
from neonctl.banking.signing.jws import Jws, parse_compact, sign_compact
from neonctl.banking.signing.strict_json import object_of
from neonctl.errors import NeonctlError, UsageError

if TYPE_CHECKING:
    from neonctl.banking.signing.keys import Signer

TYP: Final = "obr-instruction+jws"
LONGEST: Final = timedelta(days=31)
"""How long an instruction may be valid."""

_AS_SIGNED = "give the command what the document says, or have another one signed"


@dataclass(frozen=True)
class Instruction:
    """What is allowed, where, under which reference, and when. ``terms``: what the action needs beside that.

    ``scope``: ``project/environment``, so that what was signed for one is worth nothing in another.
    """

    action: Action
    jurisdiction: str
    scope: str
    reference: str
    nbf: int
    exp: int
    jti: str
    terms: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def claims(self) -> dict[str, Any]:
        """The payload as a JSON object."""
        return {**{name: getattr(self, name) for name in COMMON}, **self.terms}

    @property
    def payload(self) -> bytes:
        """The payload's one canonical text (RFC 8785)."""
        return rfc8785.dumps(self.claims)

    def sign(self, signer: Signer) -> str:
        """The instruction as a compact JWS. Raises ``UsageError`` OBR_INSTRUCTION_INVALID when it is none."""
        _checked(self.claims, "what is to be signed")
        return sign_compact(self.payload, signer, typ=TYP)


def parse_instruction(text: str, *, name: str) -> tuple[Jws, Instruction]:
    """The instruction in ``text``, the contents of the file ``name``; its signature is not looked at.

    Raises ``UsageError`` OBR_INSTRUCTION_INVALID.
    """
    try:
        jws = parse_compact(text.strip())
        claims = object_of(jws.payload)
    except ValueError as error:
        raise _invalid(f"{name} is no instruction: {error}") from None
    if jws.typ != TYP:
        raise _invalid(f"{name} is no instruction: it is a {jws.typ!r:.40}")
    return jws, _checked(claims, name)


def _checked(claims: Mapping[str, Any], name: str) -> Instruction:
    action = claims.get("action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise _invalid(f"{name}: `action` is none of {', '.join(ACTIONS)}")
    terms = TERMS[action]
    wanted = {*COMMON, *terms}
    if set(claims) != wanted:
        missing, more = sorted(wanted - set(claims)), len(set(claims) - wanted)
        said = f"{name}: an instruction to {action} has exactly the claims {', '.join(sorted(wanted))}"
        raise _invalid(said, details={"missing": missing, "unknown": more})
    for claim, sound in {**COMMON, **terms}.items():
        if not sound(claims[claim]):
            raise _invalid(f"{name}: `{claim}` is not in its canonical form", details={"claim": claim})
    if not 0 < claims["exp"] - claims["nbf"] <= LONGEST.total_seconds():
        raise _invalid(f"{name}: it must be valid for some time, at most {LONGEST.days} days")
    common = {claim: claims[claim] for claim in COMMON if claim != "action"}
    return Instruction(action=action, **common, terms={claim: claims[claim] for claim in terms})


def check_asked(instruction: Instruction, action: Action, asked: Mapping[str, object], *, name: str) -> None:
    """Refuse what allows something else than what is asked for: each of ``asked`` must be the claim of that name.

    Raises ``NeonctlError`` OBR_INSTRUCTION_WRONG_ACTION, OBR_INSTRUCTION_MISMATCH.
    """
    if instruction.action != action:
        said = f"{name} is for {instruction.action}, not for {action}"
        details: dict[str, object] = {"signed": instruction.action, "asked": action}
        raise NeonctlError("OBR_INSTRUCTION_WRONG_ACTION", said, hint=_AS_SIGNED, details=details)
    claims = instruction.claims
    for claim, value in asked.items():
        if claims[claim] != value:
            said = f"{name} says {claim} {shown_claim(claim, claims[claim])}, asked for is {shown_claim(claim, value)}"
            details = {"claim": claim, "signed": claims[claim], "asked": value}
            raise NeonctlError("OBR_INSTRUCTION_MISMATCH", said, hint=_AS_SIGNED, details=details)


def _invalid(message: str, details: Mapping[str, object] | None = None) -> UsageError:
    hint = "`neonctl obr sign` writes one; docs/concepts/signed-documents.md describes it"
    return UsageError("OBR_INSTRUCTION_INVALID", message, hint=hint, details=details)
