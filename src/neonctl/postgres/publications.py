"""Publications for change data capture (MOD-103): FOR TABLE only, owned by the role that owns the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.errors import ServiceError
from neonctl.plan.observed import PublicationSnapshot
from neonctl.postgres.batch import fetch, run
from neonctl.postgres.names import identifier, quoted
from neonctl.postgres.queryfile import query

_WHOLE: Final = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"


def ensure_publication(conn: psycopg.Connection[TupleRow], name: str, owner: str, tables: Iterable[str]) -> None:
    """Make or correct the publication: this owner, exactly these tables (qualified names).

    Partitions publish as their root: a consumer sees one topic per table, not one per month. Every kind of change, row
    and column is published: a filter that somebody set would lose them silently. An owner must hold
    CREATE on the database at the moment it receives a publication; it is given and taken back in one transaction.
    Raises POSTGRES_REFUSED for a FOR ALL TABLES publication of that name: only a superuser may own such a thing.
    """
    doing = f"publishing tables as {name}"
    wanted = frozenset(tables)
    parameters = {"owner": owner, "name": name}
    ((may_create, described),) = fetch(conn, sql.SQL(query("publications", "look")), parameters, doing=doing)
    give = _give(name, owner, None if may_create else conn.info.dbname)
    if described is None:
        run(conn, [_create(name, wanted), *give], doing=doing)
        return
    found = _snapshot(name, cast("Mapping[str, Any]", described))
    if found.all_tables:
        raise ServiceError(
            "POSTGRES_REFUSED",
            f"{doing}: it exists as FOR ALL TABLES, which cannot become a list of tables",
            hint=f"drop publication {name} by hand once its consumers are stopped, then run the command again",
        )
    statements: list[sql.Composable] = []
    if not found.whole:
        statements.append(sql.SQL("ALTER PUBLICATION {} SET ({})").format(sql.Identifier(name), sql.SQL(_WHOLE)))
    if found.tables != wanted or not found.whole:
        statements.append(_set_tables(name, wanted, found.tables))
    if found.owner != owner:
        statements += give
    run(conn, statements, doing=doing)


def _snapshot(name: str, found: Mapping[str, Any]) -> PublicationSnapshot:
    tables = frozenset(f"{quoted(schema)}.{quoted(table)}" for schema, table in found["tables"])
    return PublicationSnapshot(name, found["owner"], tables, found["all_tables"], found["whole"])


def _create(name: str, tables: frozenset[str]) -> sql.Composed:
    what = sql.SQL("FOR TABLE {} ").format(_list(tables)) if tables else sql.SQL("")
    return sql.SQL("CREATE PUBLICATION {} {}WITH (publish_via_partition_root = true)").format(
        sql.Identifier(name), what
    )


def _set_tables(name: str, wanted: frozenset[str], found: frozenset[str]) -> sql.Composed:
    if wanted:
        return sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(sql.Identifier(name), _list(wanted))
    return sql.SQL("ALTER PUBLICATION {} DROP TABLE {}").format(sql.Identifier(name), _list(found))


def _give(name: str, owner: str, database: str | None) -> list[sql.Composable]:
    """Hand the publication over; with a ``database``, the new owner gets CREATE on it for just that moment."""
    to = sql.Identifier(owner)
    statements: list[sql.Composable] = [sql.SQL("ALTER PUBLICATION {} OWNER TO {}").format(sql.Identifier(name), to)]
    if database is not None:
        where = sql.Identifier(database)
        statements.insert(0, sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(where, to))
        statements.append(sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}").format(where, to))
    return statements


def _list(tables: frozenset[str]) -> sql.Composed:
    return sql.SQL(", ").join(identifier(table) for table in sorted(tables))
