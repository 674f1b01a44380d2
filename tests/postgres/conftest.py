"""Neon's roles on a plain PostgreSQL, and a bank in it that ``bank_owner`` made: no superuser works in these tests."""

from __future__ import annotations

from collections.abc import Generator

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.plan.observed import RoleSnapshot
from neonctl.postgres.roles import create_roles, grant_membership
from neonctl.postgres.schemas import create_schema
from postgres_server import PostgresServer

Connection = psycopg.Connection[TupleRow]

MIGRATE, APP, READER = "bank_migrate_user", "bank_app_user", "bank_readonly"

#: As Neon makes them (PostgreSQL 18, facts.md 5).
NEON_ROLES = """
CREATE ROLE cloud_admin SUPERUSER LOGIN;
CREATE ROLE neon_superuser NOLOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS;
GRANT pg_read_all_data, pg_write_all_data, pg_monitor, pg_create_subscription, pg_signal_backend, pg_maintain,
      pg_signal_autovacuum_worker TO neon_superuser WITH ADMIN OPTION;
CREATE ROLE bank_owner LOGIN INHERIT CREATEROLE CREATEDB BYPASSRLS REPLICATION IN ROLE neon_superuser;
"""
NEON_DATABASE = """
ALTER SCHEMA public OWNER TO bank_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO neon_superuser WITH GRANT OPTION;
"""


@pytest.fixture(scope="session")
def neon(postgres_server: PostgresServer) -> PostgresServer:
    """The cluster with Neon's roles, and the bank's three made by ``bank_owner``."""
    with postgres_server.connect() as conn:
        conn.execute(NEON_ROLES)
    with postgres_server.connect(user="bank_owner") as conn:
        create_roles(conn, [RoleSnapshot(name) for name in (MIGRATE, APP, READER)])
        grant_membership(conn, MIGRATE, "bank_owner")
    return postgres_server


@pytest.fixture(scope="session")
def template(neon: PostgresServer) -> str:
    """A database as Neon makes it, with schemas and tables of the bank's migrate_user."""
    name = neon.create_database(owner="bank_owner")
    with neon.connect(name, "cloud_admin") as conn:
        conn.execute(NEON_DATABASE)
        granted = sql.SQL("GRANT ALL ON DATABASE {} TO neon_superuser")
        conn.execute(granted.format(sql.Identifier(name)))
    with neon.connect(name, "bank_owner") as conn:
        create_schema(conn, "accounts", MIGRATE)
        create_schema(conn, "core", MIGRATE)
        conn.execute("GRANT CREATE ON SCHEMA public TO bank_migrate_user")
    return name


@pytest.fixture
def database(neon: PostgresServer, template: str) -> Generator[str]:
    """A database of its own for one test."""
    with neon.database(template, owner="bank_owner") as name:
        yield name


@pytest.fixture
def owner(neon: PostgresServer, database: str) -> Generator[Connection]:
    """``bank_owner`` in that database, in autocommit."""
    with neon.connect(database, "bank_owner") as conn:
        yield conn


@pytest.fixture
def migrator(neon: PostgresServer, database: str) -> Generator[Connection]:
    """``bank_migrate_user`` in that database, in autocommit."""
    with neon.connect(database, MIGRATE) as conn:
        yield conn
