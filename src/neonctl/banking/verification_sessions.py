"""The sessions of a verification: all of them look at one and the same instant, whatever is posted meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from queue import Empty, SimpleQueue
from typing import Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.banking.chain import Fault
from neonctl.banking.failures import translate
from neonctl.postgres.queryfile import query

Connection = psycopg.Connection[TupleRow]
Door = Callable[[], AbstractContextManager[Connection]]

DOING: Final = "verifying the ledger"
_KEEP_AWAKE_S: Final = 20


@dataclass(frozen=True)
class Progress:
    """How far it is: ``done`` of ``parts``, and rows looked at so far."""

    done: int
    parts: int
    rows: int


@dataclass(frozen=True)
class Part:
    """What one task looked at: ``items`` of its ``kind``, their rows, sums of balances, and what was wrong."""

    items: int
    rows: int
    nzd: Decimal
    aud: Decimal
    faulty: list[UUID]
    faults: int
    kind: str = ""


#: Looks at a part of the ledger, of one kind or more; with what is wrong in words, as far as it is told.
Task = Callable[[Connection], Sequence[tuple[Part, list[Fault]]]]


@contextmanager
def looking(conn: Connection, snapshot: str | None) -> Generator[None]:
    """A read-only transaction of ``conn`` that sees the instant of ``snapshot``, or one of its own."""
    try:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        conn.execute(query("verify", "settings", "banking"))
        yield
    except psycopg.Error as error:
        raise translate(error, DOING) from None
    finally:
        if not conn.closed:
            conn.rollback()


def instant(conn: Connection) -> tuple[datetime, str]:
    """The moment that this transaction sees, and the name by which others see the same."""
    found = conn.execute("SELECT pg_catalog.transaction_timestamp(), pg_catalog.pg_export_snapshot()").fetchone()
    if found is None:
        raise RuntimeError("a query without a row")
    return found[0], found[1]


def run_tasks(
    holder: Connection,
    door: Door,
    snapshot: str,
    tasks: Sequence[Task],
    *,
    jobs: int,
    progress: Callable[[Progress], object] | None,
) -> list[tuple[Part, list[Fault]]]:
    """Every task, spread over sessions of their own. ``holder`` keeps the instant, and is kept awake meanwhile."""
    waiting: SimpleQueue[Task] = SimpleQueue()
    for task in tasks:
        waiting.put(task)
    found: list[tuple[Part, list[Fault]]] = []
    done: list[Task] = []
    stopped: list[bool] = []

    def work() -> None:
        with door() as conn, looking(conn, snapshot):
            while not stopped:
                try:
                    task = waiting.get_nowait()
                except Empty:
                    return
                found.extend(task(conn))
                done.append(task)
                if progress is not None:
                    progress(Progress(len(done), len(tasks), sum(part.rows for part, _ in found)))

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
    return found
