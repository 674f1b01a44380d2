"""End-of-day snapshots: every account of a jurisdiction as it was at the cutoff (FR-431)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE, Currency, Jurisdiction
from neonctl.banking.statement import Trace, not_found, patiently, row, rows
from neonctl.errors import NeonctlError


@dataclass(frozen=True)
class TakenSnapshot:
    """A finished run. ``totals``: per currency the number of accounts and the sums, amounts as text.

    ``replayed``: it had been taken before.
    """

    jurisdiction: Jurisdiction
    snapshot_date: date
    cutoff_at: datetime
    accounts: int
    totals: Mapping[str, Mapping[str, Any]]
    taken_at: datetime
    replayed: bool


@dataclass(frozen=True)
class DueSnapshot:
    """A day whose cutoff has passed and that has no run yet."""

    jurisdiction: Jurisdiction
    snapshot_date: date
    cutoff_at: datetime


@dataclass(frozen=True)
class SnapshotRun:
    """A run as it is on record."""

    jurisdiction: Jurisdiction
    snapshot_date: date
    cutoff_at: datetime
    accounts: int
    totals: Mapping[str, Mapping[str, Any]]
    taken_at: datetime
    actor: str | None
    trace_id: str | None


@dataclass(frozen=True)
class AccountSnapshot:
    """One account's figures at a cutoff. ``log_seq``: its last row of the log by then."""

    snapshot_date: date
    account_id: UUID
    jurisdiction: Jurisdiction
    currency: Currency
    balance: Decimal
    available_balance: Decimal
    held: Decimal
    log_seq: int
    cutoff_at: datetime


@dataclass(frozen=True)
class _Passed:
    snapshot_date: date


def take_snapshot(
    conn: psycopg.Connection[TupleRow], jurisdiction: Jurisdiction, day: date, *, trace: Trace = NO_TRACE
) -> TakenSnapshot:
    """Record the figures of the cutoff of ``day``, however late; a second time the first answer.

    Raises ``NeonctlError`` SNAPSHOT_TOO_EARLY; ``RetryableError`` SNAPSHOT_NOT_READY while postings from before it run.
    """
    parameters = {"jurisdiction": jurisdiction, "snapshot_date": day, **trace.values()}
    with patiently(conn, "taking a snapshot"):
        return row(conn, "snapshots", "take", TakenSnapshot, parameters, doing="taking a snapshot")


def snapshots_due(conn: psycopg.Connection[TupleRow]) -> tuple[DueSnapshot, ...]:
    """What a scheduler has to take now, oldest first."""
    return tuple(rows(conn, "snapshots", "due", DueSnapshot, doing="asking for due snapshots"))


def last_passed(conn: psycopg.Connection[TupleRow], jurisdiction: Jurisdiction) -> date:
    """The last day whose cutoff has passed on that jurisdiction's wall clock."""
    parameters = {"jurisdiction": jurisdiction}
    return row(conn, "snapshots", "last_passed", _Passed, parameters, doing="reading the clock").snapshot_date


def read_run(conn: psycopg.Connection[TupleRow], jurisdiction: Jurisdiction, day: date | None = None) -> SnapshotRun:
    """The run of a day, or the last one. Raises ``NeonctlError`` SNAPSHOT_NOT_FOUND."""
    parameters = {"jurisdiction": jurisdiction, "snapshot_date": day}
    found = rows(conn, "snapshots", "run", SnapshotRun, parameters, doing="reading a snapshot run")
    if not found:
        raise NeonctlError(
            "SNAPSHOT_NOT_FOUND",
            f"{jurisdiction} has no snapshot" + (f" of {day}" if day else ""),
            hint="`neonctl snapshot take` takes it once the day's cutoff has passed",
        )
    return found[0]


def read_snapshot(conn: psycopg.Connection[TupleRow], account_id: UUID, day: date) -> AccountSnapshot:
    """One account's figures of a day. Raises ``NeonctlError`` SNAPSHOT_NOT_FOUND."""
    parameters = {"account_id": account_id, "snapshot_date": day}
    found = rows(conn, "snapshots", "account", AccountSnapshot, parameters, doing="reading a snapshot")
    if not found:
        raise not_found("SNAPSHOT_NOT_FOUND", f"snapshot of {day} of account", account_id)
    return found[0]
