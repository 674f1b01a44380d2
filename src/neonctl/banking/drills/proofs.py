"""What is proven of every account on the copy: each proof a statement, how much was looked at, and who is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.drills.report import DepositorView, Proof, Sums
from neonctl.banking.statement import patiently, rows

Connection = psycopg.Connection[TupleRow]

_DOING: Final = "proving the drill"
_STATEMENTS: Mapping[str, str] = MappingProxyType(
    {
        "population": "Every customer account of the jurisdiction takes part, and no other",
        "sums": "Frozen and available add up to the balance of each account, to the cent",
        "evidence": "The evidence of the split is what stands on each account, and of no other",
        "haircut": "What is frozen of each holder's part is the haircut of it, worked out again",
        "holders": "The holders' parts add up to each account, and are their shares",
        "cleared": "Nothing is frozen, set apart or marked on any account after the unwind",
        "balances": "Every balance is what it was when it was struck",
    }
)


@dataclass(frozen=True)
class Figures:
    """One currency's customers or the bank's own accounts. ``digest`` changes with any account's money or standing."""

    currency: str
    is_internal: bool
    accounts: int
    balance: Decimal
    available_balance: Decimal
    digest: Decimal


@dataclass(frozen=True)
class _Looked:
    name: str
    looked_at: int
    wrong: int
    accounts: Sequence[UUID]


@dataclass(frozen=True)
class _Guard:
    guard: str
    stands: bool


def read_figures(reader: Connection) -> Sequence[Figures]:
    """What activation and unwind must leave as it was."""
    with patiently(reader, _DOING):
        return rows(reader, "drill", "figures", Figures, doing=_DOING)


def read_sums(reader: Connection) -> Sequence[Sums]:
    """What is in the partition, by currency."""
    with patiently(reader, _DOING):
        return rows(reader, "drill", "sums", Sums, doing=_DOING)


def proven(reader: Connection, *names: str, parameters: Mapping[str, object] | None = None) -> list[Proof]:
    """The proofs of the named queries."""
    found: list[Proof] = []
    with patiently(reader, _DOING):
        for name in names:
            for each in rows(reader, "drill", name, _Looked, parameters or {}, doing=_DOING):
                seen = f"{each.looked_at:,} accounts"
                seen = f"{each.wrong:,} of {seen} are wrong" if each.wrong else seen
                found.append(Proof(each.name, _STATEMENTS[each.name], each.wrong == 0, seen, each.accounts))
    return found


def guards_stand(reader: Connection) -> Proof:
    """Whether the triggers that refuse are there and awake."""
    found = rows(reader, "drill", "guards", _Guard, doing=_DOING)
    missing = [each.guard for each in found if not each.stands]
    seen = f"{len(found)} guards" if not missing else f"missing or asleep: {', '.join(sorted(missing))}"
    return Proof("guards", "The guards of the gate and of the record are there and awake", not missing, seen)


def totals_agree(accounts: int, frozen: Decimal, available: Decimal, sums: Sequence[Sums]) -> Proof:
    """The activation's event against the live columns."""
    live = (sum(s.accounts for s in sums), sum(s.frozen for s in sums), sum(s.available for s in sums))
    statement = "The totals on record are those of the accounts"
    ok = live == (accounts, frozen, available)
    seen = f"{live[0]:,} accounts, frozen {live[1]:,.2f}, available {live[2]:,.2f}"
    return Proof(
        "totals", statement, ok, seen if ok else f"{seen}; on record {accounts:,}, {frozen:,.2f}, {available:,.2f}"
    )


def depositors_agree(view: DepositorView, sums: Sequence[Sums]) -> Proof:
    """Depositors' parts against the accounts: what of NZD is frozen is frozen of depositors."""
    frozen = sum((each.frozen for each in sums if each.currency == "NZD"), Decimal(0))
    whole = view.protected + view.unprotected == view.deposits and view.frozen == frozen
    parts = view.frozen_of_protected + view.frozen_of_unprotected == view.frozen
    statement = "The depositors' parts add up to what is deposited and frozen in NZD"
    return Proof("depositors", statement, whole and parts, f"{view.depositors:,} depositors")


def as_before(before: Sequence[Figures], after: Sequence[Figures]) -> Proof:
    """Every account's money and standing are what they were before the activation."""
    statement = "Every account's balance, holds, limit and standing are what they were before"
    if list(before) == list(after):
        return Proof("as_before", statement, True, f"{sum(each.accounts for each in after):,} accounts")
    named = [f"{each.currency}{', the bank itself' * each.is_internal}" for each in after if each not in before]
    return Proof("as_before", statement, False, f"changed: {'; '.join(named) or 'accounts are gone'}")
