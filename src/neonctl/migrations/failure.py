"""A script that stopped → what the user is told: file and line, Postgres' word, and nothing of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.errors import NeonctlError, RetryableError, UnsafePlanError
from neonctl.migrations.files import line_number
from neonctl.migrations.scripts import statement_line
from neonctl.migrations.session import ScriptFailedError, pooled, script_offset

TRANSIENT = frozenset({"55P03", "40P01"})  # lock_timeout, deadlock: all is rolled back, another try may do

_KEPT = (
    "it ran outside a transaction and may have left something, an invalid index for example. Run again: that is"
    " cleared away first. A corrected file needs `neonctl migrate repair` before it."
)


@dataclass(frozen=True)
class Place:
    """What was being run, and which files were done before it. ``kept``: outside a transaction, so that something of
    it may be there.
    """

    database: str
    path: Path
    sql: str
    done: tuple[str, ...]
    kept: bool = False


def failed(
    conn: psycopg.Connection[Any], place: Place, before: Sequence[sql.Composable], failure: ScriptFailedError
) -> NeonctlError:
    """The error to raise. ``conn`` is out of the failed transaction; DETAIL and CONTEXT may quote customers' data."""
    cause = failure.cause
    if failure.completed < 0 and cause.sqlstate == "22012":  # the guard in front of the script
        return pooled(place.database, "the session changed between two statements")
    if failure.completed < 0 and cause.sqlstate == "2201F":  # stakes.guard()
        return UnsafePlanError(
            "UNDO_APPEND_ONLY",
            f"{place.path}: rows came into an append-only table that it would drop",
            hint=f"{place.database}: nothing of this file was kept; what is append-only is kept.",
            details=_details(place),
        )
    if (cause.diag.table_name, cause.diag.column_name) == ("flyway_schema_history", "installed_rank"):
        return _mark_lost(conn, place, failure)
    offset = script_offset(cause, before, conn)
    if offset is not None and 0 <= offset <= len(place.sql):
        line = line_number(place.sql, offset)
    else:
        line = statement_line(place.sql, failure.completed)
    where = f"{place.path}:{line}" if line else str(place.path)
    kind, code, hint = (
        (RetryableError, "MIGRATION_LOCK_TIMEOUT", "run again when the table is less busy")
        if cause.sqlstate in TRANSIENT
        else (NeonctlError, "MIGRATION_FAILED", "correct it and run again")
    )
    return kind(
        code,
        f"{where}: {cause.diag.message_primary} (SQLSTATE {cause.sqlstate})",
        hint=f"{place.database}: {_KEPT if place.kept else f'nothing of this file was kept; {hint}.'}",
        details={
            **_details(place),
            "line": line,
            "statement": failure.completed + 1,
            "sqlstate": cause.sqlstate,
            "message": cause.diag.message_primary,
        },
    )


def _mark_lost(conn: psycopg.Connection[Any], place: Place, failure: ScriptFailedError) -> NeonctlError:
    """The parser refuses what would lead here; this is the second net. The server knows what became of the
    transaction that was begun for the file.
    """
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT pg_catalog.pg_xact_status(%s::xid8)", [failure.told]).fetchone()
    if row == ("committed",):
        return NeonctlError(
            "MIGRATION_TRANSACTION_ENDED",
            f"{place.path}: the file ended its own transaction: what it did before that stays, without a record",
            hint="Look at what it made, take it back by hand, and remove the transaction control from the file.",
            details=_details(place),
        )
    return NeonctlError(
        "MIGRATION_FAILED",
        f"{place.path}: the file took back its transaction or all settings of the session (ROLLBACK, RESET ALL)",
        hint=f"{place.database}: nothing of this file was kept; remove that from it and run again.",
        details=_details(place),
    )


def _details(place: Place) -> dict[str, object]:
    return {"database": place.database, "file": str(place.path), "applied": list(place.done)}
