"""What a drill found, and the one JSON document of it that is signed. Sums and counts only: nobody's account.

An account's id stands in it only where something is wrong with that account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, cast
from uuid import UUID

from neonctl.banking.moments import show_moment
from neonctl.banking.money import show

SCHEMA_VERSION: Final = 1
KIND: Final = "obr-drill"
MOST_ACCOUNTS: Final = 10  # ids named by one proof

Shares = Literal["recorded", "equal"]


@dataclass(frozen=True)
class Phase:
    """One part of the drill on the clock of the run: milliseconds since its start, and how long it took."""

    name: str
    title: str
    started_ms: int
    took_ms: int


@dataclass(frozen=True)
class Proof:
    """A statement that was checked. ``found``: what was seen instead, or how much was looked at.

    ``accounts``: some of those that are wrong.
    """

    name: str
    statement: str
    ok: bool
    found: str
    accounts: Sequence[UUID] = ()


@dataclass(frozen=True)
class Probe:
    """A posting that was tried on the copy while it was activated. ``ok`` None: no account to try it on."""

    name: str
    statement: str
    expected: str
    found: str
    ok: bool | None


@dataclass(frozen=True)
class Sums:
    """The customers' accounts of one currency as activation split them."""

    currency: str
    accounts: int
    joint: int
    not_positive: int
    balance: Decimal
    frozen: Decimal
    available: Decimal


@dataclass(frozen=True)
class DepositorView:
    """Deposits as the Depositor Compensation Scheme counts them: per depositor, NZD only, up to ``protected_limit``."""

    protected_limit: Decimal
    shares: str
    accounts: int
    depositors: int
    depositors_over_limit: int
    deposits: Decimal
    protected: Decimal
    unprotected: Decimal
    frozen: Decimal
    frozen_of_protected: Decimal
    frozen_of_unprotected: Decimal


@dataclass(frozen=True)
class Parameters:
    """What was instructed on the copy."""

    haircut: Decimal
    de_minimis: Decimal
    release_percent: Decimal | None
    shares: Shares
    authority: str


@dataclass(frozen=True)
class Target:
    """What was copied, and onto what."""

    environment: str
    database: str
    branch: str
    state: str
    schema_version: str
    compute_units: str


@dataclass(frozen=True)
class RealKeys:
    """The environment's own keys, which no drill has: how many officers and keys of the regulator may sign, and until
    when all of them. ``gaps``: what would be in the way on the day or within ``days``, in sentences.
    """

    officers: int
    regulators: int
    first_expires_at: datetime | None
    days: int
    gaps: Sequence[str]


@dataclass(frozen=True)
class Drill:
    """One drill that came to its end. ``failure``: code and message of what stopped it before."""

    drill_id: UUID
    target: Target
    parameters: Parameters
    started_at: datetime
    ended_at: datetime
    actor: str
    trace_id: str
    program: str
    rounding: Sequence[str]
    phases: Sequence[Phase] = ()
    activation_parts: Mapping[str, int] = field(default_factory=dict[str, int])  # milliseconds, by the database's clock
    sums: Sequence[Sums] = ()
    proofs: Sequence[Proof] = ()
    probes: Sequence[Probe] = ()
    depositors: DepositorView | None = None
    real_keys: RealKeys | None = None
    notes: Sequence[str] = ()
    failure: tuple[str, str] | None = None

    @property
    def passed(self) -> bool:
        """Everything that was to be shown was shown."""
        return (
            self.failure is None
            and bool(self.proofs)
            and all(proof.ok for proof in self.proofs)
            and all(probe.ok is not False for probe in self.probes)
        )

    def document(self) -> dict[str, Any]:
        """As JSON: amounts as text with two decimals, rates as text, durations as whole milliseconds, times in UTC."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "drill_id": str(self.drill_id),
            "outcome": "passed" if self.passed else "failed",
            "started_at": show_moment(self.started_at),
            "ended_at": show_moment(self.ended_at),
            "actor": self.actor,
            "trace_id": self.trace_id,
            "program": self.program,
            "target": dict(vars(self.target)),
            "parameters": _plain(self.parameters) | {"haircut": f"{self.parameters.haircut:.4f}"},
            "rounding": list(self.rounding),
            "phases": [_plain(phase) for phase in self.phases],
            "activation_parts_ms": dict(self.activation_parts),
            "sums": [_plain(sums) for sums in self.sums],
            "proofs": [_plain(proof) for proof in self.proofs],
            "probes": [_plain(probe) for probe in self.probes],
            "depositor_compensation": None if self.depositors is None else _plain(self.depositors),
            "real_keys": None if self.real_keys is None else _keys(self.real_keys),
            "notes": list(self.notes),
            "failure": None if self.failure is None else {"code": self.failure[0], "message": self.failure[1]},
        }


def _keys(keys: RealKeys) -> dict[str, Any]:
    expires = None if keys.first_expires_at is None else show_moment(keys.first_expires_at)
    return {**vars(keys), "first_expires_at": expires, "gaps": list(keys.gaps)}


def _plain(part: object) -> dict[str, Any]:
    fields: Mapping[str, object] = vars(part)
    return {key: _value(value) for key, value in fields.items()}


def _value(value: object) -> Any:
    if isinstance(value, Decimal):
        return show(value)
    if isinstance(value, (list, tuple)):
        return [str(each) for each in cast("Sequence[object]", value)[:MOST_ACCOUNTS]]
    return value
