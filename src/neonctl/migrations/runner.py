"""Apply one database's pending migrations, in order, each with its history row in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from neonctl.errors import RetryableError
from neonctl.migrations.check import Pending, compare
from neonctl.migrations.evidence import NewEntry, Provenance
from neonctl.migrations.files import AnyFile, MigrationFile, MigrationFolder
from neonctl.migrations.history import AppliedMigration, NewRow, read_history
from neonctl.migrations.progress import Progress
from neonctl.migrations.run import MigrationResult, Piece, Run, early_end, make_records, never, under_lock
from neonctl.migrations.scripts import require_runnable
from neonctl.migrations.session import RunSettings
from neonctl.migrations.standing import require_standing

__all__ = ["MigrationResult", "RunSettings", "migrate"]


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
    judged: Pending | None = None,
) -> MigrationResult:
    """Bring one database up to the newest of ``files``, or to version ``target`` (``product.md`` 5).

    ``conn`` is a direct connection as the migrate role, in autocommit, used by nobody else meanwhile; its session
    settings are changed. ``stop`` is asked before each file: True ends the run there, without an error.
    Repeatable files wait while a target leaves versioned ones pending. After the last file the catalogue's listing is
    recorded as evidence. ``judged`` is what the caller found pending and has judged (``require_ready``, a gate):
    nothing else runs then.

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

    pending = pending_in(read_history(conn)) if judged is None else judged
    if pending:
        if judged is None:
            require_ready(pending)
        with under_lock(conn, database=database, settings=settings, progress=progress) as session:
            history = read_history(conn)
            before, pending = pending, pending_in(history)  # another runner may have been faster
            if pending:
                _require_same(pending, before, database)
                make_records(conn, database, made=bool(history))
                run = Run(
                    conn,
                    database,
                    progress,
                    provenance,
                    session,
                    rank=max((row.installed_rank for row in history), default=0),
                    pieces={file.script: _piece(file, provenance) for file in pending.files},
                    last=pending.files[-1].script,
                    stop=stop,
                    done=done,
                    begun=dict(pending.begun),
                )
                stopped = _work(run, files, pending)
    names = {file.script: file for file in pending.files}
    return MigrationResult(
        database,
        tuple(file.version for name in done if isinstance(file := names[name], MigrationFile)),
        round((time.monotonic() - started) * 1000),
        repeated=tuple(name for name in done if not isinstance(names[name], MigrationFile)),
        stopped=stopped,
    )


def require_ready(pending: Pending) -> None:
    """Judge the files by themselves. Raises ``MigrationScriptError`` for what may not run."""
    require_runnable(pending.files)
    require_standing(pending.versioned)


def _require_same(pending: Pending, before: Pending, database: str) -> None:
    """Less may be left than was looked at, never more: somebody undid what no gate has seen as pending."""
    more = [file.script for file in pending.files if file not in before.files]
    if more:
        raise RetryableError(
            "MIGRATION_RECORD_CHANGED",
            f"{database}: {', '.join(more)} became pending while this run waited for its turn; nothing was run",
            hint="somebody undid it meanwhile; look at `neonctl migrate status`, then run again",
            details={"database": database, "files": more},
        )


def _work(run: Run, files: MigrationFolder, pending: Pending) -> bool:
    """Let the engine work. True: it was stopped."""
    from neonctl.migrations.engine import apply_in_order  # slow to import, and most runs have nothing to do

    todo = {file.script for file in pending.files}
    everything: tuple[AnyFile, ...] = (*files.versioned, *files.repeatable)
    with early_end(run) as ended:
        apply_in_order(
            run.conn,
            database=run.database,
            files=everything,
            applied={file.script for file in everything} - todo,
            run=run.send,
            around=run.one,
        )
    return ended.stopped


def _piece(file: AnyFile, provenance: Provenance) -> Piece:
    versioned = isinstance(file, MigrationFile)
    version = file.version if versioned else None
    return Piece(
        file.path,
        file.sql,
        file.transactional if isinstance(file, MigrationFile) else True,
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
