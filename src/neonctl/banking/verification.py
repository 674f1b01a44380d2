"""Proof that the ledger is what was written: chains, journal, balances, holds, snapshots, seals (FR-427).

Several sessions look at one and the same instant, whatever is posted meanwhile. Only pg_catalog is called.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from queue import SimpleQueue
from typing import Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.banking.chain import ZERO_HASH, Fault, Head, HoldRow, LogRow, first_fault
from neonctl.banking.failures import translate
from neonctl.banking.seals import Seal
from neonctl.banking.statement import not_found, row, rows
from neonctl.errors import NeonctlError

Connection = psycopg.Connection[TupleRow]
Door = Callable[[], AbstractContextManager[Connection]]

JOBS: Final = 3
_PART_ROWS: Final = 200_000
_MOST_FAULTS: Final = 50
_KEEP_AWAKE_S: Final = 20
_FIRST_ID, _LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
_ORDER: Final = (
    "core.log_seals",
    "core.transaction_log",
    "core.hold_log",
    "core.log_seal_entries",
    "accounts.accounts",
)
_DOING = "verifying the ledger"


@dataclass(frozen=True)
class Scope:
    """What to look at. ``account``: only this one. ``since``: only what came after this seal, which is then trusted.
    ``anchor``: a seal that was exported and must still be there.
    """

    account: UUID | None = None
    since: int = 0
    anchor: Seal | None = None


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


@dataclass(frozen=True)
class Progress:
    """How far it is: ``done`` of ``parts``, and rows looked at so far."""

    done: int
    parts: int
    rows: int


@dataclass(frozen=True)
class _Part:
    items: int
    rows: int
    nzd: Decimal
    aud: Decimal
    faulty: list[UUID]
    faults: int
    kind: str = ""


@dataclass(frozen=True)
class _Bound:
    bound: UUID


@dataclass(frozen=True)
class _Plain:
    row: str
    kind: str
    message: str


@dataclass(frozen=True)
class _Run:
    jurisdiction: str
    snapshot_date: date
    cutoff_at: datetime
    accounts: int


@dataclass(frozen=True)
class _Batch:
    entries: int
    batch_hash: bytes
    faulty: list[UUID]


@dataclass(frozen=True)
class _Heads:
    log_seq: int
    log_head: bytes
    balance: Decimal
    hold_seq: int
    hold_head: bytes


@dataclass(frozen=True)
class _Base:
    seq: int
    head: bytes
    balance: Decimal | None
    hold_seq: int
    hold_head: bytes


@dataclass(frozen=True)
class _Legs:
    headers: int
    only_posted: list[int]
    only_logged: list[int]
    different: list[int]


_Task = Callable[[Connection], tuple[_Part, list[Fault]]]


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
    with door() as holder, _looking(holder, None):
        as_of, snapshot = _instant(holder)
        seals = _seals(holder, scope)
        faults = [*_guards(holder), *_seal_chain(seals, scope)]
        tasks = _account_tasks(holder, scope) if scope.account else _tasks(holder, scope, seals)
        parts = _run(holder, door, snapshot, tasks, jobs=jobs, progress=progress)
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


# --- sessions -----------------------------------------------------------------------------------------------


@contextmanager
def _looking(conn: Connection, snapshot: str | None) -> Generator[None]:
    """A read-only transaction of ``conn`` that sees the instant of ``snapshot``, or one of its own."""
    try:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        _settle(conn)
        yield
    except psycopg.Error as error:
        raise translate(error, _DOING) from None
    finally:
        if not conn.closed:
            conn.rollback()


def _settle(conn: Connection) -> None:
    from neonctl.postgres.queryfile import query

    conn.execute(query("verify", "settings", "banking"))


def _instant(conn: Connection) -> tuple[datetime, str]:
    found = conn.execute("SELECT pg_catalog.transaction_timestamp(), pg_catalog.pg_export_snapshot()").fetchone()
    if found is None:
        raise RuntimeError("a query without a row")
    return found[0], found[1]


def _run(
    holder: Connection,
    door: Door,
    snapshot: str,
    tasks: Sequence[_Task],
    *,
    jobs: int,
    progress: Callable[[Progress], object] | None,
) -> list[tuple[_Part, list[Fault]]]:
    """Every task, spread over sessions of their own. ``holder`` keeps the instant, and is kept awake meanwhile."""
    waiting: SimpleQueue[_Task] = SimpleQueue()
    for task in tasks:
        waiting.put(task)
    done: list[tuple[_Part, list[Fault]]] = []
    stopped: list[bool] = []

    def work() -> None:
        with door() as conn, _looking(conn, snapshot):
            while not waiting.empty() and not stopped:
                done.append(waiting.get()(conn))
                if progress is not None:
                    progress(Progress(len(done), len(tasks), sum(part.rows for part, _ in done)))

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        pending: set[Future[None]] = {pool.submit(work) for _ in range(min(jobs, len(tasks)))}
        try:
            while pending:
                finished, pending = wait(pending, timeout=_KEEP_AWAKE_S, return_when=FIRST_COMPLETED)
                for each in finished:
                    each.result()
                holder.execute("SELECT 1")
        except BaseException:
            stopped.append(True)
            raise
    return done


# --- what there is to do ------------------------------------------------------------------------------------


def _tasks(conn: Connection, scope: Scope, seals: Sequence[Seal]) -> list[_Task]:
    since = scope.since
    accounts = _ranges(conn, "account_bounds")
    tasks: list[_Task] = [_chains("log", first, last, since) for first, last in accounts]
    tasks += [_chains("holds", first, last, since) for first, last in accounts]
    tasks += [_journal(first, last) for first, last in _transactions(conn, since)]
    tasks += [_plain("hold_states", "accounts.pending_holds"), _plain("held_sums", "accounts.accounts")]
    tasks += [_plain("snapshot_strays", "accounts.daily_balance_snapshots")]
    found = rows(conn, "verify", "snapshot_runs", _Run, {"since": since}, doing=_DOING)
    tasks += [_snapshot(run) for run in found]
    tasks += [_seal(seal) for seal in seals]
    return tasks


def _account_tasks(conn: Connection, scope: Scope) -> list[_Task]:
    account = scope.account
    if account is None:
        raise RuntimeError("no account")
    if not rows(conn, "verify", "account_heads", _Heads, {"account_id": account}, doing=_DOING):
        raise not_found("ACCOUNT_NOT_FOUND", "account", account)
    return [
        _chains("log", account, account, scope.since),
        _chains("holds", account, account, scope.since),
        _plain("account_seals", "core.log_seal_entries", account=account),
    ]


def _ranges(conn: Connection, name: str) -> list[tuple[UUID, UUID]]:
    """Ids from first to last, both included, in parts of about so many rows."""
    bounds = [each.bound for each in rows(conn, "verify", name, _Bound, {"size": _PART_ROWS}, doing=_DOING)]
    firsts = [_FIRST_ID, *bounds]
    lasts = [*[UUID(int=bound.int - 1) for bound in bounds], _LAST_ID]
    return list(zip(firsts, lasts, strict=True))


def _transactions(conn: Connection, since: int) -> list[tuple[UUID, UUID]]:
    """Ranges of all transactions, or from the first on that no seal up to ``since`` is over."""
    if not since:
        return _ranges(conn, "transaction_bounds")
    new = rows(conn, "verify", "first_new_transaction", _Bound, {"since": since}, doing=_DOING)
    if not new:
        return []
    bound = new[0].bound
    return [(max(first, bound), last) for first, last in _ranges(conn, "transaction_bounds") if last >= bound]


def _chains(kind: str, first: UUID, last: UUID, since: int) -> _Task:
    def task(conn: Connection) -> tuple[_Part, list[Fault]]:
        reach = "since" if since else "whole"
        parameters = {"first": first, "last": last, "since": since, "zero": ZERO_HASH}
        part = row(conn, "verify", (f"{kind}_{reach}", f"{kind}_checks"), _Part, parameters, doing=_DOING)
        look = _log_fault if kind == "log" else _hold_fault
        return _named(part, kind), [look(conn, account, since) for account in part.faulty]

    return task


def _journal(first: UUID, last: UUID) -> _Task:
    def task(conn: Connection) -> tuple[_Part, list[Fault]]:
        part = row(conn, "verify", "journal", _Part, {"first": first, "last": last}, doing=_DOING)
        return _named(part, "journal"), [_transaction_fault(conn, each) for each in part.faulty]

    return task


def _plain(name: str, table: str, *, account: UUID | None = None) -> _Task:
    def task(conn: Connection) -> tuple[_Part, list[Fault]]:
        found = rows(conn, "verify", name, _Plain, {"account_id": account, "zero": ZERO_HASH}, doing=_DOING)
        return _counted(name, 0, len(found)), [Fault(each.kind, table, each.row, each.message) for each in found]  # pyright: ignore[reportArgumentType]

    return task


def _snapshot(run: _Run) -> _Task:
    def task(conn: Connection) -> tuple[_Part, list[Fault]]:
        parameters = {"jurisdiction": run.jurisdiction, "snapshot_date": run.snapshot_date, "cutoff_at": run.cutoff_at}
        part = row(conn, "verify", "snapshot", _Part, parameters, doing=_DOING)
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
        return _named(part, "snapshot"), faults

    return task


def _seal(seal: Seal) -> _Task:
    def task(conn: Connection) -> tuple[_Part, list[Fault]]:
        parameters = {"seal_no": seal.seal_no, "zero": ZERO_HASH}
        batch = row(conn, "verify", "seal_batch", _Batch, parameters, doing=_DOING)
        table = "core.log_seal_entries"
        faults = [
            Fault(
                "altered", table, f"{seal.seal_no}/{account}", f"the chain of {account} is not the one that was sealed"
            )
            for account in batch.faulty
        ]
        if batch.batch_hash != seal.batch_hash or batch.entries != seal.accounts:
            faults.append(Fault("altered", table, str(seal.seal_no), f"seal {seal.seal_no} is over other heads"))
        return _counted("seal", batch.entries, len(faults)), faults

    return task


# --- what is wrong ------------------------------------------------------------------------------------------


def _weight(fault: Fault) -> tuple[int, str, str]:
    """What says most comes first: the chains, then what they are the proof of."""
    return _ORDER.index(fault.table) if fault.table in _ORDER else len(_ORDER), fault.table, fault.row


def _log_fault(conn: Connection, account: UUID, since: int) -> Fault:
    start, end = _ends(conn, account, since)
    found = rows(conn, "verify", "account_log", LogRow, {"account_id": account, "seq": start.seq}, doing=_DOING)
    head = None if end is None else Head(end.log_seq, end.log_head, end.balance)
    begin = Head(start.seq, start.head, start.balance if start.seq else Decimal(0))
    return _fault(found, "core.transaction_log", begin, head, account)


def _hold_fault(conn: Connection, account: UUID, since: int) -> Fault:
    start, end = _ends(conn, account, since)
    parameters = {"account_id": account, "seq": start.hold_seq}
    found = rows(conn, "verify", "account_hold_log", HoldRow, parameters, doing=_DOING)
    head = None if end is None else Head(end.hold_seq, end.hold_head)
    return _fault(found, "core.hold_log", Head(start.hold_seq, start.hold_head), head, account)


def _fault(
    found: Sequence[LogRow] | Sequence[HoldRow], table: str, start: Head, end: Head | None, account: UUID
) -> Fault:
    if end is None:
        return Fault("removed", "accounts.accounts", str(account), f"account {account} is gone, its rows are not")
    fault = first_fault(account, found, table=table, start=start, end=end)
    return fault or Fault("altered", table, str(account), f"the chain of account {account} goes back in time")


def _ends(conn: Connection, account: UUID, since: int) -> tuple[_Base, _Heads | None]:
    base = rows(conn, "verify", "account_base", _Base, {"account_id": account, "since": since}, doing=_DOING)
    heads = rows(conn, "verify", "account_heads", _Heads, {"account_id": account}, doing=_DOING)
    start = base[0] if base else _Base(0, ZERO_HASH, Decimal(0), 0, ZERO_HASH)
    return start, heads[0] if heads else None


def _transaction_fault(conn: Connection, transaction: UUID) -> Fault:
    legs = row(conn, "verify", "transaction_faults", _Legs, {"transaction_id": transaction}, doing=_DOING)
    table, named = "accounts.postings", str(transaction)
    if not legs.headers:
        return Fault("removed", "accounts.transactions", named, f"transaction {named} has lost its header")
    if legs.only_posted:
        leg = f"{named}/{legs.only_posted[0]}"
        return Fault("inserted", table, leg, f"posting {leg} is not in the log")
    if legs.only_logged:
        leg = f"{named}/{legs.only_logged[0]}"
        return Fault("removed", table, leg, f"posting {leg} is gone, its row in the log is not")
    if legs.different:
        leg = f"{named}/{legs.different[0]}"
        return Fault("altered", table, leg, f"posting {leg} is not what the log says")
    return Fault("altered", "accounts.transactions", named, f"the header of transaction {named} is not what was posted")


def _guards(conn: Connection) -> list[Fault]:
    found = rows(conn, "verify", "objects", _Plain, doing=_DOING)
    return [Fault("removed", each.row, "guard", each.message) for each in found]


def _seals(conn: Connection, scope: Scope) -> list[Seal]:
    """The seals to check; none where only an account is asked for. Those up to ``since`` are trusted."""
    if scope.account is not None and scope.anchor is None and not scope.since:
        return []
    found = rows(conn, "verify", "seals", Seal, {"since": max(scope.since - 1, 0)}, doing=_DOING)
    if scope.since and (not found or found[0].seal_no != scope.since):
        raise NeonctlError("SEAL_NOT_FOUND", f"there is no seal {scope.since}")
    return found


def _seal_chain(seals: Sequence[Seal], scope: Scope) -> list[Fault]:
    faults: list[Fault] = []
    table = "core.log_seals"
    before, number = (ZERO_HASH, 0) if not scope.since else (None, scope.since - 1)
    for seal in seals:
        named = str(seal.seal_no)
        if seal.seal_no != number + 1:
            faults.append(Fault("removed", table, str(number + 1), f"seal {number + 1} is missing"))
        elif seal.computed() != seal.seal_hash:
            faults.append(Fault("altered", table, named, f"seal {named} does not have the hash of its values"))
        elif before is not None and seal.previous_hash != before:
            faults.append(Fault("altered", table, named, f"seal {named} does not follow the one before"))
        before, number = seal.seal_hash, seal.seal_no
    if scope.anchor is not None:
        same = next((seal for seal in seals if seal.seal_no == scope.anchor.seal_no), None)
        named = str(scope.anchor.seal_no)
        if same is None:
            faults.append(Fault("removed", table, named, f"the exported seal {named} is not in the database"))
        elif same.seal_hash != scope.anchor.seal_hash:
            faults.append(Fault("altered", table, named, f"seal {named} is not the one that was exported"))
    return faults


def _trial_balance(parts: Sequence[_Part]) -> list[Fault]:
    sums = {"NZD": sum(part.nzd for part in parts), "AUD": sum(part.aud for part in parts)}
    return [
        Fault("balance", "accounts.accounts", currency, f"all balances in {currency} sum to {total}, not to 0")
        for currency, total in sums.items()
        if total != 0
    ]


def _named(part: _Part, kind: str) -> _Part:
    return _Part(part.items, part.rows, part.nzd, part.aud, part.faulty, part.faults, kind)


def _counted(kind: str, items: int, faults: int) -> _Part:
    return _Part(items, items, Decimal(0), Decimal(0), [], faults, kind)
