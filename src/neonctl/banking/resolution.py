"""Open Bank Resolution (MOD-143): activate, release, unwind, rearm, reconcile. Each is one transaction of the database.

Documents are believed before they come here (``signing.authority``); the database checks all but their signatures.
Every function raises what ``failures.translate`` gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE
from neonctl.banking.haircuts import PermanentHaircuts
from neonctl.banking.resolution_record import ResolutionEvent
from neonctl.banking.statement import Trace, patiently, row, rows

E = TypeVar("E", bound=ResolutionEvent)


@dataclass(frozen=True)
class Order:
    """What every act needs: the authority's reference, the request's key, the signed documents, their scope."""

    reference: str
    idempotency_key: str
    documents: Sequence[str]
    scope: str

    def values(self) -> dict[str, object]:
        """As parameters of a statement."""
        return {**vars(self), "documents": list(self.documents)}


@dataclass(frozen=True)
class Done(ResolutionEvent):
    """The event of an act. ``replayed``: it had been done before, under the same key."""

    replayed: bool


@dataclass(frozen=True)
class Reconciled(ResolutionEvent):
    """The event of a reconciliation. ``differences``: accounts that are not as they should be, named in metadata."""

    differences: int


@dataclass(frozen=True)
class _Due:
    due: bool


def activate(
    conn: psycopg.Connection[TupleRow],
    haircut: Decimal,
    *,
    de_minimis: Decimal,
    equal_shares: bool,
    order: Order,
    trace: Trace = NO_TRACE,
) -> Done:
    """Split every customer account of the jurisdiction into frozen and available (FR-634)."""
    terms = {"haircut": haircut, "de_minimis": de_minimis, "equal_shares": equal_shares}
    return _event(conn, "activate", Done, {**terms, **order.values(), **trace.values()}, "activating the resolution")


def release(conn: psycopg.Connection[TupleRow], percent: Decimal, *, order: Order, trace: Trace = NO_TRACE) -> Done:
    """Free ``percent`` of what was frozen at activation."""
    parameters = {"percent": percent, **order.values(), **trace.values()}
    return _event(conn, "release", Done, parameters, "releasing a tranche")


def unwind(
    conn: psycopg.Connection[TupleRow], lost: PermanentHaircuts | None, *, order: Order, trace: Trace = NO_TRACE
) -> Done:
    """End the resolution; ``lost`` is posted as credit loss, everything else is available at once (FR-636, 11.5)."""
    parameters = {"permanent_haircut": None if lost is None else lost.text, **order.values(), **trace.values()}
    return _event(conn, "unwind", Done, parameters, "unwinding the resolution")


def rearm(conn: psycopg.Connection[TupleRow], *, order: Order, trace: Trace = NO_TRACE) -> Done:
    """Be ready again: resolved becomes pre-positioned."""
    return _event(conn, "rearm", Done, {**order.values(), **trace.values()}, "re-arming")


def reconcile(conn: psycopg.Connection[TupleRow], *, trace: Trace = NO_TRACE) -> Reconciled:
    """Compare every account with the evidence, and put the answer on record (OBR_PARTITION_RECONCILED)."""
    return _event(conn, "reconcile", Reconciled, trace.values(), "reconciling the partition")


def reconcile_due(conn: psycopg.Connection[TupleRow]) -> bool:
    """Whether today, on the jurisdiction's clock, nobody reconciled yet."""
    found = rows(conn, "resolution", "reconcile_due", _Due, doing="asking for the last reconciliation")
    return any(each.due for each in found)


def _event(
    conn: psycopg.Connection[TupleRow], name: str, kind: type[E], parameters: Mapping[str, object], doing: str
) -> E:
    with patiently(conn, doing):
        return row(conn, "resolution", ("done", name), kind, parameters, doing=doing)
