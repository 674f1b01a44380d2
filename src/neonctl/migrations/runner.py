"""Apply one database's pending migrations, in order, each with its history row in one transaction."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from neonctl.errors import NeonctlError
from neonctl.migrations.check import Pending, compare
from neonctl.migrations.evidence import NewEntry, Provenance, make_table
from neonctl.migrations.files import AnyFile, MigrationFile, MigrationFolder
from neonctl.migrations.history import CREATE_TABLE, AppliedMigration, NewRow, read_history
from neonctl.migrations.progress import MigrationEvent, Progress
from neonctl.migrations.run import Piece, Run, StoppedError
from neonctl.migrations.scripts import require_runnable
from neonctl.migrations.session import (
    RunSettings,
    backend_pid,
    connection_lost,
    flyway_lock,
    prepare_session,
    require_direct,
)

if TYPE_CHECKING:
    from typing import LiteralString


@dataclass(frozen=True)
class MigrationResult:
    """What one run did to one database."""

    database: str
    applied: tuple[str, ...]  # versions, in the order they were applied
    duration_ms: int
    repeated: tuple[str, ...] = ()  # names of repeatable files
    undone: tuple[str, ...] = ()  # versions, the newest first
    stopped: bool = False  # somebody else failed; what is missing is still pending


def never() -> bool:
    """A run that nothing stops."""
    return False


def migrate(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    files: MigrationFolder,
    progress: Progress,
    settings: RunSettings,
    provenance: Provenance,
    target: int | None = None,
    stop: Callable[[], bool] = never,
    catalogue: LiteralString | None = None,
) -> MigrationResult:
    """Bring one database up to the newest of ``files``, or to version ``target`` (``product.md`` 5).

    ``conn`` is a direct connection as the migrate role, in autocommit, used by nobody else meanwhile; its session
    settings are changed. ``stop`` is asked before each file: True ends the run there, without an error.
    ``catalogue`` is a SELECT of the catalogue's lines, recorded after the last file. Repeatable files wait while a
    target leaves versioned ones pending.

    Raises ``MigrationHistoryError`` or ``MigrationScriptError`` before anything ran; ``NeonctlError``
    ``MIGRATION_FAILED`` with ``file:line`` for the file that failed, which leaves nothing behind (the files before it
    stay applied: ``details["applied"]`` has their names); ``RetryableError`` for a lock that was not freed;
    ``ServiceError`` for a broken or pooled connection.
    """
    if not conn.autocommit:
        raise ValueError("migrations need a connection in autocommit: each file is its own transaction")
    started = time.monotonic()
    done: list[str] = []
    stopped = False

    def pending_in(history: Sequence[AppliedMigration]) -> Pending:
        return compare(files, history, database=database, out_of_order=settings.out_of_order).up_to(target)

    pending = pending_in(read_history(conn))
    if pending:
        require_runnable(pending.versioned)
        try:
            require_direct(conn, database)
            session = prepare_session(conn, settings)
            waiting = MigrationEvent("waiting", database)
            with flyway_lock(conn, database=database, wait_s=settings.lock_wait_s, waiting=lambda: progress(waiting)):
                # Another runner may have been faster.
                history = read_history(conn)
                pending = pending_in(history)
                if pending:
                    require_runnable(pending.versioned)
                    make_records(conn, database, made=bool(history))
                    run = Run(
                        conn,
                        database,
                        progress,
                        provenance,
                        session,
                        backend_pid(conn),
                        rank=max((row.installed_rank for row in history), default=0),
                        pieces={file.script: _piece(file, provenance) for file in pending.files},
                        last=pending.files[-1].script,
                        catalogue=catalogue,
                        stop=stop,
                        done=done,
                    )
                    stopped = _work(run, files, pending)
        except psycopg.OperationalError as error:
            raise connection_lost(conn, error) from None
    names = {file.script: file for file in pending.files}
    return MigrationResult(
        database,
        tuple(file.version for name in done if isinstance(file := names[name], MigrationFile)),
        round((time.monotonic() - started) * 1000),
        repeated=tuple(name for name in done if not isinstance(names[name], MigrationFile)),
        stopped=stopped,
    )


def make_records(conn: psycopg.Connection[Any], database: str, *, made: bool) -> None:
    """Make Flyway's table, unless it is ``made``, and ours, under the lock."""
    try:
        if not made:
            found = conn.execute("SELECT pg_catalog.to_regclass('public.flyway_schema_history')")
            if found.fetchone() == (None,):
                conn.execute(CREATE_TABLE)
        make_table(conn)
    except psycopg.errors.InsufficientPrivilege as error:
        raise NeonctlError(
            "MIGRATION_FAILED",
            f"{database}: flyway_schema_history cannot be made as {conn.info.user}: {error.diag.message_primary}",
            hint="The migrate role needs USAGE and CREATE on schema public; `neonctl apply` grants both.",
            details={"database": database, "sqlstate": error.sqlstate, "applied": []},
        ) from None


def _work(run: Run, files: MigrationFolder, pending: Pending) -> bool:
    """Let the engine work. Whatever ends it early, the catalogue is recorded as it then is. True: it was stopped."""
    from neonctl.migrations.engine import apply_in_order  # slow to import, and most runs have nothing to do

    todo = {file.script for file in pending.files}
    everything: tuple[AnyFile, ...] = (*files.versioned, *files.repeatable)
    try:
        apply_in_order(
            run.conn,
            database=run.database,
            files=everything,
            applied={file.script for file in everything} - todo,
            run=run.send,
            around=run.one,
        )
    except StoppedError:
        record_listing(run)
        return True
    except BaseException:
        record_listing(run)
        raise
    return False


def record_listing(run: Run) -> None:
    """After a run that ended early: what is there now. Never hides why it ended."""
    statement = run.listing_entry()
    if not run.done or statement is None or run.conn.closed or run.conn.broken:
        return
    with contextlib.suppress(psycopg.Error):
        run.conn.execute(sql.SQL("SET search_path = pg_catalog; {}").format(statement))


def _piece(file: AnyFile, provenance: Provenance) -> Piece:
    versioned = isinstance(file, MigrationFile)
    version = file.version if versioned else None
    return Piece(
        file.path,
        file.sql,
        NewRow(0, version, file.description, "SQL", file.script, file.checksum),
        NewEntry(
            "apply" if versioned else "repeatable",
            provenance,
            version=version,
            script=file.script,
            up_sha256=file.sha256,
            down_sha256=file.undo.sha256 if versioned else None,
        ),
    )
