"""Seals over the chains of all accounts, and the anchor: a seal kept outside of the database (MOD-002)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE
from neonctl.banking.chain import seal_bytes
from neonctl.banking.moments import parse_moment, show_moment
from neonctl.banking.signing.strict_json import object_of
from neonctl.banking.statement import Trace, patiently, row
from neonctl.errors import UsageError

_KIND = "neonctl ledger seal"
_NUMBERS = ("seal_no", "accounts", "log_rows", "hold_rows")
_HASHES = ("previous_hash", "batch_hash", "seal_hash")


@dataclass(frozen=True)
class Seal:
    """One seal. ``accounts``: new ones and those that moved since the seal before; the rows are totals then."""

    seal_no: int
    previous_hash: bytes
    accounts: int
    log_rows: int
    hold_rows: int
    batch_hash: bytes
    seal_hash: bytes
    sealed_at: datetime

    def computed(self) -> bytes:
        """The hash that the seal must have."""
        return hashlib.sha256(
            seal_bytes(
                self.previous_hash,
                (self.seal_no, self.accounts, self.log_rows, self.hold_rows),
                self.sealed_at,
                self.batch_hash,
            )
        ).digest()


@dataclass(frozen=True)
class NewSeal(Seal):
    """A seal that was asked for; ``created`` False: nothing had moved, so it is the one before."""

    created: bool


@dataclass(frozen=True)
class _SealRow:
    seal_no: int | None
    previous_hash: bytes
    accounts: int
    log_rows: int
    hold_rows: int
    batch_hash: bytes
    seal_hash: bytes
    sealed_at: datetime
    created: bool


def seal_ledger(conn: psycopg.Connection[TupleRow], *, trace: Trace = NO_TRACE) -> NewSeal | None:
    """Seal every chain as it stands. None: there are no accounts yet. Raises what ``failures.translate`` gives."""
    with patiently(conn, "sealing the ledger"):
        found = row(conn, "seals", "seal", _SealRow, trace.values(), doing="sealing the ledger")
    return None if found.seal_no is None else NewSeal(**vars(found))


def anchor_text(seal: Seal) -> str:
    """What to keep outside of the database: JSON, one document."""
    return (
        json.dumps(
            {
                "kind": _KIND,
                "schema_version": 1,
                **{name: getattr(seal, name) for name in _NUMBERS},
                **{name: cast("bytes", getattr(seal, name)).hex() for name in _HASHES},
                "sealed_at": show_moment(seal.sealed_at),
            },
            indent=2,
        )
        + "\n"
    )


def parse_anchor(text: str) -> Seal:
    """The seal that ``anchor_text`` wrote.

    Raises ``UsageError`` ANCHOR_INVALID, also when the seal does not have the hash of its values.
    """
    try:
        seal = _parsed(object_of(text))
    except (ValueError, KeyError, TypeError, UsageError):
        seal = None
    if seal is None:
        raise _invalid("the file is not an exported seal")
    if seal.computed() != seal.seal_hash:
        raise _invalid("the file was changed: the seal in it does not have the hash of its values")
    return seal


def _parsed(found: dict[str, Any]) -> Seal | None:
    if found["kind"] != _KIND or found["schema_version"] != 1 or any(type(found[name]) is not int for name in _NUMBERS):
        return None
    return Seal(
        seal_no=found["seal_no"],
        previous_hash=bytes.fromhex(found["previous_hash"]),
        accounts=found["accounts"],
        log_rows=found["log_rows"],
        hold_rows=found["hold_rows"],
        batch_hash=bytes.fromhex(found["batch_hash"]),
        seal_hash=bytes.fromhex(found["seal_hash"]),
        sealed_at=parse_moment(found["sealed_at"]),
    )


def _invalid(message: str) -> UsageError:
    return UsageError("ANCHOR_INVALID", message, hint="`neonctl ledger seal --export FILE` writes one")
