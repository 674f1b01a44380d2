"""Keys whose signatures order a resolution, and the documents that were signed with them (MOD-143, 11.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE
from neonctl.banking.statement import Trace, row, rows

KeyKind = Literal["officer", "regulator"]
Standing = Literal["valid", "revoked", "expired", "not_yet_valid"]


@dataclass(frozen=True)
class NewKey:
    """A public key to register: a JWK of Ed25519 or P-256 with its required members only."""

    name: str
    kind: KeyKind
    public_jwk: Mapping[str, str]
    valid_from: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True)
class RegisteredKey:
    """A key as it was registered. ``authority``: BOOTSTRAP for the first two officers', else OFFICERS."""

    key_id: str
    authority: Literal["BOOTSTRAP", "OFFICERS"]
    registered_at: datetime
    replayed: bool


@dataclass(frozen=True)
class RevokedKey:
    """A key that is trusted no more; ``replayed``: it was revoked before."""

    key_id: str
    revoked_at: datetime
    replayed: bool


@dataclass(frozen=True)
class TrustedKey:
    """A key on record, and how it stands now by the database's clock."""

    key_id: str
    name: str
    kind: KeyKind
    algorithm: Literal["EdDSA", "ES256"]
    public_jwk: Mapping[str, str]
    valid_from: datetime
    valid_until: datetime | None
    authority: Literal["BOOTSTRAP", "OFFICERS"]
    registered_at: datetime
    registered_by: str
    revoked_at: datetime | None
    revoked_reason: str | None
    revoked_by: str | None
    standing: Standing


@dataclass(frozen=True)
class KeptInstruction:
    """A signed document to the byte, and what it stands behind: an event, a key's registration or its revocation."""

    instruction_id: UUID
    event_id: UUID | None
    registered_key_id: str | None
    revoked_key_id: str | None
    document_no: int
    action: str
    jti: str
    key_id: str
    document: str
    recorded_at: datetime


def register_key(
    conn: psycopg.Connection[TupleRow],
    key: NewKey,
    *,
    scope: str,
    reference: str,
    documents: Sequence[str] = (),
    trace: Trace = NO_TRACE,
) -> RegisteredKey:
    """Register a key: the first two officers' without documents, every other with two officers'.

    Raises ``NeonctlError`` OBR_OFFICER_ONLY, OBR_KEY_EXISTS, OBR_INSTRUCTION_*; ``UsageError`` OBR_KEY_INVALID.
    """
    parameters: dict[str, object] = {
        "name": key.name,
        "kind": key.kind,
        "public_jwk": json.dumps(dict(key.public_jwk)),
        "valid_from": key.valid_from,
        "valid_until": key.valid_until,
        "documents": list(documents),
        "scope": scope,
        "reference": reference,
        **trace.values(),
    }
    return row(conn, "resolution_keys", "register", RegisteredKey, parameters, doing="registering a key")


def revoke_key(
    conn: psycopg.Connection[TupleRow],
    key_id: str,
    *,
    reason: str,
    scope: str,
    reference: str,
    documents: Sequence[str],
    trace: Trace = NO_TRACE,
) -> RevokedKey:
    """Trust a key no more, by two officers' documents.

    Raises ``NeonctlError`` OBR_OFFICER_ONLY, OBR_KEY_UNKNOWN, OBR_LAST_OFFICERS, OBR_INSTRUCTION_*.
    """
    parameters: dict[str, object] = {
        "key_id": key_id,
        "reason": reason,
        "documents": list(documents),
        "scope": scope,
        "reference": reference,
        **trace.values(),
    }
    return row(conn, "resolution_keys", "revoke", RevokedKey, parameters, doing="revoking a key")


def list_keys(conn: psycopg.Connection[TupleRow]) -> list[TrustedKey]:
    """Every key that was ever registered, the oldest first."""
    return rows(conn, "resolution_keys", "list", TrustedKey, doing="reading the keys")


def read_instructions(conn: psycopg.Connection[TupleRow]) -> list[KeptInstruction]:
    """Every signed document that was acted upon, in the order in which it was kept."""
    return rows(conn, "resolution_keys", "instructions", KeptInstruction, doing="reading the kept instructions")
