"""By whose authority something is done: the documents given, checked against the registered keys (MOD-143 11.1).

What the database cannot check, it being no cryptographer, and what is better said before it is asked. Time, validity
and revocation of keys and whether an instruction was used before are the database's to decide: it knows first whether
the same request was answered already, and that answer stays right when the instruction has expired since.

    OBR_INSTRUCTION_KEY_UNKNOWN      1  the key is not registered
    OBR_INSTRUCTION_KEY_WRONG_KIND   1  an officer's where the regulator's is needed, or the other way round
    OBR_INSTRUCTION_ALTERED          1  the signature is not its key's over these bytes
    OBR_INSTRUCTION_SAME_OFFICER     1  it takes two
    OBR_INSTRUCTION_PAYLOADS_DIFFER  1  two officers signed different things
    and what ``signing.instruction`` lists
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neonctl.banking.signing.instruction import Instruction, check_asked, parse_instruction
from neonctl.banking.signing.jws import signed_by
from neonctl.errors import NeonctlError

if TYPE_CHECKING:
    from neonctl.banking.signing.claims import Action
    from neonctl.banking.signing.keys import PublicKey

KeyKind = Literal["officer", "regulator"]


@dataclass(frozen=True)
class VerifyingKey:
    """A registered key, ready to verify with."""

    key_id: str
    name: str
    kind: KeyKind
    public: PublicKey


@dataclass(frozen=True)
class Document:
    """A file that was given, read and not yet believed."""

    name: str
    text: str


@dataclass(frozen=True)
class Authority:
    """Documents whose signatures hold and that allow what is asked. ``texts``: the compact JWS, as they are kept."""

    instruction: Instruction
    signers: tuple[str, ...]
    texts: tuple[str, ...]


def check_authority(
    documents: Sequence[Document],
    keys: Mapping[str, VerifyingKey],
    *,
    kind: KeyKind,
    action: Action,
    asked: Mapping[str, object],
) -> Authority:
    """The regulator's one document or two officers' (``kind``), each of them believed.

    ``asked``: claims as they must be. Raises what stands above.
    """
    read = [(document.name, *parse_instruction(document.text, name=document.name)) for document in documents]
    signers: list[VerifyingKey] = []
    for name, jws, instruction in read:
        key = _key(keys, jws.key_id, kind, name)
        if not signed_by(jws, key.public):
            said = f"{name} is not what {key.name} signed: it was changed, or another key signed it"
            hint = "ask for it again, over another way"
            raise NeonctlError("OBR_INSTRUCTION_ALTERED", said, hint=hint, details={"key_id": key.key_id})
        check_asked(instruction, action, asked, name=name)
        signers.append(key)
    if kind == "officer":
        _two(signers, [jws.payload for _, jws, _ in read])
    return Authority(read[0][2], tuple(key.name for key in signers), tuple(jws.text for _, jws, _ in read))


def _key(keys: Mapping[str, VerifyingKey], key_id: str, kind: KeyKind, name: str) -> VerifyingKey:
    key = keys.get(key_id)
    details = {"key_id": key_id[:64]}
    if key is None:
        said = f"{name} is signed by the key {key_id:.43}, which is not registered"
        hint = "`neonctl obr keys list` shows which keys are registered"
        raise NeonctlError("OBR_INSTRUCTION_KEY_UNKNOWN", said, hint=hint, details=details)
    if key.kind != kind:
        said = f"{name} is signed by {key.name}, whose key is of kind {key.kind}: it takes one of kind {kind}"
        hint = "--instruction takes the regulator's, --emergency two officers'"
        raise NeonctlError("OBR_INSTRUCTION_KEY_WRONG_KIND", said, hint=hint, details=details)
    return key


def _two(signers: Sequence[VerifyingKey], payloads: Sequence[bytes]) -> None:
    if len({key.key_id for key in signers}) != 2 or len({key.name for key in signers}) != 2:
        said = f"it takes two different officers: signed by {', '.join(key.name for key in signers)}"
        hint = "another officer signs the same: neonctl obr sign --same-as"
        raise NeonctlError("OBR_INSTRUCTION_SAME_OFFICER", said, hint=hint)
    if len(set(payloads)) != 1:
        said = "the two officers signed different things"
        hint = "the second one signs with: neonctl obr sign --same-as"
        raise NeonctlError("OBR_INSTRUCTION_PAYLOADS_DIFFER", said, hint=hint)
