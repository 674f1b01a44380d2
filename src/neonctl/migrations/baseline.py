"""Say of a database that was there before the record: up to this version everything is in it already."""

from __future__ import annotations

from typing import Any

import psycopg

from neonctl.errors import UsageError
from neonctl.migrations.check import MigrationHistoryError
from neonctl.migrations.evidence import NewEntry, Provenance, entry_statement, listing_statements
from neonctl.migrations.history import AppliedMigration, NewRow, read_history, row_statement, version_number
from neonctl.migrations.progress import Progress
from neonctl.migrations.run import closing, make_records, opening, under_lock
from neonctl.migrations.session import RunSettings, run_own

FLYWAYS_WORDS = "<< Flyway Baseline >>"


def baseline(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    version: str,
    progress: Progress,
    settings: RunSettings,
    provenance: Provenance,
    description: str = FLYWAYS_WORDS,
) -> AppliedMigration:
    """Write the baseline, as Flyway's command does, with evidence and the catalogue's listing; return its row.

    The same baseline again is no error and changes nothing. ``conn`` as for ``migrate``. Raises ``UsageError`` for a
    version that is no number; ``MigrationHistoryError`` ``BASELINE_REFUSED`` when something was applied already.
    """
    if not (version.isascii() and version.isdigit() and int(version) > 0):
        raise UsageError(
            "BASELINE_VERSION", f"{version!r} is not a version", hint="Give the number of a V file, for example 003."
        )
    with under_lock(conn, database=database, settings=settings, progress=progress) as session:
        history = read_history(conn)
        for row in history:
            if (row.type, version_number(row.version), row.description) == ("BASELINE", int(version), description):
                return row
        if any(row.type != "SCHEMA" for row in history):
            raise MigrationHistoryError(
                "BASELINE_REFUSED",
                f"{database}: flyway_schema_history already contains migrations: a baseline comes before them",
                hint="`neonctl migrate status` shows them.",
                details={"database": database, "problems": []},
            )
        make_records(conn, database, made=bool(history))
        new = NewRow(1, version, description, "BASELINE", description, None, timed=False)
        entry = NewEntry(
            "baseline", provenance, version=version, details={"installed_rank": 1, "description": description}
        )
        run_own(
            conn,
            (
                *opening(session, new.script),
                row_statement(new),
                entry_statement(entry),
                *listing_statements(provenance),
                *closing(),
            ),
            database,
        )
        return read_history(conn)[-1]
