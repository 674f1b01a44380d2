"""Flyway's own record, ``public.flyway_schema_history``: its exact table, its rows, its lock.

Real Flyway (7 and later) and neonctl can take turns on one database. Sources of the texts and rules: Flyway's
PostgreSQLDatabase, JdbcTableSchemaHistory and PostgreSQLAdvisoryLockTemplate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.errors import ServiceError

if TYPE_CHECKING:
    from typing import LiteralString

#: 0x466C79776179 ("Flyway") + Java's hashCode() of '"public"."flyway_schema_history"'.
LOCK_KEY = 77433833903597

CREATE_TABLE: LiteralString = """\
CREATE TABLE "public"."flyway_schema_history" (
    "installed_rank" INT NOT NULL,
    "version" VARCHAR(50),
    "description" VARCHAR(200) NOT NULL,
    "type" VARCHAR(20) NOT NULL,
    "script" VARCHAR(1000) NOT NULL,
    "checksum" INTEGER,
    "installed_by" VARCHAR(100) NOT NULL,
    "installed_on" TIMESTAMP NOT NULL DEFAULT now(),
    "execution_time" INTEGER NOT NULL,
    "success" BOOLEAN NOT NULL
);
ALTER TABLE "public"."flyway_schema_history" ADD CONSTRAINT "flyway_schema_history_pk" PRIMARY KEY ("installed_rank");
CREATE INDEX "flyway_schema_history_s_idx" ON "public"."flyway_schema_history" ("success");
"""

_READ: LiteralString = """\
SELECT "installed_rank", "version", "description", "type", "script", "checksum",
       "installed_by", "installed_on", "execution_time", "success"
FROM "public"."flyway_schema_history" ORDER BY "installed_rank"
"""

#: Runs in the migration's own transaction. Both times are the server's: when the transaction began, and how long
#: since. Flyway leaves ``installed_on`` to its default, the session's local time; a file may have changed the zone.
#: A mark that is gone leaves no rank, which the table refuses: then nothing after it runs either.
_INSERT_ROW: LiteralString = """\
INSERT INTO "public"."flyway_schema_history"
    ("installed_rank", "version", "description", "type", "script", "checksum",
     "installed_by", "installed_on", "execution_time", "success")
SELECT CASE WHEN current_setting({mark}, true) = {script} THEN {rank} END,
       {version}, {description}, {type}, {script}, {checksum}, current_user, now() AT TIME ZONE 'UTC', {time}, {success}
"""

_ELAPSED_MS: LiteralString = "(1000 * extract(epoch FROM clock_timestamp() - now()))::int"

#: Set to the script's name for the length of its transaction: gone means the file ended it.
MARK: LiteralString = "neonctl.migration"

BASELINES = ("BASELINE", "SQL_BASELINE")  # "from here on": by command, or by a B file of the paid edition
_DESCRIPTION = 200  # characters that the column holds
DELETED = ("DELETE", "UNDO_SQL")  # what takes the row before it of the same version back


@dataclass(frozen=True)
class NewRow:
    """A row to be written. ``rank`` is the last one's plus 1; the rest is what Flyway would say."""

    rank: int
    version: str | None
    description: str
    type: str
    script: str
    checksum: int | None
    timed: bool = True  # False: 0 ms, as Flyway writes for what no script did
    success: bool = True


@dataclass(frozen=True)
class AppliedMigration:
    """One row of the record, as it stands there. ``installed_on`` is UTC: the runner's session writes it so."""

    installed_rank: int
    version: str | None  # None: a repeatable migration or a schema Flyway made
    description: str
    type: str  # SQL, DELETE, UNDO_SQL, BASELINE, SCHEMA, ...
    script: str
    checksum: int | None
    installed_by: str
    installed_on: datetime
    execution_time_ms: int
    success: bool


def row_statement(new: NewRow) -> sql.Composed:
    """The INSERT of a row, to be sent within the transaction in which ``MARK`` was set to the row's script."""
    return sql.SQL(_INSERT_ROW).format(
        mark=sql.Literal(MARK),
        rank=sql.Literal(new.rank),
        version=sql.Literal(new.version),
        description=sql.Literal(abbreviated(new.description)),
        type=sql.Literal(new.type),
        script=sql.Literal(new.script),
        checksum=sql.Literal(new.checksum),
        time=sql.SQL(_ELAPSED_MS) if new.timed else sql.Literal(0),
        success=sql.Literal(new.success),
    )


def success_statement(rank: int, duration_ms: int) -> sql.Composed:
    """The UPDATE that ends a row which was written before its statement ran."""
    return sql.SQL(
        'UPDATE "public"."flyway_schema_history" SET "success" = true, "execution_time" = {}'
        ' WHERE "installed_rank" = {} AND NOT "success"'
    ).format(sql.Literal(duration_ms), sql.Literal(rank))


def abbreviated(description: str) -> str:
    """A description as it fits Flyway's column."""
    return description if len(description) <= _DESCRIPTION else description[: _DESCRIPTION - 3] + "..."


def read_history(conn: psycopg.Connection[Any]) -> tuple[AppliedMigration, ...]:
    """Every row in rank order; ``()`` when there is no table yet.

    One statement, so that ``SELECT`` on the table is all the caller's role needs. Raises ``ServiceError`` when the
    role may not read it or the connection is gone. The connection must be in autocommit.
    """
    database, user = conn.info.dbname, conn.info.user  # asked now: a connection that broke cannot say
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(_READ).fetchall()
    except psycopg.errors.UndefinedTable:
        return ()
    except psycopg.Error as error:
        raise ServiceError(
            "MIGRATION_HISTORY_UNREADABLE",
            f"{database}: flyway_schema_history cannot be read as {user}: "
            f"{error.diag.message_primary or 'the connection was lost'}",
            hint="Check the role's rights in schema public and the connection, then run again.",
            details={"database": database, "sqlstate": error.sqlstate},
        ) from None
    return tuple(_row(row) for row in rows)


def live_versions(applied: Sequence[AppliedMigration]) -> dict[int, AppliedMigration]:
    """The versioned migrations that are in force: applied or failed last, not undone since.

    An undo is a later row of the same version, ``DELETE`` (open-source Flyway ≥ 7) or ``UNDO_SQL`` (the paid
    plug-in); both are understood.
    """
    live: dict[int, AppliedMigration] = {}
    for row in applied:
        number = version_number(row.version)
        if number is None:
            continue
        if row.type in DELETED:
            live.pop(number, None)
        else:
            live[number] = row
    return live


def foreign_versions(applied: Sequence[AppliedMigration]) -> tuple[AppliedMigration, ...]:
    """Rows in force of versions that no file here can have: 2.1, for example, which Flyway knows."""
    last = {row.version: row for row in applied if row.version is not None and version_number(row.version) is None}
    return tuple(row for row in last.values() if row.type not in DELETED)


def version_number(version: str | None) -> int | None:
    """``"001"`` → 1; ``"1.0"`` is the same version to Flyway. None for a row that no V file can be meant by."""
    if version is None:
        return None
    whole, *rest = version.split(".")
    if not (whole.isascii() and whole.isdigit()) or any(part.strip("0") for part in rest):
        return None
    return int(whole)


def _row(row: tuple[Any, ...]) -> AppliedMigration:
    installed_on: datetime = row[7]
    return AppliedMigration(
        installed_rank=row[0],
        version=row[1],
        description=row[2],
        type=row[3],
        script=row[4],
        checksum=row[5],
        installed_by=row[6],
        installed_on=installed_on.replace(tzinfo=UTC),
        execution_time_ms=row[8],
        success=row[9],
    )
