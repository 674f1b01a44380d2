"""Apply one database's pending migrations, in order, each with its history row in one transaction."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from neonctl.errors import NeonctlError, RetryableError
from neonctl.migrations.check import compare
from neonctl.migrations.files import MigrationFile, line_number
from neonctl.migrations.history import (
    CREATE_TABLE,
    INSERT_ROW,
    read_history,
)
from neonctl.migrations.progress import MigrationEvent, Progress
from neonctl.migrations.scripts import require_runnable, statement_line
from neonctl.migrations.session import (
    ScriptFailedError,
    connection_lost,
    flyway_lock,
    prepare_session,
    run_script,
    script_offset,
)

_MARKER = "neonctl.migration"  # set for the length of the transaction: gone means the file ended it
_TRANSIENT = {"55P03", "40P01"}  # lock_timeout, deadlock: the transaction is rolled back, another try may do
_ATTEMPTS = 3
_PAUSE_S = 0.5


@dataclass(frozen=True)
class MigrationResult:
    """What one run did to one database."""

    database: str
    applied: tuple[str, ...]  # versions, in the order they were applied
    duration_ms: int


def migrate(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    files: Sequence[MigrationFile],
    progress: Progress,
    lock_timeout_s: float,
    statement_timeout_s: float,
    lock_wait_s: float = 60.0,
) -> MigrationResult:
    """Bring one database up to the newest of ``files`` (``product.md`` 5).

    ``conn`` is a direct connection as the migrate role, in autocommit, used by nobody else meanwhile; its session
    settings are changed. ``lock_wait_s`` bounds the wait for another runner.

    Raises ``MigrationHistoryError`` or ``MigrationScriptError`` before anything ran; ``NeonctlError``
    ``MIGRATION_FAILED`` with ``file:line`` for the file that failed, which leaves nothing behind (the files before it
    stay applied: ``details["applied"]``); ``RetryableError`` for a lock that was not freed; ``ServiceError`` for a
    broken connection.
    """
    if not conn.autocommit:
        raise ValueError("migrations need a connection in autocommit: each file is its own transaction")
    started = time.monotonic()
    applied: list[str] = []
    pending = compare(files, read_history(conn), database=database)
    if pending:
        require_runnable(pending)
        run = _Run(conn, database, progress, applied)
        try:
            session = prepare_session(conn, lock_timeout_s=lock_timeout_s, statement_timeout_s=statement_timeout_s)
            waiting = MigrationEvent("waiting", database)
            with flyway_lock(conn, database=database, wait_s=lock_wait_s, waiting=lambda: progress(waiting)):
                run.apply(files, session)
        except psycopg.OperationalError as error:
            raise connection_lost(conn, error) from None
    return MigrationResult(database, tuple(applied), _since(started))


class _Run:
    """One run under the lock."""

    def __init__(self, conn: psycopg.Connection[Any], database: str, progress: Progress, applied: list[str]) -> None:
        self._conn = conn
        self._database = database
        self._progress = progress
        self._applied = applied
        self._session: tuple[sql.Composable, ...] = ()
        self._rank = 0

    def apply(self, files: Sequence[MigrationFile], session: tuple[sql.Composable, ...]) -> None:
        """Look again under the lock (another runner may have been faster), then let the engine work."""
        from neonctl.migrations.engine import apply_in_order  # slow to import, and most runs have nothing to do

        history = read_history(self._conn)
        pending = compare(files, history, database=self._database)
        if not pending:
            return
        require_runnable(pending)
        self._session = session
        self._rank = max((row.installed_rank for row in history), default=0)
        if not history:
            self._create_history()
        done = {file.version for file in files} - {file.version for file in pending}
        apply_in_order(
            self._conn,
            database=self._database,
            files=files,
            applied=done,
            run=self._send,
            around=self._one,
        )

    def _create_history(self) -> None:
        try:
            found = self._conn.execute("SELECT pg_catalog.to_regclass('public.flyway_schema_history')")
            if found.fetchone() == (None,):
                self._conn.execute(CREATE_TABLE)
        except psycopg.errors.InsufficientPrivilege as error:
            raise NeonctlError(
                "MIGRATION_FAILED",
                f"{self._database}: flyway_schema_history cannot be made as {self._conn.info.user}: "
                f"{error.diag.message_primary}",
                hint="The migrate role needs USAGE and CREATE on schema public; `neonctl apply` grants both.",
                details={"database": self._database, "sqlstate": error.sqlstate, "applied": []},
            ) from None

    def _one(self, file: MigrationFile, go: Callable[[], None]) -> None:
        """One file with its events; tried again when only a lock stood in the way."""
        self._progress(MigrationEvent("applying", self._database, file.script))
        started = time.monotonic()
        attempt = 1
        while failure := _failure(go):
            # Raised outside the handler: the driver's error quotes rows, and must not hang on ours as its context.
            if self._conn.closed or self._conn.broken:
                raise connection_lost(self._conn, failure.cause)
            if failure.cause.sqlstate not in _TRANSIENT or attempt == _ATTEMPTS:
                raise self._failed(file, failure)
            self._progress(MigrationEvent("retrying", self._database, file.script))
            time.sleep(_PAUSE_S * attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
            attempt += 1
        self._applied.append(file.version)
        self._progress(MigrationEvent("applied", self._database, file.script, _since(started)))

    def _send(self, file: MigrationFile) -> None:
        before, after = self._frame(file)
        recorded = run_script(self._conn, before, file.sql, after)
        if recorded != 1:
            # The parser refuses what would lead here; this is the second net.
            raise NeonctlError(
                "MIGRATION_TRANSACTION_ENDED",
                f"{file.path}: the file ended its own transaction: what it did stays, without a record",
                hint="Look at what it made, take it back by hand, and remove the transaction control from the file.",
                details={"database": self._database, "file": str(file.path), "applied": list(self._applied)},
            )
        self._rank += 1

    def _frame(self, file: MigrationFile) -> tuple[Sequence[sql.Composable], Sequence[sql.Composable]]:
        """What goes before and after the file's text, so that all of it is one query and one transaction."""
        mark = sql.SQL("SELECT pg_catalog.set_config({}, {}, true)").format(
            sql.Literal(_MARKER), sql.Literal(file.version)
        )
        row = sql.SQL(INSERT_ROW).format(
            rank=sql.Literal(self._rank + 1),
            version=sql.Literal(file.version),
            description=sql.Literal(file.description),
            type=sql.Literal("SQL"),
            script=sql.Literal(file.script),
            checksum=sql.Literal(file.checksum),
            marker=sql.Literal(_MARKER),
        )
        own_names = sql.SQL("SET LOCAL search_path = pg_catalog")  # the file may have set another
        return (*self._session, sql.SQL("BEGIN"), mark), (own_names, row, sql.SQL("COMMIT"))

    def _failed(self, file: MigrationFile, failure: ScriptFailedError) -> NeonctlError:
        """Postgres' word, where it happened, and nothing of the rows: DETAIL and CONTEXT may quote customers' data."""
        before, _ = self._frame(file)
        cause = failure.cause
        offset = script_offset(cause, before, self._conn)
        if offset is not None and 0 <= offset <= len(file.sql):
            line = line_number(file.sql, offset)
        else:
            line = statement_line(file.sql, failure.completed)
        where = f"{file.path}:{line}" if line else str(file.path)
        kind, code = (
            (RetryableError, "MIGRATION_LOCK_TIMEOUT")
            if cause.sqlstate in _TRANSIENT
            else (NeonctlError, "MIGRATION_FAILED")
        )
        return kind(
            code,
            f"{where}: {cause.diag.message_primary} (SQLSTATE {cause.sqlstate})",
            hint=f"{self._database}: nothing of this file was kept; correct it and run again."
            if kind is NeonctlError
            else f"{self._database}: nothing of this file was kept; run again when the table is less busy.",
            details={
                "database": self._database,
                "file": str(file.path),
                "line": line,
                "statement": failure.completed + 1,
                "sqlstate": cause.sqlstate,
                "message": cause.diag.message_primary,
                "applied": list(self._applied),
            },
        )


def _failure(go: Callable[[], None]) -> ScriptFailedError | None:
    try:
        go()
    except ScriptFailedError as failure:
        return failure
    return None


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
