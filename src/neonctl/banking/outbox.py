"""The transactional outbox: events that are as true as what they tell of, because they were written with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.statement import row, rows, transaction

SOURCE = "bank.core"
State = Literal["pending", "published", "dead", "all"]


@dataclass(frozen=True)
class Event:
    """One event to publish. Those of one ``event_no`` belong to one row, in the order of ``n``.

    ``event_id`` stays the same however often it is published: by it consumers tell a repetition.
    """

    event_no: int
    n: int
    event_id: str
    event_type: str
    payload: Mapping[str, Any]
    trace_id: str | None
    correlation_id: str | None
    created_at: datetime
    attempts: int
    pack: int | None = None  # with which others it must be in one call

    @property
    def detail(self) -> dict[str, Any]:
        """What is published."""
        return {"event_id": self.event_id, **self.payload}

    @property
    def accounts(self) -> frozenset[str]:
        """Whose order it keeps."""
        legs = cast("Iterable[Mapping[str, str]]", self.payload.get("legs", ()))
        one = self.payload.get("account_id")
        return frozenset([*(leg["account_id"] for leg in legs), *([one] if one else [])])


@dataclass(frozen=True)
class OutboxRow:
    """A row of the outbox, as people look at it."""

    event_no: int
    event_type: str
    aggregate_id: UUID
    state: str
    attempts: int
    last_error: str | None
    trace_id: str | None
    correlation_id: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    published_at: datetime | None
    dead_at: datetime | None


@dataclass(frozen=True)
class _Count:
    n: int


@dataclass(frozen=True)
class _Failed:
    dead: bool


def read_outbox(conn: psycopg.Connection[TupleRow], *, limit: int) -> list[Event]:
    """What to publish next, of at most ``limit`` rows. In a transaction that stays open until they are marked: it
    keeps other relays out. Raises ``RetryableError`` OUTBOX_RELAY_BUSY.
    """
    return rows(conn, "outbox", "read", Event, {"limit": limit}, doing="reading the outbox")


def mark_published(conn: psycopg.Connection[TupleRow], event_nos: Sequence[int]) -> None:
    """All events of these rows were accepted."""
    row(conn, "outbox", "mark", _Count, {"event_nos": list(event_nos)}, doing="marking events as published")


def mark_failed(
    conn: psycopg.Connection[TupleRow], event_no: int, error: str, *, max_attempts: int, backoff: timedelta
) -> bool:
    """An event of this row was refused. Tried again later, at growing distances; after ``max_attempts`` it is a dead
    letter: then True.
    """
    parameters = {"event_no": event_no, "error": error, "max_attempts": max_attempts, "backoff": backoff}
    return row(conn, "outbox", "fail", _Failed, parameters, doing="marking an event as failed").dead


def revive(conn: psycopg.Connection[TupleRow], event_nos: Sequence[int]) -> int:
    """Give dead letters another life; how many there were."""
    parameters = {"event_nos": list(event_nos)}
    return row(conn, "outbox", "revive", _Count, parameters, doing="reviving dead letters").n


def prune_outbox(
    conn: psycopg.Connection[TupleRow],
    *,
    keep: timedelta,
    batch: int = 10_000,
    record: Callable[[int], object] | None = None,
) -> int:
    """Delete rows that were published longer ago than ``keep``, batch by batch; how many.

    ``record`` is called inside a batch's transaction, with the number of its rows.
    """
    pruned, doing = 0, "pruning the outbox"
    while True:
        with transaction(conn, doing):
            found = row(conn, "outbox", "prune", _Count, {"keep": keep, "limit": batch}, doing=doing).n
            if found and record is not None:
                record(found)
        pruned += found
        if found < batch:
            return pruned


def list_outbox(conn: psycopg.Connection[TupleRow], state: State = "pending", *, limit: int = 100) -> list[OutboxRow]:
    """Rows in a state: the oldest first of those pending or dead, the newest first otherwise."""
    parameters = {"state": state, "limit": limit, "newest": state in ("published", "all")}
    return rows(conn, "outbox", "list", OutboxRow, parameters, doing="listing events")
