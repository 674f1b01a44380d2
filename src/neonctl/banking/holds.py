"""Holds: money set aside until it is captured, released, or the hold expires (FR-429, FR-430)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE
from neonctl.banking.failures import retrying
from neonctl.banking.money import check_amount
from neonctl.banking.statement import KeptQuery, Trace, row, rows, transaction

DEFAULT_TTL = timedelta(hours=24)
_BATCH = 1000


@dataclass(frozen=True)
class CreatedHold:
    """The hold of a request. ``account_version``: the account's after it; ``replayed``: made under this key before."""

    hold_id: UUID
    account_version: int
    expires_at: datetime
    replayed: bool


@dataclass(frozen=True)
class ReleasedHold:
    """A hold that is over. ``released`` False: somebody had released it before; then when and why that was."""

    hold_id: UUID
    account_id: UUID
    amount: Decimal
    released_at: datetime
    release_reason: str
    released: bool


@dataclass(frozen=True)
class Hold:
    """A hold with what became of it. ``active``: it lowers what is available now."""

    hold_id: UUID
    account_id: UUID
    amount: Decimal
    payment_id: str | None
    created_at: datetime
    expires_at: datetime
    released_at: datetime | None
    release_reason: str | None
    active: bool


@dataclass(frozen=True)
class ExpiredHold:
    """A hold that the sweep released."""

    hold_id: UUID
    account_id: UUID
    amount: Decimal
    expires_at: datetime


class HoldWriter:
    """Holds over one connection, many of them: the cursor is kept. Not for several threads at once."""

    def __init__(self, conn: psycopg.Connection[TupleRow]) -> None:
        self._conn = conn
        self._query = KeptQuery(conn, "holds", "create", doing="creating a hold")

    def create(
        self,
        account_id: UUID,
        amount: Decimal,
        *,
        idempotency_key: str,
        ttl: timedelta = DEFAULT_TTL,
        payment_id: str | None = None,
        trace: Trace = NO_TRACE,
        on_retry: Callable[[int], object] | None = None,
    ) -> CreatedHold:
        """Set ``amount`` aside: never more than is available, whoever else is at it.

        Optimistic on the account's version, with three retries when it moved meanwhile. Raises ``RetryableError``
        CONCURRENT_MODIFICATION after those; ``NeonctlError`` INSUFFICIENT_FUNDS, ACCOUNT_NOT_FOUND,
        IDEMPOTENCY_KEY_REUSED, or what the account's standing forbids; ``UsageError`` AMOUNT_INVALID, HOLD_INVALID.
        """
        cents, trace_id, correlation_id = check_amount(amount), trace.trace_id, trace.correlation_id
        values = (account_id, cents, idempotency_key, ttl, payment_id, trace_id, correlation_id)
        return retrying(self._conn, lambda: CreatedHold(*self._query.rows(*values)[0]), on_retry=on_retry)


def create_hold(
    conn: psycopg.Connection[TupleRow],
    account_id: UUID,
    amount: Decimal,
    *,
    idempotency_key: str,
    ttl: timedelta = DEFAULT_TTL,
    payment_id: str | None = None,
    trace: Trace = NO_TRACE,
    on_retry: Callable[[int], object] | None = None,
) -> CreatedHold:
    """``HoldWriter.create`` for a single hold. For many, keep a ``HoldWriter``: a third less for this side to do."""
    return HoldWriter(conn).create(
        account_id,
        amount,
        idempotency_key=idempotency_key,
        ttl=ttl,
        payment_id=payment_id,
        trace=trace,
        on_retry=on_retry,
    )


def release_hold(
    conn: psycopg.Connection[TupleRow],
    hold_id: UUID,
    reason: str,
    *,
    trace: Trace = NO_TRACE,
    on_retry: Callable[[int], object] | None = None,
) -> ReleasedHold:
    """Give back what a hold set aside: once. ``reason``: upper case letters and underscores.

    Raises ``NeonctlError`` HOLD_NOT_FOUND; ``UsageError`` HOLD_INVALID; ``RetryableError`` CONCURRENT_MODIFICATION.
    """
    parameters = {"hold_id": hold_id, "reason": reason, **trace.values()}

    def attempt() -> ReleasedHold:
        return row(conn, "holds", "release", ReleasedHold, parameters, doing="releasing a hold")

    return retrying(conn, attempt, on_retry=on_retry)


def list_holds(
    conn: psycopg.Connection[TupleRow], account_id: UUID | None = None, *, ended: bool = False, limit: int = 1000
) -> tuple[Hold, ...]:
    """Holds, newest first: the active ones, with ``ended`` the others as well; of one account or of all."""
    parameters = {"account_id": account_id, "ended": ended, "limit": limit}
    return tuple(rows(conn, "holds", "list", Hold, parameters, doing="listing holds"))


def sweep_holds(
    conn: psycopg.Connection[TupleRow],
    *,
    batch: int = _BATCH,
    record: Callable[[Sequence[ExpiredHold]], object] | None = None,
) -> Iterator[tuple[ExpiredHold, ...]]:
    """Release what has expired, batch by batch, each a transaction of its own; gives each batch when it is done.

    ``record`` is called inside a batch's transaction. Book-keeping only: an expired hold counts nowhere, swept or not.
    Raises ``RetryableError`` CONCURRENT_MODIFICATION.
    """

    def attempt() -> list[ExpiredHold]:
        with transaction(conn, "sweeping holds"):
            found = rows(conn, "holds", "sweep", ExpiredHold, {"limit": batch}, doing="sweeping holds")
            if found and record is not None:
                record(found)
        return found

    while True:
        swept = retrying(conn, attempt)
        if swept:
            yield tuple(swept)
        if len(swept) < batch:
            return
