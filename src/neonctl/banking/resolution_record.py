"""Where the bank stands in a resolution, and the regulatory record of how it got there (REP-001, MOD-143 11.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.moments import show_moment
from neonctl.banking.money import show
from neonctl.banking.resolution import ResolutionEvent
from neonctl.banking.signing.claims import canonical_haircut
from neonctl.banking.statement import rows
from neonctl.errors import NeonctlError

_OFFICERS: Final = 2  # who must sign where the regulator does not
#: So early a key's end is warned of.
SOON: Final = timedelta(days=30)


@dataclass(frozen=True)
class ResolutionStatus:
    """The state, the last event, the last link of the record's chain, the last seal, the last drill and the partition's
    sums, all of one instant (``as_of``).

    ``officer_keys``, ``regulator_keys``: how many officers and keys of the regulator may sign now; ``keys_until``: when
    the first of these keys expires. ``first_keys``: the first two officers' keys are still to be registered, for which
    nobody signs.

    ``frozen``, ``available``: sums by currency over the accounts of the partition, amounts as text; empty unless
    activated.
    """

    jurisdiction: str
    resolution_state: str
    haircut_pct: Decimal | None
    de_minimis_amount: Decimal | None
    equal_shares: bool | None
    rbnz_instruction_ref: str | None
    quantified_at: datetime | None
    released_pct: Decimal | None
    activated_at: datetime | None
    activated_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    last_event_no: int | None
    last_event_id: UUID | None
    last_event_type: str | None
    last_event_at: datetime | None
    chain_no: int | None
    chain_hash: bytes | None
    seal_no: int | None
    seal_hash: bytes | None
    sealed_at: datetime | None
    drill_id: UUID | None
    drill_outcome: str | None
    drill_ended_at: datetime | None
    drill_report_sha256: bytes | None
    events: int
    officer_keys: int
    regulator_keys: int
    keys_until: datetime | None
    first_keys: bool
    accounts_partitioned: int
    frozen: Mapping[str, str]
    available: Mapping[str, str]
    as_of: datetime


@dataclass(frozen=True)
class _Due:
    due: bool


def read_status(conn: psycopg.Connection[TupleRow]) -> ResolutionStatus:
    """Where the bank stands. Raises ``NeonctlError`` OBR_STATE_TABLE_EMPTY (AD-4)."""
    found = rows(conn, "resolution_record", "status", ResolutionStatus, doing="reading the resolution state")
    if not found:
        raise NeonctlError(
            "OBR_STATE_TABLE_EMPTY",
            "core.obr_resolution_state has no row",
            hint="somebody took it away: restore it from a backup, and find out who",
        )
    return found[0]


def reconciliation_due(conn: psycopg.Connection[TupleRow]) -> bool:
    """Whether nobody reconciled yet today, on the jurisdiction's clock."""
    found = rows(conn, "resolution_record", "reconciliation_due", _Due, doing="asking for the last reconciliation")
    return any(each.due for each in found)


def status_document(status: ResolutionStatus, *, project: str, environment: str) -> dict[str, Any]:
    """The status as it is shown and signed: JSON without fractions, amounts as text."""
    facts = shown(status)
    last, chain, seal, drill, keys = (
        ("last_event_no", "last_event_id", "last_event_type", "last_event_at"),
        ("chain_no", "chain_hash"),
        ("seal_no", "seal_hash", "sealed_at"),
        ("drill_id", "drill_outcome", "drill_ended_at", "drill_report_sha256"),
        ("officer_keys", "regulator_keys", "keys_until"),
    )
    apart = {*last, *chain, *seal, *drill, *keys, "first_keys", "as_of"}
    return {
        "kind": "obr-status",
        "project": project,
        "environment": environment,
        **{name: value for name, value in facts.items() if name not in apart},
        "last_event": _part(facts, last),
        "chain": _part(facts, chain),
        "seal": _part(facts, seal),
        "last_drill": _part(facts, drill),
        "keys": _part(facts, keys),
        "as_of": facts["as_of"],
    }


def readiness_gaps(status: ResolutionStatus) -> list[str]:
    """What about the keys would be in the way on the day, or soon, in sentences."""
    gaps: list[str] = []
    if status.first_keys:
        gaps.append("the first two officers' keys are still to be registered: `neonctl obr keys add --kind officer`")
    elif status.officer_keys < _OFFICERS:
        gaps.append(
            f"{status.officer_keys} of {_OFFICERS} officers have a valid key: no key can be added or revoked,"
            " and in an emergency nobody can act for the regulator"
        )
    if not status.regulator_keys:
        gaps.append("no key of the regulator is valid: only the emergency way is left")
    if status.keys_until is not None and status.keys_until - status.as_of < SOON:
        gaps.append(f"a key expires at {show_moment(status.keys_until)}: register the next one before that")
    return gaps


def shown(record: ResolutionStatus | ResolutionEvent) -> dict[str, Any]:
    """A record as JSON has it: haircuts with four decimals, other amounts with two, moments RFC 3339, hashes in hex."""
    return {each.name: _shown(each.name, getattr(record, each.name)) for each in fields(record)}


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return canonical_haircut(value) if name == "haircut_pct" else show(value)
    if isinstance(value, datetime):
        return show_moment(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value


def _part(facts: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    return None if facts[names[0]] is None else {_PART_NAMES.get(name, name): facts[name] for name in names}


_PART_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "last_event_no": "event_no",
        "last_event_id": "event_id",
        "last_event_type": "event_type",
        "last_event_at": "occurred_at",
        "chain_no": "link_no",
        "chain_hash": "link_hash",
        "officer_keys": "officers",
        "regulator_keys": "regulators",
        "keys_until": "first_expires_at",
        "drill_outcome": "outcome",
        "drill_ended_at": "ended_at",
        "drill_report_sha256": "report_sha256",
    }
)
