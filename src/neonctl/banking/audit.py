"""The bank's own audit record: in the database, in the transaction of what it is about (product.md 3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import psycopg
from psycopg import pq
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE
from neonctl.banking.failures import retrying
from neonctl.banking.statement import Trace, row, transaction
from neonctl.errors import NeonctlError

T = TypeVar("T")

Outcome = Literal["done", "refused", "failed"]


@dataclass(frozen=True)
class Act:
    """What somebody does to the bank, as its record names it: ``ledger.post`` to ``dev/bank_core``.

    ``details``: what JSON can hold, amounts as text; never a secret.
    """

    action: str
    target: str
    trace: Trace = NO_TRACE
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class _Recorded:
    audit_no: int


def record(
    conn: psycopg.Connection[TupleRow],
    act: Act,
    outcome: Outcome = "done",
    facts: Mapping[str, object] | None = None,
) -> int:
    """Write one record, into the transaction that is open, else into one of its own; its number.

    ``facts`` are added to the act's details. Raises ``UsageError`` VALUE_REFUSED.
    """
    parameters = {
        "action": act.action,
        "target": act.target,
        "outcome": outcome,
        "details": json.dumps({**act.details, **(facts or {})}, ensure_ascii=False, default=str),
        **act.trace.values(),
    }
    return row(conn, "audit", "record", _Recorded, parameters, doing="writing the audit record").audit_no


def audited(
    conn: psycopg.Connection[TupleRow],
    act: Act,
    work: Callable[[], T],
    *,
    facts: Callable[[T], Mapping[str, object]] | None = None,
    on_retry: Callable[[int], object] | None = None,
) -> T:
    """What ``work`` gives, done and recorded in one transaction, which is tried again as a whole (FR-430).

    ``facts`` of the result go into the record. What is refused is recorded in a transaction of its own, and raised.
    """
    doing = act.action.replace(".", " ")

    def attempt() -> T:
        with transaction(conn, doing):
            result = work()
            record(conn, act, facts=facts(result) if facts else None)
        return result

    try:
        return retrying(conn, attempt, on_retry=on_retry)
    except NeonctlError as error:
        _refused(conn, act, error)
        raise


def _refused(conn: psycopg.Connection[TupleRow], act: Act, error: NeonctlError) -> None:
    """On record, if the database still takes it: otherwise only where the platform's own audit log is."""
    if conn.closed or conn.info.transaction_status != pq.TransactionStatus.IDLE:
        return
    try:
        record(conn, act, "failed" if error.retryable else "refused", {"code": error.code})
    except NeonctlError:
        return
