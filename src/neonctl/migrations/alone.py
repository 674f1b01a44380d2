"""A file that runs outside a transaction: said to have begun, run, looked at, said to be done.

Between these steps anything may die. What was begun is seen by the next run, which goes on from there.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from neonctl.errors import NeonctlError
from neonctl.migrations.evidence import NewEntry, entry_statement
from neonctl.migrations.history import row_statement, success_statement
from neonctl.migrations.session import run_script
from neonctl.migrations.standing import Again, again, already_there, invalid, standing

if TYPE_CHECKING:
    from neonctl.migrations.run import Piece, Run


def send_alone(run: Run, script: str, piece: Piece, *, last: bool) -> None:
    """Run one such file, up or down. Raises ``ScriptFailedError``, and ``NeonctlError`` for an index that exists
    already or is not valid in the end.
    """
    it = standing(piece.path, piece.sql)
    run.conn.execute(sql.SQL("; ").join(run.session.settings))
    if script in run.begun:
        todo = again(run.conn, it)
    else:
        if name := already_there(run.conn, it):
            raise _failed(
                run,
                piece,
                f"there is an index {name} already",
                "Nothing was run. If an earlier try left it,"
                " not valid, drop it (DROP INDEX CONCURRENTLY); else rename one of them.",
            )
        run.begun[script] = _begin(run, script, piece)
        todo = Again()
    started = time.monotonic()
    for statement in todo.clear:
        run_script(run.conn, (), statement.as_string(run.conn), ())
    if todo.run:
        run_script(run.conn, (), piece.sql, ())  # alone: several statements in one query are a transaction
    if name := invalid(run.conn, it):
        raise _failed(run, piece, f"the index {name} is not valid", "Run again: it is dropped and made anew.")
    _end(run, script, piece, round((time.monotonic() - started) * 1000), last=last)


def _begin(run: Run, script: str, piece: Piece) -> int:
    """Record that it begins: upwards as Flyway records a failure, which is what it is until it came through."""
    rank = run.rank + 1
    frame = run.frame(piece, last=False, rank=rank)
    if run.direction == "up":
        begun = row_statement(replace(piece.row, rank=rank, timed=False, success=False))
    else:
        begun = entry_statement(
            NewEntry(
                "undo",
                run.provenance,
                version=piece.entry.version,
                script=piece.entry.script,
                details={"begun": True, "script": script},
            )
        )
    run_script(run.conn, frame.before, "", (begun, sql.SQL("COMMIT")))
    return rank


def _end(run: Run, script: str, piece: Piece, duration_ms: int, *, last: bool) -> None:
    rank = run.begun[script] if run.direction == "up" else run.rank + 1
    frame = run.frame(piece, last=last, rank=rank)
    record = (frame.record[0], success_statement(rank, duration_ms)) if run.direction == "up" else frame.record
    run_script(run.conn, frame.before, "", (*record, *frame.end))
    if run.direction == "down":
        run.begun[script] = rank


def _failed(run: Run, piece: Piece, what: str, hint: str) -> NeonctlError:
    return NeonctlError(
        "MIGRATION_FAILED",
        f"{piece.path}: {what}",
        hint=f"{run.database}: {hint}",
        details={"database": run.database, "file": str(piece.path), "applied": list(run.done)},
    )
