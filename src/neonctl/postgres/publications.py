"""Publications for change data capture (MOD-103): FOR TABLE only, owned by the role that owns the tables."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.errors import ServiceError
from neonctl.plan.observed import PublicationSnapshot
from neonctl.postgres.batch import fetch, run
from neonctl.postgres.names import identifier, quoted
from neonctl.postgres.queryfile import query


def ensure_publication(conn: psycopg.Connection[TupleRow], name: str, owner: str, tables: Iterable[str]) -> None:
    """Make or correct the publication: this owner, exactly these tables (qualified names).

    Partitions publish as their root: a consumer sees one topic per table, not one per month. An owner must hold
    CREATE on the database at the moment it receives a publication; it is given and taken back in one transaction.
    Raises POSTGRES_REFUSED for a FOR ALL TABLES publication of that name: only a superuser may own such a thing.
    """
    doing = f"publishing tables as {name}"
    wanted = frozenset(tables)
    rows = fetch(conn, sql.SQL(query("publications", "one")), (name,), doing=doing)
    database = str(conn.info.dbname)
    if not rows:
        run(conn, [_create(name, wanted), *_give(name, owner, database)], doing=doing)
        return
    found = _snapshot(name, rows[0])
    if found.all_tables:
        raise ServiceError(
            "POSTGRES_REFUSED",
            f"{doing}: it exists as FOR ALL TABLES, which cannot become a list of tables",
            hint=f"drop publication {name} by hand once its consumers are stopped, then run the command again",
        )
    statements: list[sql.Composable] = []
    if found.tables != wanted:
        statements.append(_set_tables(name, wanted, found.tables))
    if found.owner != owner:
        statements += _give(name, owner, database)
    run(conn, statements, doing=doing)


def _snapshot(name: str, row: TupleRow) -> PublicationSnapshot:
    owner, all_tables, tables = row
    qualified = frozenset(f"{quoted(schema)}.{quoted(table)}" for schema, table in tables)
    return PublicationSnapshot(name, str(owner), qualified, bool(all_tables))


def _create(name: str, tables: frozenset[str]) -> sql.Composed:
    what = sql.SQL("FOR TABLE {} ").format(_list(tables)) if tables else sql.SQL("")
    return sql.SQL("CREATE PUBLICATION {} {}WITH (publish_via_partition_root = true)").format(
        sql.Identifier(name), what
    )


def _set_tables(name: str, wanted: frozenset[str], found: frozenset[str]) -> sql.Composed:
    if wanted:
        return sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(sql.Identifier(name), _list(wanted))
    return sql.SQL("ALTER PUBLICATION {} DROP TABLE {}").format(sql.Identifier(name), _list(found))


def _give(name: str, owner: str, database: str) -> list[sql.Composable]:
    to, where = sql.Identifier(owner), sql.Identifier(database)
    return [
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(where, to),
        sql.SQL("ALTER PUBLICATION {} OWNER TO {}").format(sql.Identifier(name), to),
        sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}").format(where, to),
    ]


def _list(tables: frozenset[str]) -> sql.Composed:
    return sql.SQL(", ").join(identifier(table) for table in sorted(tables))
