"""Pending migrations on a throw-away copy of their target, watched statement by statement."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import tuple_row

from neonctl.migrations.files import AnyFile, MigrationFile, line_number
from neonctl.migrations.history import MARK, read_history
from neonctl.migrations.lock_trace import (
    KINDS,
    LockTrace,
    Relation,
    StatementFailedError,
    TransactionEndedError,
    relations,
    simple_query,
)
from neonctl.migrations.progress import MigrationEvent, Progress
from neonctl.migrations.rehearsal import (
    FileRehearsal,
    HeldLock,
    Rehearsal,
    Rewrite,
    StatementTrace,
    target_state,
)
from neonctl.migrations.session import RunSettings, connection_lost, prepare_session, require_direct
from neonctl.migrations.split import Statement, split
from neonctl.postgres.queryfile import query

if TYPE_CHECKING:
    from typing import LiteralString

_RESOLVE: LiteralString = query("rehearsal", "resolve", "migrations")

_INVALID: LiteralString = query("rehearsal", "invalid", "migrations")


def rehearse(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    files: Sequence[AnyFile],
    progress: Progress,
    settings: RunSettings,
    max_lock_s: float | None,
) -> Rehearsal:
    """Run ``files`` in the order given and say what each did: locks, rewrites, rows, time.

    ``conn``: a direct connection as the migrate role, in autocommit, to a copy that is thrown away afterwards; what
    the files do stays there. The session is the runner's, each file is one transaction (or none, where it is marked
    so). ``max_lock_s`` bounds how long a lock that stops reads or writes of a relation that was there before may be
    held; None: no bound. Without history row: the copy is nobody's record.

    A file that fails is a problem of the result, with ``file:line`` as the runner gives it, and the last one tried.
    Raises ``ServiceError`` when the connection breaks or is a pooler's, or the history cannot be read. The files must
    have been judged before (``require_runnable``).
    """
    if not conn.autocommit:
        raise ValueError("a rehearsal needs a connection in autocommit: each file is its own transaction")
    state = target_state(read_history(conn))
    done: list[FileRehearsal] = []
    try:
        require_direct(conn, database)
        session = prepare_session(conn, settings)
        at = _server_time(conn)
        for file in files:
            progress(MigrationEvent("applying", database, file.script))
            one = _File(conn, file, session, max_lock_s)
            done.append(one.run())
            if one.failed:
                break
            progress(MigrationEvent("applied", database, file.script, round(done[-1].duration_ms)))
    except psycopg.OperationalError as error:
        raise connection_lost(conn, error) from None
    return Rehearsal(database, state, at, max_lock_s, tuple(done))


class _File:
    """One file on its way."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        file: AnyFile,
        session: Sequence[sql.Composable],
        max_lock_s: float | None,
    ) -> None:
        self._conn = conn
        self._file = file
        self._session = session
        self._max_lock_s = max_lock_s
        self._problems: list[str] = []
        self.failed = False

    def run(self) -> FileRehearsal:
        statements = split(self._file.sql)
        self._conn.execute(sql.SQL("; ").join(self._session))
        if isinstance(self._file, MigrationFile) and not self._file.transactional:
            return self._alone(statements)
        return self._in_transaction(statements)

    def _in_transaction(self, statements: Sequence[Statement]) -> FileRehearsal:
        role = sql.SQL("pg_catalog.set_config('neonctl.role', current_user::text, true)")
        mark = sql.SQL("BEGIN; SELECT pg_catalog.set_config({}, {}, true), {}")
        self._conn.execute(mark.format(*self._mark, role))
        trace = LockTrace(self._conn)
        try:
            trace.run(statements)
            if self._marked():
                trace.commit()
            else:
                self._fail(
                    None,
                    "the file ended its own transaction, changed the role, or took back all settings of the session",
                )
        except StatementFailedError as failure:
            self._refused(failure.cause, failure.statement, failure.position)
        except TransactionEndedError as ended:
            self._fail(ended.statement.line, "the file ended its own transaction")
        finally:
            self._roll_back()
        return self._result(trace.duration_ms, trace.statements, trace.locks, trace.rewrites, trace.rows)

    @property
    def _mark(self) -> tuple[sql.Literal, sql.Literal]:
        """What the runner sets for the length of a file's transaction, and refuses to go on without."""
        return sql.Literal(MARK), sql.Literal(self._file.script)

    def _marked(self) -> bool:
        name, script = self._mark
        question = sql.SQL(
            "SELECT pg_catalog.current_setting({}, true) = {}"
            " AND pg_catalog.current_setting('neonctl.role', true) = current_user"
        ).format(name, script)
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(question).fetchone() == (True,)

    def _alone(self, statements: Sequence[Statement]) -> FileRehearsal:
        """Outside a transaction nothing can travel along: the clock is this machine's, the locks are the known ones."""
        from neonctl.migrations.standing_locks import standing_locks

        traces: list[StatementTrace] = []
        locks: list[HeldLock] = []
        rewrites: list[Rewrite] = []
        for statement in statements:
            before, invalid = relations(self._conn), self._invalid()
            targets = [
                (relation, lock.mode)
                for lock in standing_locks(statement.node)
                for relation in self._resolved(lock.name, before, of_index=lock.of_index)
            ]
            started = time.monotonic()
            last = simple_query(self._conn, statement.text)[-1]
            took_ms = round(1000 * (time.monotonic() - started), 3)
            locks += [
                HeldLock(each.name, each.kind, mode, statement.number, statement.line, took_ms)
                for each, mode in targets
            ]
            if last.status == ExecStatus.FATAL_ERROR:
                error = error_from_result(last, encoding="utf-8")
                position = error.diag.statement_position
                self._refused(error, statement, int(position) - 1 if position else None)
                break
            command = (last.command_status or b"").decode("ascii", "replace")
            traces.append(StatementTrace(statement.number, statement.line, command, took_ms, 0))
            rewrites += _rewritten(before, relations(self._conn), statement)
            # One of that name that was left invalid before is not made anew by IF NOT EXISTS.
            own = getattr(statement.node, statement.kind).idxname if statement.kind == "index_stmt" else None
            for schema, name in sorted(self._invalid()):
                if name == own or (schema, name) not in invalid:
                    self._problem(statement.line, f"index {schema}.{name} is invalid afterwards")
        return self._result(sum(each.duration_ms for each in traces), tuple(traces), tuple(locks), tuple(rewrites), {})

    def _invalid(self) -> set[tuple[str, str]]:
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            return {(schema, name) for schema, name in cursor.execute(_INVALID).fetchall()}

    def _resolved(self, name: Sequence[str], before: dict[int, Relation], *, of_index: bool) -> Iterator[Relation]:
        """The relation of that name; of an index, its table too."""
        written = sql.Identifier(*name).as_string(self._conn)
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(_RESOLVE, [written]).fetchone()
        if row is None:
            return
        for oid in (row[0], row[1] if of_index else None):
            if oid in before:
                yield before[oid]

    def _result(
        self,
        duration_ms: float,
        statements: tuple[StatementTrace, ...],
        locks: tuple[HeldLock, ...],
        rewrites: tuple[Rewrite, ...],
        rows: dict[str, int],
    ) -> FileRehearsal:
        for lock in locks:
            if self._max_lock_s is not None and lock.blocks and lock.held_ms > 1000 * self._max_lock_s:
                self._problem(
                    lock.line,
                    f"{lock.mode} on {lock.relation} was held for {lock.held_ms / 1000:.3g} s, which stops "
                    f"{lock.blocks}; at most {self._max_lock_s:g} s are allowed",
                )
        return FileRehearsal(
            script=self._file.script,
            version=self._file.version if isinstance(self._file, MigrationFile) else None,
            sha256=self._file.sha256,
            duration_ms=round(duration_ms, 3),
            statements=statements,
            locks=locks,
            rewrites=rewrites,
            rows=rows,
            problems=tuple(self._problems),
        )

    def _refused(self, cause: psycopg.Error, statement: Statement | None, position: int | None) -> None:
        """Postgres' word, where it happened, and nothing of the rows: DETAIL and CONTEXT may quote customers' data."""
        if self._conn.closed or self._conn.broken:
            raise connection_lost(self._conn, cause)
        line = None if statement is None else statement.line
        if statement is not None and position is not None and position <= len(statement.text):
            line = line_number(self._file.sql, statement.offset + position)
        self._fail(line, f"{cause.diag.message_primary} (SQLSTATE {cause.sqlstate})")

    def _fail(self, line: int | None, message: str) -> None:
        self.failed = True
        self._problem(line, message)

    def _problem(self, line: int | None, message: str) -> None:
        where = f"{self._file.path}:{line}" if line else str(self._file.path)
        self._problems.append(f"{where}: {message}")

    def _roll_back(self) -> None:
        if not self._conn.closed and self._conn.info.transaction_status != TransactionStatus.IDLE:
            self._conn.execute("ROLLBACK")


def _rewritten(before: dict[int, Relation], after: dict[int, Relation], by: Statement) -> Iterator[Rewrite]:
    for oid, relation in after.items():
        written = relation.kind in (KINDS["r"], KINDS["m"])
        if written and oid in before and before[oid].filenode != relation.filenode:
            yield Rewrite(relation.name, by.number, by.line)


def _server_time(conn: psycopg.Connection[Any]) -> datetime:
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT extract(epoch FROM pg_catalog.clock_timestamp())").fetchone()
    assert row is not None
    return datetime.fromtimestamp(float(row[0]), UTC)
