"""Show that every undo undoes: on a throw-away copy of a database, which is left in any state.

First on the rows that are there, then all the way down, then up from nothing with synthetic rows (``staircase.py``).
Before and after are compared by the listing of the catalogue and by the content of the tables that are older than
the migration.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from neonctl.errors import ServiceError
from neonctl.migrations.check import compare
from neonctl.migrations.files import MigrationFolder
from neonctl.migrations.findings import Findings
from neonctl.migrations.history import live_versions, read_history
from neonctl.migrations.plpgsql import check_functions
from neonctl.migrations.progress import Progress
from neonctl.migrations.proof import FixtureFile, Proof, require_insertable
from neonctl.migrations.scripts import require_runnable
from neonctl.migrations.session import RunSettings, connection_lost, prepare_session, require_direct
from neonctl.migrations.stage import Stage
from neonctl.migrations.staircase import Staircase

_NO_WAITING = sql.SQL("SET synchronous_commit = off")  # nothing here need survive a crash


def prove(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    files: MigrationFolder,
    fixtures: Sequence[FixtureFile],
    progress: Progress,
    settings: RunSettings,
) -> Proof:
    """Apply, undo and apply again every migration of ``files`` that is not below a baseline.

    ``conn`` is a direct connection in autocommit as the migrate role, to a copy that nobody else uses and nobody
    needs afterwards; the record of migrations in it is read, never written. A file that fails is a problem of the
    proof, not an error. Raises ``MigrationHistoryError``, ``MigrationScriptError`` or ``FixtureFilesError`` before
    anything ran, and ``ServiceError`` for a pooled connection, one that
    breaks, and a row that cannot be read.
    """
    if not conn.autocommit:
        raise ValueError("a proof needs a connection in autocommit: each file is its own transaction")
    started = time.monotonic()
    require_direct(conn, database)
    history = read_history(conn)
    pending = compare(files, history, database=database, out_of_order=settings.out_of_order).versioned
    live = live_versions(history)
    floor = max((number for number, row in live.items() if row.type == "BASELINE"), default=0)
    within = [file for file in files.versioned if file.number > floor]
    require_runnable([*within, *files.repeatable])
    require_insertable(fixtures, {file.number for file in files.versioned})
    findings = Findings(database, progress)
    stage: Stage | None = None
    try:
        stage = Stage(conn, (*prepare_session(conn, settings), _NO_WAITING))
        climb = Staircase(conn, stage, findings, {each.number: each for each in fixtures}, floor)
        climb.pending([file for file in within if file not in pending], pending)
        climb.down()
        climb.up_from_nothing()
        climb.repeatable(files.repeatable)
        if findings.all_tried(within):
            climb.compare_with_the_copy()
        check_functions(conn, findings)
    except psycopg.OperationalError as error:
        raise connection_lost(conn, error) from None
    except psycopg.Error as error:
        raise ServiceError(
            "MIGRATION_PROOF_STOPPED",
            f"{database}: the copy cannot be looked at: {error.diag.message_primary} (SQLSTATE {error.sqlstate})",
            hint="The proof reads every row of the copy as the migrate role. Nothing was proven.",
            details={"database": database, "sqlstate": error.sqlstate},
        ) from None
    finally:
        if stage is not None and not conn.closed:
            stage.close()
    return Proof(
        database=database,
        baseline=floor,
        versions=tuple(findings.version(file) for file in within),
        fixtures=tuple((each.path.name, each.sha256) for each in fixtures),
        problems=tuple(findings.general.problems),
        notes=tuple(findings.general.notes),
        catalogue_sha256=climb.view.catalogue.sha256,
        duration_ms=round((time.monotonic() - started) * 1000),
    )
