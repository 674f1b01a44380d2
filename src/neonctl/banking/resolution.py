"""Open Bank Resolution: split all accounts, free tranches, end it, be ready again, compare (MOD-143, FR-633 to 636).

Each write is one statement and one transaction, as ``bank_core_resolution_officer`` over a connection in autocommit;
``reconcile`` as ``bank_core_app_user`` too. Documents are compact JWS whose signatures the caller has verified: the
database checks the rest and keeps them.

Every write raises ``NeonctlError`` OBR_STATE_TABLE_EMPTY, OBR_OFFICER_ONLY, IDEMPOTENCY_KEY_REUSED, OBR_INSTRUCTION_*,
and what its own line says. docs/concepts/resolution.md explains them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE, Currency, Jurisdiction
from neonctl.banking.statement import Trace, not_found, patiently, row, rows
from neonctl.errors import NeonctlError

State = Literal["normal", "pre_positioned", "activated", "resolved"]
EventType = Literal["OBR_ACTIVATED", "OBR_RELEASED", "OBR_UNWOUND", "OBR_REARMED", "OBR_PARTITION_RECONCILED"]
Authority = Literal["REGULATOR", "EMERGENCY"]


@dataclass(frozen=True)
class Order:
    """By whose word something is done: reference, documents (one of the regulator, or two of officers), the scope that
    they must name (``project/environment``), and the key under which the request is repeated.
    """

    reference: str
    documents: Sequence[str]
    scope: str
    idempotency_key: str


@dataclass(frozen=True)
class ResolutionState:
    """Where the bank stands. What belongs to an activation is None outside ``activated`` and ``resolved``."""

    jurisdiction: Jurisdiction
    resolution_state: State
    haircut_pct: Decimal | None
    de_minimis_amount: Decimal | None
    equal_shares: bool | None
    rbnz_instruction_ref: str | None
    activation_event_id: UUID | None
    quantified_at: datetime | None
    released_pct: Decimal | None
    activated_at: datetime | None
    activated_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    last_event_no: int
    last_trace_id: str | None
    last_correlation_id: str | None
    updated_at: datetime
    as_of: datetime
    reconciled_at: datetime | None


@dataclass(frozen=True)
class ResolutionEvent:
    """A row of the regulatory record. ``event_no`` has no gaps. Totals are sums over all accounts after the event, of
    an unwind before it; ``metadata["currencies"]`` has them by currency. ``replayed``: written by an earlier request.
    """

    event_id: UUID
    event_no: int
    event_type: EventType
    jurisdiction: Jurisdiction
    status: State
    haircut_pct: Decimal | None
    de_minimis_amount: Decimal | None
    equal_shares: bool | None
    released_pct: Decimal | None
    rbnz_instruction_ref: str | None
    authority: Authority | None
    quantified_at: datetime | None
    accounts_partitioned: int
    total_frozen_amount: Decimal
    total_available_amount: Decimal
    activated_by: str
    db_user: str
    idempotency_key: str
    request_hash: bytes
    trace_id: str | None
    correlation_id: str | None
    occurred_at: datetime
    metadata: Mapping[str, Any]
    replayed: bool

    @property
    def differences(self) -> int:
        """How many accounts a reconciliation found wrong; ``metadata["accounts"]`` names up to 100."""
        return int(self.metadata.get("differences", 0))


@dataclass(frozen=True)
class AccountSplit:
    """An account in the partition: now, and as it was split at activation (None: it was not there, or nothing is)."""

    account_id: UUID
    currency: Currency
    balance: Decimal
    partitioned: bool
    frozen_amount: Decimal
    available_amount: Decimal
    balance_at: Decimal | None
    frozen_at: Decimal | None
    available_at: Decimal | None


@dataclass(frozen=True)
class HolderSplit:
    """A holder's part at an activation. ``party_id`` None: the account had no holder."""

    holder_no: int
    party_id: UUID | None
    share_pct: Decimal
    balance_at: Decimal
    frozen_amount: Decimal
    available_amount: Decimal


def activate(
    conn: psycopg.Connection[TupleRow],
    order: Order,
    *,
    haircut: Decimal,
    de_minimis: Decimal = Decimal("0.00"),
    equal_shares: bool = False,
    trace: Trace = NO_TRACE,
) -> ResolutionEvent:
    """Split every customer account of the jurisdiction. ``haircut``: 0 to 1, four decimals.

    Raises ``NeonctlError`` ALREADY_ACTIVATED, OBR_NOT_PRE_POSITIONED, OBR_JURISDICTION_UNSUPPORTED, OBR_SHARES_NOT_100
    (``details["detail"]`` lists the accounts); ``UsageError`` OBR_REQUEST_INVALID.
    """
    terms = {"haircut": haircut, "de_minimis": de_minimis, "equal_shares": equal_shares}
    return _write(conn, "activate", order, trace, terms, "activating the resolution")


def release(
    conn: psycopg.Connection[TupleRow], order: Order, *, percent: Decimal, trace: Trace = NO_TRACE
) -> ResolutionEvent:
    """Free ``percent`` of what was frozen at activation. Raises ``NeonctlError`` OBR_NOT_ACTIVATED,
    OBR_RELEASE_EXCEEDS_FROZEN; ``UsageError`` OBR_REQUEST_INVALID.
    """
    return _write(conn, "release", order, trace, {"percent": percent}, "releasing a tranche")


def unwind(
    conn: psycopg.Connection[TupleRow], order: Order, *, permanent_haircut: str | None = None, trace: Trace = NO_TRACE
) -> ResolutionEvent:
    """End the resolution. ``permanent_haircut``: the confirmed file, JSON ``{"account_id": "12.34", …}``, to the byte
    whose SHA-256 the instruction names; those amounts are posted as credit losses.

    Raises ``NeonctlError`` OBR_NOT_ACTIVATED, OBR_WRITE_OFF_INVALID (``details["detail"]`` says which accounts).
    """
    terms = {"permanent_haircut": permanent_haircut}
    return _write(conn, "unwind", order, trace, terms, "unwinding the resolution")


def rearm(conn: psycopg.Connection[TupleRow], order: Order, *, trace: Trace = NO_TRACE) -> ResolutionEvent:
    """From resolved back to pre_positioned. Raises ``NeonctlError`` OBR_NOT_RESOLVED."""
    return _write(conn, "rearm", order, trace, {}, "re-arming")


def reconcile(conn: psycopg.Connection[TupleRow], *, trace: Trace = NO_TRACE) -> ResolutionEvent:
    """Compare every account with the evidence of its split, and put the answer on record.

    Differences are no error: ``differences`` counts them. Raises ``NeonctlError`` OBR_STATE_TABLE_EMPTY,
    OBR_NOT_PRE_POSITIONED.
    """
    doing = "reconciling the partition"
    with patiently(conn, doing):
        return row(conn, "resolution", "reconcile", ResolutionEvent, trace.values(), doing=doing)


def read_state(conn: psycopg.Connection[TupleRow]) -> ResolutionState:
    """Where the bank stands. Raises ``NeonctlError`` OBR_STATE_TABLE_EMPTY (AD-4)."""
    found = rows(conn, "resolution", "state", ResolutionState, doing="reading the resolution state")
    if not found:
        raise NeonctlError(
            "OBR_STATE_TABLE_EMPTY",
            "core.obr_resolution_state has no row",
            hint="restore it from a backup: no migration and no command removes it",
        )
    return found[0]


def read_events(
    conn: psycopg.Connection[TupleRow], *, after: int = 0, limit: int | None = None
) -> list[ResolutionEvent]:
    """The record after event number ``after``, in order; all of it without ``limit``."""
    parameters = {"after": after, "limit": limit}
    return rows(conn, "resolution", "events", ResolutionEvent, parameters, doing="reading the regulatory record")


def read_split(conn: psycopg.Connection[TupleRow], account_id: UUID) -> AccountSplit:
    """How an account stands in the partition. Raises ``NeonctlError`` ACCOUNT_NOT_FOUND."""
    parameters = {"account_id": account_id}
    found = rows(conn, "resolution", "split", AccountSplit, parameters, doing="reading an account's split")
    if not found:
        raise not_found("ACCOUNT_NOT_FOUND", "account", account_id)
    return found[0]


def read_holders(conn: psycopg.Connection[TupleRow], event_id: UUID, account_id: UUID) -> list[HolderSplit]:
    """The holders' parts of an account at an activation; they sum to the account's."""
    parameters = {"event_id": event_id, "account_id": account_id}
    return rows(conn, "resolution", "holders", HolderSplit, parameters, doing="reading the holders' parts")


def _write(
    conn: psycopg.Connection[TupleRow], name: str, order: Order, trace: Trace, terms: Mapping[str, object], doing: str
) -> ResolutionEvent:
    parameters: dict[str, object] = {
        "reference": order.reference,
        "documents": list(order.documents),
        "scope": order.scope,
        "idempotency_key": order.idempotency_key,
        **terms,
        **trace.values(),
    }
    with patiently(conn, doing):
        return row(conn, "resolution", name, ResolutionEvent, parameters, doing=doing)
