"""What there is to verify, cut into parts of about the same size that sessions take one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from neonctl.banking.chain import ZERO_HASH, Fault, FaultKind
from neonctl.banking.resolution_chain import chain_faults
from neonctl.banking.seals import Seal
from neonctl.banking.statement import not_found, row, rows
from neonctl.banking.verification_faults import Heads, hold_fault, log_fault, transaction_fault
from neonctl.banking.verification_sessions import DOING, Connection, Part, Task
from neonctl.errors import NeonctlError

_PART_ROWS: Final = 100_000
_FIRST_ID, _LAST_ID = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Scope:
    """What to look at. ``account``: only this one. ``since``: only what came after this seal, which is then trusted.
    ``anchor``: a seal that was exported and must still be there.
    """

    account: UUID | None = None
    since: int = 0
    anchor: Seal | None = None


@dataclass(frozen=True)
class _Bound:
    bound: UUID


@dataclass(frozen=True)
class Plain:
    """A fault as a query tells it."""

    row: str
    kind: FaultKind
    message: str


@dataclass(frozen=True)
class _Run:
    jurisdiction: str
    snapshot_date: date
    cutoff_at: datetime
    accounts: int


@dataclass(frozen=True)
class _Accounts:
    accounts: int
    log_rows: int
    hold_rows: int
    nzd: Decimal
    aud: Decimal
    fine: bool
    keyed: bool
    others: list[UUID]


@dataclass(frozen=True)
class _Journal:
    transactions: int
    legs: int
    fine: bool


@dataclass(frozen=True)
class _Batch:
    entries: int
    heads_hash: bytes
    records: bytes | None
    faulty: list[UUID]

    @property
    def batch_hash(self) -> bytes:
        """What the seal must be over: the heads, and records of other tables where it has some."""
        return self.heads_hash if self.records is None else hashlib.sha256(self.heads_hash + self.records).digest()


def ledger_tasks(conn: Connection, scope: Scope, seals: Sequence[Seal]) -> list[Task]:
    """Everything there is to look at in the whole ledger, in parts that can be looked at side by side."""
    since = scope.since
    accounts = _ranges(conn, "account_bounds")
    if since:
        tasks = [_chains(kind, first, last, since) for kind in ("log", "holds") for first, last in accounts]
        tasks += [_held_sums(_FIRST_ID, _LAST_ID), _standings(_FIRST_ID, _LAST_ID)]
    else:
        tasks = [_accounts(first, last) for first, last in accounts]
    tasks += [_journal(first, last) for first, last in _transactions(conn, since)]
    tasks += [_plain("verify_holds", "hold_states", "accounts.pending_holds"), *_standing_tasks()]
    tasks += [
        _plain("verify_accounts", "reversals", "accounts.reversals"),
        _plain("verify_accounts", "seal_entries", "core.log_seal_entries"),
        _plain("verify_seals", "unsealed", "core.sealed_tables"),
        _resolution,
        _plain("verify_snapshots", "snapshot_strays", "accounts.daily_balance_snapshots"),
        _plain("verify_snapshots", "run_strays", "core.eod_runs"),
    ]
    found = rows(conn, "verify_snapshots", "snapshot_runs", _Run, {"since": since}, doing=DOING)
    tasks += [_snapshot(run) for run in found]
    tasks += [_seal(seal) for seal in seals]
    return tasks


def account_tasks(conn: Connection, account: UUID, since: int) -> list[Task]:
    """What there is to look at of one account. Raises ``NeonctlError`` ACCOUNT_NOT_FOUND."""
    if not rows(conn, "verify_account", "account_heads", Heads, {"account_id": account}, doing=DOING):
        raise not_found("ACCOUNT_NOT_FOUND", "account", account)
    return [
        _chains("log", account, account, since),
        _chains("holds", account, account, since),
        _plain("verify_account", "account_seals", "core.log_seal_entries", account_id=account),
        _plain("verify_seals", ("facts", "facts_of_account"), "core.log_seal_entries", account_id=account),
        _held_sums(account, account),
        _standings(account, account),
        *_standing_tasks(account),
    ]


def _standing_tasks(account: UUID | None = None) -> list[Task]:
    """What is on record of accounts beside their chains and their standing; of all, or of one."""
    return [
        _plain("verify_accounts", "status_changes", "accounts.status_changes", account_id=account),
        _plain("verify_accounts", "holders", "accounts.account_party_relationships", account_id=account),
    ]


def _ranges(conn: Connection, name: str) -> list[tuple[UUID, UUID]]:
    """Ids from first to last, both included, in parts of about so many rows."""
    bounds = [each.bound for each in rows(conn, "verify", name, _Bound, {"size": _PART_ROWS}, doing=DOING)]
    firsts = [_FIRST_ID, *bounds]
    lasts = [*[UUID(int=bound.int - 1) for bound in bounds], _LAST_ID]
    return list(zip(firsts, lasts, strict=True))


def _transactions(conn: Connection, since: int) -> list[tuple[UUID, UUID]]:
    """Ranges of all transactions, or from the first on that no seal up to ``since`` is over."""
    if not since:
        return _ranges(conn, "transaction_bounds")
    new = rows(conn, "verify", "first_new_transaction", _Bound, {"since": since}, doing=DOING)
    if not new:
        return []
    bound = new[0].bound
    return [(max(first, bound), last) for first, last in _ranges(conn, "transaction_bounds") if last >= bound]


def _accounts(first: UUID, last: UUID) -> Task:
    """Chains, holds and standings of a range of accounts: proven together, one by one only where that fails."""

    def task(conn: Connection) -> list[tuple[Part, list[Fault]]]:
        proof = _proof(conn, {"first": first, "last": last, "zero": ZERO_HASH})
        if proof is None or not (proof.fine and proof.keyed):
            looks = (_chains("log", first, last, 0), _chains("holds", first, last, 0), _held_sums(first, last))
            if proof is not None and proof.fine:  # that a key is missing the guards say
                found = [each for look in looks for each in look(conn)]
            else:
                found = _looked_at(conn, "accounts.accounts", (first, last), *looks)
            return [*found, *_standings(first, last)(conn)]
        log = Part(proof.accounts, proof.log_rows, proof.nzd, proof.aud, [], 0, "log")
        holds = Part(proof.accounts, proof.hold_rows, Decimal(0), Decimal(0), [], 0, "holds")
        return [(log, []), (holds, []), *_standings(first, last, proof.others)(conn)]

    return task


def _proof(conn: Connection, parameters: Mapping[str, object]) -> _Accounts | None:
    """None: it broke off, as no hash can be made of some value."""
    try:
        with conn.transaction():
            return row(conn, "verify_proof", "accounts", _Accounts, parameters, doing=DOING)
    except NeonctlError:
        return None


def _looked_at(conn: Connection, table: str, reach: tuple[UUID, UUID], *looks: Task) -> list[tuple[Part, list[Fault]]]:
    """What is wrong where a proof failed; that it failed, should none of the ``looks`` say why."""
    found = [each for look in looks for each in look(conn)]
    if not any(faults for _, faults in found):
        part, _ = found[0]
        named = f"{reach[0]}..{reach[1]}"
        found[0] = (replace(part, faults=1), [Fault("altered", table, named, f"what is in {named} does not add up")])
    return found


def _chains(kind: str, first: UUID, last: UUID, since: int) -> Task:
    def task(conn: Connection) -> list[tuple[Part, list[Fault]]]:
        reach = "since" if since else "whole"
        parameters = {"first": first, "last": last, "since": since, "zero": ZERO_HASH}
        look = log_fault if kind == "log" else hold_fault
        try:
            with conn.transaction():
                part = row(conn, f"verify_{kind}", (f"{kind}_{reach}", f"{kind}_checks"), Part, parameters, doing=DOING)
                return [(replace(part, kind=kind), [look(conn, account, since) for account in part.faulty])]
        except NeonctlError:
            # Values that no hash can be made of, or that nothing here can read: then they are what is wrong.
            found = rows(conn, "verify_impossible", kind, Plain, parameters, doing=DOING)
            if not found:
                raise
        table = "core.transaction_log" if kind == "log" else "core.hold_log"
        faults = [Fault(each.kind, table, each.row, each.message) for each in found]
        return [(_counted(kind, 0, len(faults)), faults)]

    return task


def _journal(first: UUID, last: UUID) -> Task:
    parameters = {"first": first, "last": last}

    def one_by_one(conn: Connection) -> list[tuple[Part, list[Fault]]]:
        part = row(conn, "verify_journal", "journal", Part, parameters, doing=DOING)
        return [(replace(part, kind="journal"), [transaction_fault(conn, each) for each in part.faulty])]

    def task(conn: Connection) -> list[tuple[Part, list[Fault]]]:
        proof = row(conn, "verify_proof", "journal", _Journal, parameters, doing=DOING)
        if proof.fine:
            return [(Part(proof.transactions, proof.legs, Decimal(0), Decimal(0), [], 0, "journal"), [])]
        return _looked_at(conn, "accounts.transactions", (first, last), one_by_one)

    return task


def _standings(first: UUID, last: UUID, others: list[UUID] | None = None) -> Task:
    """What accounts of a range may do; ``others``: those of which there is more to say than that they are in use."""
    if others is None:
        pieces = ("standings_within", "standings")
        return _plain("verify_accounts", pieces, "accounts.accounts", first=first, last=last)
    pieces = ("standings_of", "standings")
    return _plain("verify_accounts", pieces, "accounts.accounts", first=first, last=last, others=others)


def _held_sums(first: UUID, last: UUID) -> Task:
    return _plain("verify_holds", "held_sums", "accounts.accounts", first=first, last=last)


def _plain(file: str, name: str | Sequence[str], table: str, **parameters: UUID | list[UUID] | None) -> Task:
    def task(conn: Connection) -> list[tuple[Part, list[Fault]]]:
        found = rows(conn, file, name, Plain, {**parameters, "zero": ZERO_HASH}, doing=DOING)
        return [(_counted(file, 0, len(found)), [Fault(each.kind, table, each.row, each.message) for each in found])]

    return task


def _resolution(conn: Connection) -> list[tuple[Part, list[Fault]]]:
    """The record of a resolution: its chain, its evidence, its files."""
    found = chain_faults(conn, doing=DOING)
    faults = [Fault(each.kind, each.row.partition("/")[0], each.row.partition("/")[2], each.message) for each in found]
    return [(_counted("resolution", 0, len(faults)), faults)]


def _snapshot(run: _Run) -> Task:
    def task(conn: Connection) -> list[tuple[Part, list[Fault]]]:
        parameters = {"jurisdiction": run.jurisdiction, "snapshot_date": run.snapshot_date, "cutoff_at": run.cutoff_at}
        part = row(conn, "verify_snapshots", "snapshot", Part, parameters, doing=DOING)
        table, named = "accounts.daily_balance_snapshots", f"{run.snapshot_date}/{run.jurisdiction}"
        faults = [
            Fault(
                "altered",
                table,
                f"{run.snapshot_date}/{account}",
                "the snapshot is not what the log says of the cutoff",
            )
            for account in part.faulty
        ]
        if part.items != run.accounts:
            faults.append(Fault("removed", table, named, f"{part.items} accounts, the run says {run.accounts}"))
        totals = rows(conn, "verify_snapshots", "run_totals", Plain, parameters, doing=DOING)
        faults += [Fault(each.kind, "core.eod_runs", each.row, each.message) for each in totals]
        return [(replace(part, kind="snapshot"), faults)]

    return task


def _seal(seal: Seal) -> Task:
    def task(conn: Connection) -> list[tuple[Part, list[Fault]]]:
        parameters = {"seal_no": seal.seal_no, "zero": ZERO_HASH}
        batch = row(conn, "verify_seals", "seal_batch", _Batch, parameters, doing=DOING)
        table = "core.log_seal_entries"
        faults = [
            Fault(
                "altered", table, f"{seal.seal_no}/{account}", f"the chain of {account} is not the one that was sealed"
            )
            for account in batch.faulty
        ]
        facts = rows(conn, "verify_seals", ("facts", "facts_of_seal"), Plain, parameters, doing=DOING)
        faults += [Fault(each.kind, table, each.row, each.message) for each in facts]
        sealed = rows(conn, "verify_seals", "seal_records", Plain, parameters, doing=DOING)
        faults += [Fault(each.kind, each.row.partition("/")[2], each.row, each.message) for each in sealed]
        if batch.batch_hash != seal.batch_hash or batch.entries != seal.accounts:
            faults.append(
                Fault("altered", table, str(seal.seal_no), f"seal {seal.seal_no} is over other heads or records")
            )
        return [(_counted("seal", batch.entries, len(faults)), faults)]

    return task


def _counted(kind: str, items: int, faults: int) -> Part:
    return Part(items, items, Decimal(0), Decimal(0), [], faults, kind)
