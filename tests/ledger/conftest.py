"""bank_core as provisioned and migrated, one copy per test, on a cluster of its own (its roles are cluster-wide)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from neonctl.migrations.evidence import Provenance
from neonctl.migrations.files import read_folder
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import RunSettings
from postgres_server import PostgresServer, running_postgres

MIGRATIONS = Path(__file__).parents[2] / "db" / "bank_core" / "migrations"
SCHEMAS = ("accounts", "postings", "treasury", "contexts", "assets", "core")
ROLES = ("migrate_user", "app_user", "readonly", "resolution_officer")
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="session")
def ledger_server() -> Generator[PostgresServer]:
    with running_postgres(max_connections="100", max_prepared_transactions="2") as server:
        yield server


@pytest.fixture(scope="session")
def ledger_template(ledger_server: PostgresServer) -> str:
    """The database that every test copies."""
    return migrated(ledger_server, "bank_core_template")


def migrated(server: PostgresServer, name: str) -> str:
    """A database of that name with every migration applied as the runner does it; on a server without our roles."""
    provisioned(server, name)
    with server.connect(name, "bank_core_migrate_user") as conn:
        migrate(
            conn,
            database="bank_core",
            files=read_folder(MIGRATIONS),
            progress=lambda _: None,
            settings=RunSettings(lock_timeout_s=5, statement_timeout_s=30),
            provenance=Provenance("tests", "ledger"),
        )
    return name


def provisioned(server: PostgresServer, name: str) -> str:
    """Roles, an empty database with schemas and default privileges: what provisioning makes."""
    with server.connect() as admin:
        for role in ROLES:
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(f"bank_core_{role}")))
    server.create_database(name=name)
    with server.connect(name) as owner:
        owner.execute("GRANT USAGE, CREATE ON SCHEMA public TO bank_core_migrate_user")
        for schema in map(sql.Identifier, SCHEMAS):
            owner.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION bank_core_migrate_user").format(schema))
            for role in ROLES[1:]:
                names = {"s": schema, "r": sql.Identifier(f"bank_core_{role}")}
                owner.execute(sql.SQL("GRANT USAGE ON SCHEMA {s} TO {r}").format(**names))
                owner.execute(
                    sql.SQL(
                        "ALTER DEFAULT PRIVILEGES FOR ROLE bank_core_migrate_user IN SCHEMA {s}"
                        " GRANT SELECT ON TABLES TO {r}"
                    ).format(**names)
                )
    return name


@dataclass
class Bank:
    """One test's database, and how to speak to it as each role."""

    server: PostgresServer
    database: str
    _stack: ExitStack
    _numbers: dict[str, int] = field(default_factory=dict[str, int])

    def connect(self, role: str) -> Connection:
        """A new connection of ``app_user``, ``readonly``, ``migrate_user``, ``resolution_officer`` or ``postgres``."""
        user = role if role == "postgres" else f"bank_core_{role}"
        return self._stack.enter_context(self.server.connect(self.database, user))

    def key(self) -> str:
        """An idempotency key that was not used yet."""
        return f"key-{uuid.uuid4()}"


@pytest.fixture
def bank(ledger_server: PostgresServer, ledger_template: str) -> Generator[Bank]:
    with ledger_server.database(ledger_template) as name, ExitStack() as stack:
        yield Bank(ledger_server, name, stack)


@dataclass
class Teller:
    """Calls the ledger's functions as the application does."""

    bank: Bank
    conn: Connection

    def open(
        self, *, currency: str = "NZD", jurisdiction: str = "NZ", overdraft: str = "0", money: str = "0"
    ) -> uuid.UUID:
        """A customer account, with money from a fresh internal account when asked for."""
        account = self._open(currency, jurisdiction, [uuid.uuid4()], False, overdraft)
        if Decimal(money):
            self.move(self.internal(currency, jurisdiction), account, money)
        return account

    def internal(self, currency: str = "NZD", jurisdiction: str = "NZ") -> uuid.UUID:
        """An internal account."""
        return self._open(currency, jurisdiction, [], True, "0")

    def _open(
        self, currency: str, jurisdiction: str, parties: list[uuid.UUID], internal: bool, overdraft: str
    ) -> uuid.UUID:
        row = self.conn.execute(
            "SELECT account_id FROM accounts.open_account(%s, %s, %s::uuid[], NULL, %s, %s)",
            [currency, jurisdiction, parties, internal, Decimal(overdraft)],
        ).fetchone()
        assert row is not None
        assert isinstance(row[0], uuid.UUID)
        return row[0]

    def post(
        self, legs: Sequence[tuple[uuid.UUID, str, str]], key: str | None = None, currencies: list[str] | None = None
    ) -> tuple[uuid.UUID, bool]:
        """Legs as (account, DEBIT or CREDIT, amount)."""
        row = self.conn.execute(
            "SELECT * FROM accounts.post_transaction(%s, %s::uuid[], %s::text[], %s::numeric[], %s)",
            [
                self.bank.key() if key is None else key,
                [leg[0] for leg in legs],
                [leg[1] for leg in legs],
                [Decimal(leg[2]) for leg in legs],
                currencies,
            ],
        ).fetchone()
        assert row is not None
        assert isinstance(row[0], uuid.UUID)
        return row[0], bool(row[1])

    def move(self, debit: uuid.UUID, credit: uuid.UUID, amount: str, key: str | None = None) -> uuid.UUID:
        """Two legs."""
        return self.post([(debit, "DEBIT", amount), (credit, "CREDIT", amount)], key)[0]

    def reverse(self, transaction: uuid.UUID, key: str | None = None) -> uuid.UUID:
        row = self.conn.execute(
            "SELECT transaction_id FROM accounts.reverse_transaction(%s, %s)", [transaction, key or self.bank.key()]
        ).fetchone()
        assert row is not None
        assert isinstance(row[0], uuid.UUID)
        return row[0]

    def hold(self, account: uuid.UUID, amount: str, key: str | None = None, ttl: str = "24 hours") -> uuid.UUID:
        row = self.conn.execute(
            "SELECT hold_id FROM accounts.create_hold(%s, %s, %s, %s::interval)",
            [account, Decimal(amount), key or self.bank.key(), ttl],
        ).fetchone()
        assert row is not None
        assert isinstance(row[0], uuid.UUID)
        return row[0]

    def release(self, hold: uuid.UUID, reason: str = "CANCELLED") -> bool:
        row = self.conn.execute("SELECT released FROM accounts.release_hold(%s, %s)", [hold, reason]).fetchone()
        assert row is not None
        return bool(row[0])

    def status(self, account: uuid.UUID, status: str, reason: str | None = None) -> None:
        self.conn.execute("SELECT accounts.set_account_status(%s, %s, %s)", [account, status, reason])

    def balance(self, account: uuid.UUID) -> tuple[str, str]:
        """Balance and stored available balance."""
        row = self.conn.execute(
            "SELECT balance::text, available_balance::text FROM accounts.accounts WHERE account_id = %s", [account]
        ).fetchone()
        assert row is not None
        return str(row[0]), str(row[1])


@pytest.fixture
def teller(bank: Bank) -> Teller:
    return Teller(bank, bank.connect("app_user"))


def refused(code: str, call: Callable[[], object]) -> psycopg.Error:
    """The call must fail, with this product code."""
    with pytest.raises(psycopg.Error) as caught:
        call()
    assert caught.value.diag.constraint_name == code, str(caught.value)
    assert (caught.value.sqlstate or "").startswith("NB")
    return caught.value
