"""Keys that may order a resolution, as the database has them registered (MOD-143 11.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from neonctl.banking.accounts import NO_TRACE
from neonctl.banking.signing.authority import KeyKind, TrustedKey
from neonctl.banking.signing.keys import PublicKey, public_from_jwk
from neonctl.banking.statement import Trace, row, rows


@dataclass(frozen=True)
class RegisteredKey:
    """A key on record. ``usable``: its time has come and is not over, and nobody revoked it."""

    key_id: str
    name: str
    kind: KeyKind
    algorithm: str
    public_jwk: Mapping[str, Any]
    valid_from: datetime
    valid_until: datetime | None
    authority: str
    registered_at: datetime
    registered_by: str
    revoked_at: datetime | None
    revocation_reason: str | None
    usable: bool


@dataclass(frozen=True)
class KeyRegistration:
    """``authority``: BOOTSTRAP for the first two officers, else OFFICERS. ``replayed``: it was registered before."""

    key_id: str
    authority: str
    registered_at: datetime
    replayed: bool


@dataclass(frozen=True)
class KeyRevocation:
    """``replayed``: it was revoked before."""

    key_id: str
    revoked_at: datetime
    replayed: bool


@dataclass(frozen=True)
class Warrant:
    """What a change of keys is done by: documents (none for the first two officers), their scope and reference."""

    documents: Sequence[str]
    scope: str
    reference: str | None

    def values(self) -> dict[str, object]:
        """As parameters of a statement."""
        return {"documents": list(self.documents), "scope": self.scope, "reference": self.reference}


def list_keys(conn: psycopg.Connection[TupleRow]) -> list[RegisteredKey]:
    """Every key, in the order of registration, revoked ones too."""
    return rows(conn, "resolution_keys", "list", RegisteredKey, doing="reading the registered keys")


def trusted_keys(conn: psycopg.Connection[TupleRow]) -> dict[str, TrustedKey]:
    """Every key by its id, ready to verify with.

    A row whose id is not its key's thumbprint is left out: nothing it "signed" is believed.
    """
    found: dict[str, TrustedKey] = {}
    for key in list_keys(conn):
        public = public_from_jwk(key.public_jwk, name=f"the key {key.key_id} of {key.name}")
        if public.key_id == key.key_id:
            found[key.key_id] = TrustedKey(key.key_id, key.name, key.kind, public)
    return found


def register_key(
    conn: psycopg.Connection[TupleRow],
    key: PublicKey,
    *,
    name: str,
    kind: KeyKind,
    valid_from: datetime | None,
    valid_until: datetime | None,
    warrant: Warrant,
    trace: Trace = NO_TRACE,
) -> KeyRegistration:
    """Register a key. Raises what ``failures.translate`` gives: OBR_KEY_EXISTS, OBR_INSTRUCTION_…"""
    parameters = {
        "name": name,
        "kind": kind,
        "public_jwk": Jsonb(key.jwk),
        "valid_from": valid_from,
        "valid_until": valid_until,
        **warrant.values(),
        **trace.values(),
    }
    return row(conn, "resolution_keys", "register", KeyRegistration, parameters, doing="registering a key")


def revoke_key(
    conn: psycopg.Connection[TupleRow], key_id: str, *, reason: str, warrant: Warrant, trace: Trace = NO_TRACE
) -> KeyRevocation:
    """Revoke a key. Raises what ``failures.translate`` gives: OBR_KEY_UNKNOWN, OBR_LAST_OFFICERS, OBR_INSTRUCTION_…"""
    parameters = {"key_id": key_id, "reason": reason, **warrant.values(), **trace.values()}
    return row(conn, "resolution_keys", "revoke", KeyRevocation, parameters, doing="revoking a key")
