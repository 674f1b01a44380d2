"""A ``bank_core`` for tests: roles and schemas as provisioning makes them, every migration run, on the tests' cluster.

``bank_template`` is made once per session; ``bank`` is a copy of it for one test. Sessions are those of the real roles.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.banking.accounts import Holder, NewAccount, open_account
from neonctl.banking.posting import post, transfer
from postgres_server import PostgresServer, running_postgres

MIGRATIONS = Path(__file__).parent.parent / "db" / "bank_core" / "migrations"
SCHEMAS = ("accounts", "postings", "treasury", "contexts", "assets", "core")
OWNER = "bank_core_migrate_user"
READERS = ("bank_core_app_user", "bank_core_readonly", "bank_core_resolution_officer")

Connection = psycopg.Connection[TupleRow]


@dataclass
class Bank:
    """A database with the ledger in it."""

    server: PostgresServer
    name: str
    _opened: ExitStack = field(default_factory=ExitStack, repr=False)

    def connect(self, role: str = "app_user", **options: object) -> Connection:
        """A session of a role of bank_core, closed with the test. ``superuser``: the cluster's own."""
        user = self.server.superuser if role == "superuser" else f"bank_core_{role}"
        connection = psycopg.connect(
            self.server.conninfo(self.name, user),
            autocommit=True,
            **options,  # pyright: ignore[reportArgumentType]
        )
        return self._opened.enter_context(connection)

    def close(self) -> None:
        """End every session that ``connect`` opened."""
        self._opened.close()


def open_internal(conn: Connection, currency: str = "NZD", jurisdiction: str = "NZ") -> UUID:
    """An account of the bank's own."""
    return open_account(conn, NewAccount(currency, jurisdiction, internal=True)).account_id  # pyright: ignore[reportArgumentType]


def open_customer(
    conn: Connection,
    *,
    money: str | None = None,
    source: UUID | None = None,
    overdraft: str = "0.00",
    parties: Sequence[UUID] = (),
    currency: str = "NZD",
    jurisdiction: str = "NZ",
) -> UUID:
    """A customer's account, with ``money`` paid in from ``source`` (a new internal account when there is none)."""
    holders = [Holder(party) for party in parties or (uuid4(),)]
    wanted = NewAccount(currency, jurisdiction, holders, overdraft_limit=Decimal(overdraft))  # pyright: ignore[reportArgumentType]
    account = open_account(conn, wanted).account_id
    if money is not None:
        source = source or open_internal(conn, currency, jurisdiction)
        post(conn, transfer(source, account, Decimal(money)), idempotency_key=f"fund-{account}")
    return account


def prepare(server: PostgresServer, name: str, *, upto: int | None = None) -> None:
    """Roles, schemas and default privileges of ``name``, then its migrations as the owner."""
    with server.connect(name) as conn:
        for role in (OWNER, *READERS):
            conn.execute(
                sql.SQL(
                    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {0}) THEN"
                    " CREATE ROLE {1} LOGIN; END IF; END $$"
                ).format(sql.Literal(role), sql.Identifier(role))
            )
        for schema in SCHEMAS:
            conn.execute(
                sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(sql.Identifier(schema), sql.Identifier(OWNER))
            )
            for role in READERS:
                conn.execute(
                    sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), sql.Identifier(role))
                )
        readers = sql.SQL(", ").join(map(sql.Identifier, READERS))
        conn.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT ON TABLES TO {}").format(
                sql.Identifier(OWNER), readers
            )
        )
    with psycopg.connect(server.conninfo(name, OWNER), autocommit=True) as conn:
        for script in sorted(MIGRATIONS.glob("V*.sql")):
            if upto is None or int(script.name[1:4]) <= upto:
                conn.execute(script.read_bytes())


@pytest.fixture(scope="session")
def bank_template(postgres_server: PostgresServer) -> str:
    """The name of a database to copy."""
    name = postgres_server.create_database()
    prepare(postgres_server, name)
    return name


@pytest.fixture
def bank(postgres_server: PostgresServer, bank_template: str) -> Generator[Bank]:
    """A bank without accounts."""
    with postgres_server.database(bank_template) as name:
        found = Bank(postgres_server, name)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def own_bank() -> Generator[Callable[[], Bank]]:
    """``own_bank()``: a bank on a cluster of its own, to be killed."""
    with ExitStack() as opened:

        def make(**settings: str) -> Bank:
            server = opened.enter_context(running_postgres(**settings))
            name = server.create_database()
            prepare(server, name)
            return Bank(server, name)

        yield make
