"""Proof that the ledger is what was written: chains, journal, balances, holds, snapshots, seals (FR-427).

Several sessions look at one and the same instant, whatever is posted meanwhile. Only pg_catalog is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from neonctl.banking.chain import Fault
from neonctl.banking.statement import rows
from neonctl.banking.verification_seals import read_seals, seal_chain_faults
from neonctl.banking.verification_sessions import DOING, Connection, Door, Part, Progress, instant, looking, run_tasks
from neonctl.banking.verification_tasks import Plain, Scope, account_tasks, ledger_tasks

__all__ = ["Progress", "Scope", "Verification", "verify_ledger"]

JOBS: Final = 3
_MOST_FAULTS: Final = 50
_ORDER: Final = (
    "core.log_seals",
    "core.transaction_log",
    "core.hold_log",
    "core.log_seal_entries",
    "accounts.accounts",
)


@dataclass(frozen=True)
class Verification:
    """What was found. ``faults``: the first wrong row of each chain, transaction or snapshot, at most 50;
    ``more``: whether there are others.
    """

    as_of: datetime
    accounts: int
    log_rows: int
    hold_rows: int
    transactions: int
    snapshots: int
    seals: int
    last_seal: int | None
    faults: tuple[Fault, ...]
    more: bool

    @property
    def intact(self) -> bool:
        """Nothing is wrong."""
        return not self.faults


def verify_ledger(
    door: Door,
    scope: Scope | None = None,
    *,
    jobs: int = JOBS,
    progress: Callable[[Progress], object] | None = None,
) -> Verification:
    """Look at everything in ``scope`` (None: the whole ledger), in ``jobs`` sessions and one that holds the instant.

    Raises ``NeonctlError`` ACCOUNT_NOT_FOUND, SEAL_NOT_FOUND, and what ``failures.translate`` gives. What is wrong with
    the ledger is no error: it is in the result.
    """
    scope = scope or Scope()
    with door() as holder, looking(holder, None):
        as_of, snapshot = instant(holder)
        seals = read_seals(holder, scope)
        faults = [*_guards(holder), *seal_chain_faults(seals, scope)]
        tasks = (
            account_tasks(holder, scope.account, scope.since) if scope.account else ledger_tasks(holder, scope, seals)
        )
        parts = run_tasks(holder, door, snapshot, tasks, jobs=jobs, progress=progress)
    faults += [fault for _, found in parts for fault in found]
    if scope.account is None:
        faults += _trial_balance([part for part, _ in parts])
    hidden = sum(part.faults for part, _ in parts) > sum(len(found) for _, found in parts)

    def total(kind: str, *, items: bool = False) -> int:
        return sum(part.items if items else part.rows for part, _ in parts if part.kind == kind)

    return Verification(
        as_of=as_of,
        accounts=total("log", items=True),
        log_rows=total("log"),
        hold_rows=total("holds"),
        transactions=total("journal", items=True),
        snapshots=total("snapshot"),
        seals=len(seals),
        last_seal=seals[-1].seal_no if seals else (scope.since or None),
        faults=tuple(sorted(faults, key=_weight)[:_MOST_FAULTS]),
        more=hidden or len(faults) > _MOST_FAULTS,
    )


def _weight(fault: Fault) -> tuple[int, str, str]:
    """What says most comes first: the chains, then what they are the proof of."""
    return _ORDER.index(fault.table) if fault.table in _ORDER else len(_ORDER), fault.table, fault.row


def _guards(conn: Connection) -> list[Fault]:
    found = [each for name in ("objects", "keys") for each in rows(conn, "verify", name, Plain, doing=DOING)]
    return [Fault("removed", each.row, "guard", each.message) for each in found]


def _trial_balance(parts: Sequence[Part]) -> list[Fault]:
    sums = {"NZD": sum(part.nzd for part in parts), "AUD": sum(part.aud for part in parts)}
    return [
        Fault("balance", "accounts.accounts", currency, f"all balances in {currency} sum to {total}, not to 0")
        for currency, total in sums.items()
        if total != 0
    ]
