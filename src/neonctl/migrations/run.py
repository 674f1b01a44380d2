"""A run under the lock: each file with its rows as one query and one transaction, tried again, told about."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.errors import NeonctlError
from neonctl.migrations.evidence import NewEntry, Provenance, entry_statement, listing_statements, make_table
from neonctl.migrations.failure import TRANSIENT, Place, failed
from neonctl.migrations.history import CREATE_TABLE, MARK, NewRow, row_statement
from neonctl.migrations.progress import MigrationEvent, Progress
from neonctl.migrations.session import (
    RunSettings,
    ScriptFailedError,
    Session,
    connection_lost,
    flyway_lock,
    prepare_session,
    require_direct,
    run_script,
)

if TYPE_CHECKING:
    from pathlib import Path

    from neonctl.migrations.files import AnyFile

_ATTEMPTS = 3
_PAUSE_S = 0.5


@dataclass(frozen=True)
class MigrationResult:
    """What one run did to one database."""

    database: str
    applied: tuple[str, ...]  # versions, in the order they were applied
    duration_ms: int
    repeated: tuple[str, ...] = ()  # names of repeatable files
    undone: tuple[str, ...] = ()  # versions, the newest first
    stopped: bool = False  # somebody else failed; what is missing is still pending


@dataclass(frozen=True)
class Piece:
    """What is sent for one file: its text, the row in Flyway's record, the entry in ours. ``row.rank`` is set later.
    ``guards`` run before the text, in its transaction.
    """

    path: Path
    sql: str
    transactional: bool
    row: NewRow
    entry: NewEntry
    guards: tuple[sql.Composable, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What a file's text stands in: the transaction's beginning, the row in Flyway's record, evidence and the end."""

    before: tuple[sql.Composable, ...]
    record: tuple[sql.Composable, ...]
    end: tuple[sql.Composable, ...]


class StoppedError(Exception):
    """Somebody else failed: no next file. Never seen outside a run."""


def never() -> bool:
    """A run that nothing stops."""
    return False


@dataclass
class Run:
    """One run of one database. ``pieces`` says what is sent for a file; ``last`` names the last file there will be,
    which takes the catalogue's listing with it.
    """

    conn: psycopg.Connection[Any]
    database: str
    progress: Progress
    provenance: Provenance
    session: Session
    rank: int
    pieces: Mapping[str, Piece]
    last: str
    direction: Literal["up", "down"] = "up"
    stop: Callable[[], bool] = never
    done: list[str] = field(default_factory=list[str])  # names of files, in the order they were done
    begun: dict[str, int] = field(default_factory=dict[str, int])  # those outside a transaction: name → rank

    def one(self, file: AnyFile, go: Callable[[], None]) -> None:
        """One file with its events; tried again when only a lock stood in the way."""
        if self.stop():
            raise StoppedError
        piece = self.pieces[file.script]
        doing: Literal["applying", "undoing"] = "applying" if self.direction == "up" else "undoing"
        self.progress(MigrationEvent(doing, self.database, piece.path.name))
        started = time.monotonic()
        attempt = 1
        while failure := _failure(go):
            # Raised outside the handler: the driver's error quotes rows, and must not hang on ours as its context.
            if self.conn.closed or self.conn.broken:
                raise connection_lost(self.conn, failure.cause)
            if failure.cause.sqlstate not in TRANSIENT or attempt == _ATTEMPTS:
                raise failed(
                    self.conn,
                    Place(self.database, piece.path, piece.sql, tuple(self.done), kept=not piece.transactional),
                    self.frame(piece, last=False).before if piece.transactional else (),
                    failure,
                )
            self.progress(MigrationEvent("retrying", self.database, piece.path.name))
            time.sleep(_PAUSE_S * attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
            attempt += 1
        self.rank = max(self.rank, self.begun.get(file.script, self.rank + 1))
        self.done.append(file.script)
        took = round((time.monotonic() - started) * 1000)
        self.progress(
            MigrationEvent("applied" if self.direction == "up" else "undone", self.database, piece.path.name, took)
        )

    def send(self, file: AnyFile) -> None:
        """The file, its rows, BEGIN and COMMIT: one query. Raises ``ScriptFailedError``."""
        piece = self.pieces[file.script]
        last = file.script == self.last
        if not piece.transactional:
            from neonctl.migrations.alone import send_alone  # rare, and needs the parser

            send_alone(self, file.script, piece, last=last)
            return
        frame = self.frame(piece, last=last)
        run_script(self.conn, frame.before, piece.sql, (*frame.record, *frame.end))

    def frame(self, piece: Piece, *, last: bool, rank: int | None = None) -> Frame:
        """What goes before and after the file's text, so that all of it is one query and one transaction."""
        row = replace(piece.row, rank=rank or self.rank + 1)
        entry = replace(piece.entry, details={**piece.entry.details, "installed_rank": row.rank})
        listing = listing_statements(self.provenance) if last else ()
        own_names = sql.SQL("SET LOCAL search_path = pg_catalog")  # the file may have set another
        return Frame(
            before=opening(self.session, row.script, piece.guards),
            record=(own_names, row_statement(row)),
            end=(entry_statement(entry), *listing, *closing()),
        )


def opening(session: Session, script: str, guards: Sequence[sql.Composable] = ()) -> tuple[sql.Composable, ...]:
    """What begins a transaction of ours. The lock is the session's: another session than the one that took it, which
    a pooler may give us, must do nothing. The last statement answers the transaction's id.
    """
    mark = sql.SQL(
        "SELECT pg_catalog.pg_current_xact_id()::text, pg_catalog.set_config({}, {}, true),"
        " 1 / (pg_catalog.pg_backend_pid() = {})::int"
    ).format(sql.Literal(MARK), sql.Literal(script), sql.Literal(session.backend_pid))
    return (*session.settings, sql.SQL("BEGIN"), *guards, mark)


def closing() -> tuple[sql.Composable, ...]:
    """What ends it."""
    return (sql.SQL("COMMIT"),)


@dataclass
class Ended:
    """How the engine's work ended."""

    stopped: bool = False


@contextmanager
def early_end(run: Run) -> Generator[Ended]:
    """Around the engine: whatever ends the run early, the catalogue is recorded as it then is."""
    ended = Ended()
    try:
        yield ended
    except StoppedError:
        ended.stopped = True
        _record_listing(run)
    except BaseException:
        _record_listing(run)
        raise


@contextmanager
def under_lock(
    conn: psycopg.Connection[Any], *, database: str, settings: RunSettings, progress: Progress
) -> Generator[Session]:
    """A session made ready, with Flyway's lock. Raises ``ServiceError`` for a pooled or broken connection,
    ``RetryableError`` for a lock that was not freed.
    """
    waiting = MigrationEvent("waiting", database)
    try:
        require_direct(conn, database)
        statements = prepare_session(conn, settings)
        with flyway_lock(
            conn, database=database, wait_s=settings.lock_wait_s, waiting=lambda: progress(waiting)
        ) as holder:
            yield Session(statements, holder)
    except psycopg.OperationalError as error:
        raise connection_lost(conn, error) from None


def make_records(conn: psycopg.Connection[Any], database: str, *, made: bool) -> None:
    """Make Flyway's table, unless it is ``made``, and ours, under the lock."""
    try:
        if not made:
            with conn.cursor(row_factory=tuple_row) as cursor:
                cursor.execute("SELECT pg_catalog.to_regclass('public.flyway_schema_history')")
                if cursor.fetchone() == (None,):
                    cursor.execute(CREATE_TABLE)
        make_table(conn)
    except psycopg.errors.InsufficientPrivilege as error:
        raise NeonctlError(
            "MIGRATION_FAILED",
            f"{database}: the record of migrations cannot be made as {conn.info.user}: {error.diag.message_primary}",
            hint="The migrate role needs USAGE and CREATE on schema public; `neonctl apply` grants both.",
            details={"database": database, "sqlstate": error.sqlstate, "applied": []},
        ) from None


def _record_listing(run: Run) -> None:
    """After a run that ended early: what is there now. Never hides why it ended."""
    if not run.done or run.conn.closed or run.conn.broken:
        return
    with contextlib.suppress(psycopg.Error):
        run.conn.execute(sql.SQL("; ").join(listing_statements(run.provenance)))  # one query is one transaction


def _failure(go: Callable[[], None]) -> ScriptFailedError | None:
    try:
        go()
    except ScriptFailedError as failure:
        return failure
    return None
