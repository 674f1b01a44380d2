"""A run under the lock: each file with its rows as one query and one transaction, tried again, told about."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import sql

from neonctl.migrations.evidence import NewEntry, Provenance, entry_statement
from neonctl.migrations.failure import TRANSIENT, Place, failed
from neonctl.migrations.history import MARK, NewRow, row_statement
from neonctl.migrations.progress import MigrationEvent, Progress
from neonctl.migrations.session import ScriptFailedError, connection_lost, run_script

if TYPE_CHECKING:
    from pathlib import Path
    from typing import LiteralString

    from neonctl.migrations.files import AnyFile

_ATTEMPTS = 3
_PAUSE_S = 0.5


@dataclass(frozen=True)
class Piece:
    """What is sent for one file: its text, the row in Flyway's record, the entry in ours. ``row.rank`` is set later."""

    path: Path
    sql: str
    row: NewRow
    entry: NewEntry


class StoppedError(Exception):
    """Somebody else failed: no next file. Never seen outside a run."""


@dataclass
class Run:
    """One run of one database. ``pieces`` says what is sent for a file; ``last`` names the last file there will be,
    which takes the catalogue's listing with it.
    """

    conn: psycopg.Connection[Any]
    database: str
    progress: Progress
    provenance: Provenance
    session: Sequence[sql.Composable]
    backend_pid: int
    rank: int
    pieces: Mapping[str, Piece]
    last: str
    catalogue: LiteralString | None = None
    direction: Literal["up", "down"] = "up"
    stop: Callable[[], bool] = lambda: False
    done: list[str] = field(default_factory=list[str])  # names of files, in the order they were done

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
                before, _ = self._frame(piece, last=False)
                raise failed(self.conn, Place(self.database, piece.path, piece.sql, tuple(self.done)), before, failure)
            self.progress(MigrationEvent("retrying", self.database, piece.path.name))
            time.sleep(_PAUSE_S * attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
            attempt += 1
        self.rank += 1
        self.done.append(file.script)
        took = round((time.monotonic() - started) * 1000)
        self.progress(
            MigrationEvent("applied" if self.direction == "up" else "undone", self.database, piece.path.name, took)
        )

    def send(self, file: AnyFile) -> None:
        """The file, its rows, BEGIN and COMMIT: one query. Raises ``ScriptFailedError``."""
        piece = self.pieces[file.script]
        before, after = self._frame(piece, last=file.script == self.last)
        run_script(self.conn, before, piece.sql, after)

    def listing_entry(self) -> sql.Composed | None:
        """The statement that records the catalogue as it is now; None when nobody said how to read it."""
        if self.catalogue is None:
            return None
        return entry_statement(NewEntry("catalogue", self.provenance), listing_query=self.catalogue)

    def _frame(self, piece: Piece, *, last: bool) -> tuple[Sequence[sql.Composable], Sequence[sql.Composable]]:
        """What goes before and after the file's text, so that all of it is one query and one transaction."""
        # The lock is the session's: another session than the one that took it (a pooler gave us) must do nothing.
        mark = sql.SQL(
            "SELECT pg_catalog.pg_current_xact_id()::text, pg_catalog.set_config({}, {}, true),"
            " 1 / (pg_catalog.pg_backend_pid() = {})::int"
        ).format(sql.Literal(MARK), sql.Literal(piece.row.script), sql.Literal(self.backend_pid))
        row = replace(piece.row, rank=self.rank + 1)
        entry = replace(piece.entry, details={**piece.entry.details, "installed_rank": row.rank})
        after: list[sql.Composable] = [
            sql.SQL("SET LOCAL search_path = pg_catalog"),  # the file may have set another
            row_statement(row),
            entry_statement(entry),
        ]
        listing = self.listing_entry() if last else None
        if listing is not None:
            after.append(listing)
        return (*self.session, sql.SQL("BEGIN"), mark), (*after, sql.SQL("COMMIT"))


def _failure(go: Callable[[], None]) -> ScriptFailedError | None:
    try:
        go()
    except ScriptFailedError as failure:
        return failure
    return None
