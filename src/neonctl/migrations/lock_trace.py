"""One transaction under observation: what each statement locks, rewrites and touches, by the server's own word.

The statements are sent as they stand, in the session and the transaction that the runner would use, so the locks are
the ones it would take. Between them the server is asked for its clock and for this session's locks; that time does
not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import generators
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import tuple_row

from neonctl.migrations.rehearsal import STRONG, HeldLock, Rewrite, StatementTrace
from neonctl.postgres.queryfile import query

if TYPE_CHECKING:
    from typing import LiteralString

    from psycopg.pq.abc import PGresult

    from neonctl.migrations.split import Statement

_WRITES = ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
_TOGETHER = 200  # writes that are looked at as one: a file may have thousands of INSERTs
_MODES = {mode.title().replace(" ", "") + "Lock": mode for mode in STRONG}  # as pg_locks writes them
KINDS = {
    "r": "table",
    "p": "partitioned table",
    "i": "index",
    "I": "partitioned index",
    "S": "sequence",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}

_CLOCK: LiteralString = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())"

_BEFORE: LiteralString = query("rehearsal", "before", "migrations")

_NOW: LiteralString = query("rehearsal", "now", "migrations")


class StatementFailedError(Exception):
    """A statement was refused. ``position`` counts characters in its text, where the server said one.

    ``statement`` None: it was COMMIT, for example by a constraint that is checked only then.
    """

    def __init__(self, cause: psycopg.Error, statement: Statement | None, position: int | None) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.statement = statement
        self.position = position


class TransactionEndedError(Exception):
    """A statement ended the file's transaction."""

    def __init__(self, statement: Statement) -> None:
        super().__init__(f"statement {statement.number} ended the transaction")
        self.statement = statement


@dataclass(frozen=True)
class Relation:
    """A relation as it was before the file. ``touched``: rows so far, by this session's counters."""

    name: str
    kind: str
    filenode: int
    touched: int


def relations(conn: psycopg.Connection[Any]) -> dict[int, Relation]:
    """Every relation that is not the system's own, by its oid."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_BEFORE).fetchall()
    return {oid: Relation(name, KINDS[kind], filenode, touched) for oid, name, kind, filenode, touched in rows}


class LockTrace:
    """Watches one transaction, which the caller has begun and ends by ``commit`` (or ROLLBACK after an error)."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        self._before = relations(conn)
        self._statements: list[StatementTrace] = []
        self._first: dict[tuple[int, str], Statement] = {}  # which statement took which lock
        self._rewritten: dict[int, Statement] = {}
        self._filenodes = {oid: relation.filenode for oid, relation in self._before.items()}
        self._rows: dict[int, tuple[str, int]] = {}
        self._commit_ms = 0.0

    def run(self, statements: Sequence[Statement]) -> None:
        """Run them one after another. Raises ``StatementFailedError`` or ``TransactionEndedError``."""
        for group in _groups(statements):
            self._run(group)

    def commit(self) -> None:
        """End the transaction. Raises ``StatementFailedError`` without a statement."""
        results = simple_query(self._conn, f"{_CLOCK};\nCOMMIT;\n{_CLOCK}")
        if results[-1].status == ExecStatus.FATAL_ERROR:
            raise StatementFailedError(error_from_result(results[-1], encoding="utf-8"), None, None)
        self._commit_ms = _milliseconds(results[0], results[2])

    @property
    def statements(self) -> tuple[StatementTrace, ...]:
        """The statements that ran to their end."""
        return tuple(self._statements)

    @property
    def locks(self) -> tuple[HeldLock, ...]:
        """The strong locks on what was there before, in the order in which they were taken."""
        held = [
            self._held(self._before[oid], mode, statement)
            for (oid, mode), statement in self._first.items()
            if oid in self._before
        ]
        return tuple(sorted(held, key=lambda lock: (lock.statement, lock.relation, STRONG.index(lock.mode))))

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        """The tables that were there before and have been written anew."""
        found = [Rewrite(self._before[oid].name, by.number, by.line) for oid, by in self._rewritten.items()]
        return tuple(sorted(found, key=lambda rewrite: (rewrite.statement, rewrite.relation)))

    @property
    def rows(self) -> dict[str, int]:
        """Rows inserted, updated and deleted so far, by table."""
        return dict(sorted(self._rows.values()))

    @property
    def duration_ms(self) -> float:
        """The time of all statements and of COMMIT."""
        return round(sum(each.duration_ms for each in self._statements) + self._commit_ms, 3)

    def _held(self, relation: Relation, mode: str, statement: Statement) -> HeldLock:
        since = sum(each.duration_ms for each in self._statements if each.statement >= statement.number)
        held_ms = round(since + self._commit_ms, 3)
        return HeldLock(relation.name, relation.kind, mode, statement.number, statement.line, held_ms)

    def _run(self, group: Sequence[Statement]) -> None:
        """Clock, statement, clock, statement, …, clock, locks: all in one round trip."""
        sent = f"{_CLOCK};\n"
        starts: list[int] = []
        for statement in group:
            starts.append(len(sent))
            sent += f"{statement.text}\n;\n{_CLOCK};\n"
        results = simple_query(self._conn, sent + _NOW)
        for index, statement in enumerate(group):
            done = results[2 * index + 1 : 2 * index + 3]
            failed = next((each for each in done if each.status == ExecStatus.FATAL_ERROR), None)
            if failed is not None:
                raise _failure(failed, statement, starts[index])
            self._statements.append(_trace(statement, results[2 * index], *done))
        if results[-1].status == ExecStatus.FATAL_ERROR:  # by a timeout that the file set, for example
            raise StatementFailedError(error_from_result(results[-1], encoding="utf-8"), group[-1], None)
        if self._conn.info.transaction_status != TransactionStatus.INTRANS:
            raise TransactionEndedError(group[-1])
        self._look(results[-1], group[0])

    def _look(self, found: PGresult, statement: Statement) -> None:
        for row in range(found.ntuples):
            oid, mode, filenode, name, touched = (_text(found, row, column) for column in range(5))
            strong, relation = _MODES.get(mode or ""), int(oid or 0)
            if strong is not None:
                self._first.setdefault((relation, strong), statement)
            if filenode is not None:
                self._compare(relation, int(filenode), statement)
            rows = int(touched or 0) - (self._before[relation].touched if relation in self._before else 0)
            if name is not None and rows > 0:
                self._rows[relation] = (name, rows)

    def _compare(self, oid: int, filenode: int, statement: Statement) -> None:
        """Another file on disk: written anew. TRUNCATE gives one too, but has nothing to write."""
        before = self._filenodes.get(oid)
        if before is None or before == filenode:
            return
        self._filenodes[oid] = filenode
        if statement.kind != "truncate_stmt" and self._before[oid].kind in ("table", "materialized view"):
            self._rewritten.setdefault(oid, statement)


def simple_query(conn: psycopg.Connection[Any], script: str) -> list[PGresult]:
    """Every result of a simple query, the failing one last."""
    with conn.lock:
        conn.pgconn.send_query(script.encode("utf-8"))
        return conn.wait(generators.execute(conn.pgconn))


def _groups(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Each statement alone, but writes in a row together: what they lock is the same for all of them.

    A lock that a trigger takes then counts from the first of them.
    """
    group: list[Statement] = []
    for statement in statements:
        if group and (statement.kind not in _WRITES or len(group) == _TOGETHER):
            yield group
            group = []
        if statement.kind in _WRITES:
            group.append(statement)
        else:
            yield [statement]
    if group:
        yield group


def _trace(statement: Statement, before: PGresult, done: PGresult, after: PGresult) -> StatementTrace:
    command = (done.command_status or b"").decode("ascii", "replace")
    words = command.split()
    # INSERT says "INSERT 0 5"; SELECT counts rows that it returned, which is nothing touched.
    touched = statement.kind in (*_WRITES, "create_table_as_stmt")
    name = " ".join(word for word in words if not word.isdigit())
    return StatementTrace(
        statement=statement.number,
        line=statement.line,
        command=name,
        duration_ms=_milliseconds(before, after),
        rows=done.command_tuples or 0 if touched else 0,
    )


def _failure(result: PGresult, statement: Statement, start: int) -> StatementFailedError:
    cause = error_from_result(result, encoding="utf-8")
    said = cause.diag.statement_position
    position = int(said) - 1 - start if said is not None else None
    return StatementFailedError(cause, statement, position if position is not None and position >= 0 else None)


def _milliseconds(before: PGresult, after: PGresult) -> float:
    """Between two clocks; never negative, even when somebody sets the server's."""
    return max(0.0, round(1000 * (float(_text(after, 0, 0) or 0) - float(_text(before, 0, 0) or 0)), 3))


def _text(result: PGresult, row: int, column: int) -> str | None:
    value = result.get_value(row, column)
    return None if value is None else value.decode("utf-8", "replace")
