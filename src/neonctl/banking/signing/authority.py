"""By whose authority something is done: the documents given, checked against the registered keys (MOD-143 11.1).

The database checks all but the signatures again; what is refused here is refused before it is asked.

    INSTRUCTION_KEY_UNKNOWN    1  the key is not registered
    INSTRUCTION_KEY_REVOKED    1  it is, and revoked
    INSTRUCTION_KEY_NOT_VALID  1  it is, and its time has not come or is over
    INSTRUCTION_KEY_KIND       1  an officer's where the regulator's is needed, or the other way round
    INSTRUCTION_ALTERED        1  the signature is not its key's over these bytes
    OFFICERS_NOT_TWO           1  the same officer twice
    PAYLOADS_DIFFER            1  two officers signed different things
    and what ``signing.instruction`` lists
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from neonctl.banking.moments import show_moment
from neonctl.banking.signing.instruction import Instruction, check_asked, check_time, parse_instruction
from neonctl.banking.signing.jws import signed_by
from neonctl.errors import NeonctlError

if TYPE_CHECKING:
    from neonctl.banking.signing.claims import Action
    from neonctl.banking.signing.keys import PublicKey

KeyKind = Literal["officer", "regulator"]


@dataclass(frozen=True)
class TrustedKey:
    """A key as it is registered."""

    key_id: str
    name: str
    kind: KeyKind
    public: PublicKey
    valid_from: datetime
    valid_until: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class Document:
    """A file that was given, read and not yet believed."""

    name: str
    text: str


@dataclass(frozen=True)
class Authority:
    """Documents whose signatures hold and that allow what is asked. ``texts``: the compact JWS, as they are kept."""

    instruction: Instruction
    kind: KeyKind
    signers: tuple[str, ...]
    texts: tuple[str, ...]


def check_authority(
    documents: Sequence[Document],
    keys: Mapping[str, TrustedKey],
    *,
    kind: KeyKind,
    action: Action,
    asked: Mapping[str, object],
    now: datetime,
) -> Authority:
    """The regulator's one document or two officers' (``kind``), each of them believed.

    ``asked``: claims as they must be; ``now``: the database's clock. Raises what stands above.
    """
    read = [(document.name, *parse_instruction(document.text, name=document.name)) for document in documents]
    signers: list[TrustedKey] = []
    for name, jws, instruction in read:
        key = _key(keys, jws.key_id, kind, now, name)
        if not signed_by(jws, key.public):
            said = f"{name} is not what {key.name} signed: it was changed, or another key signed it"
            hint = "ask for it again, and over another way"
            raise NeonctlError("INSTRUCTION_ALTERED", said, hint=hint, details={"key_id": key.key_id})
        check_asked(instruction, action, asked, name=name)
        check_time(instruction, now, name=name)
        signers.append(key)
    if kind == "officer":
        _two(signers, [jws.payload for _, jws, _ in read])
    return Authority(read[0][2], kind, tuple(key.name for key in signers), tuple(jws.text for _, jws, _ in read))


def _key(keys: Mapping[str, TrustedKey], key_id: str, kind: KeyKind, now: datetime, name: str) -> TrustedKey:
    key = keys.get(key_id)
    details: dict[str, Any] = {"key_id": key_id[:64]}
    if key is None:
        said = f"{name} is signed by the key {key_id:.43}, which is not registered"
        raise NeonctlError("INSTRUCTION_KEY_UNKNOWN", said, hint=_KEYS, details=details)
    if key.revoked_at is not None:
        said = f"{name} is signed by a key of {key.name} that was revoked on {show_moment(key.revoked_at)}"
        raise NeonctlError("INSTRUCTION_KEY_REVOKED", said, hint=_KEYS, details=details)
    if now < key.valid_from or (key.valid_until is not None and now >= key.valid_until):
        end = "without end" if key.valid_until is None else f"until {show_moment(key.valid_until)}"
        said = f"{name} is signed by a key of {key.name} that is valid from {show_moment(key.valid_from)} {end}"
        raise NeonctlError("INSTRUCTION_KEY_NOT_VALID", said, hint=_KEYS, details=details)
    if key.kind != kind:
        said = f"{name} is signed by {key.name}, whose key is of kind {key.kind}: it takes one of kind {kind}"
        hint = "--instruction takes the regulator's, --emergency two officers'"
        raise NeonctlError("INSTRUCTION_KEY_KIND", said, hint=hint, details=details)
    return key


def _two(signers: Sequence[TrustedKey], payloads: Sequence[bytes]) -> None:
    if len({key.key_id for key in signers}) != 2 or len({key.name for key in signers}) != 2:
        said = f"it takes two different officers: signed by {', '.join(key.name for key in signers)}"
        raise NeonctlError("OFFICERS_NOT_TWO", said, hint="another officer signs the same: neonctl obr sign --same-as")
    if len(set(payloads)) != 1:
        said = "the two officers signed different things"
        raise NeonctlError("PAYLOADS_DIFFER", said, hint="the second one signs with: neonctl obr sign --same-as")


_KEYS = "`neonctl obr keys list` shows which keys are registered"
