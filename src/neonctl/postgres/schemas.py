"""Schemas and databases: who owns them, what they were built for."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.postgres.batch import run
from neonctl.postgres.marks import built_for_comment


def create_schema(conn: psycopg.Connection[TupleRow], name: str, owner: str) -> None:
    """Make the schema if it is missing. An existing one keeps its owner: see ``set_schema_owner``."""
    statement = sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
        sql.Identifier(name), sql.Identifier(owner)
    )
    run(conn, [statement], doing=f"creating schema {name}")


def set_schema_owner(conn: psycopg.Connection[TupleRow], name: str, owner: str) -> None:
    """Give the schema to ``owner``; the caller must own it and be able to SET ROLE to ``owner``."""
    statement = sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(owner))
    run(conn, [statement], doing=f"giving schema {name} to {owner}")


def mark_database(conn: psycopg.Connection[TupleRow], database: str, branch_id: str | None) -> None:
    """Say in the database's comment which branch it was built for; ``None`` takes the comment away."""
    comment = sql.Literal(built_for_comment(branch_id) if branch_id else None)
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), comment)
    run(conn, [statement], doing=f"marking database {database}")
