"""The six databases' own migrations: up, down and up again, as their migrate role, on databases as provisioned."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from neonctl.migrations.files import MigrationFile, read_folder, read_migrations
from neonctl.migrations.proof import read_fixtures
from neonctl.migrations.prove import prove
from neonctl.migrations.runner import migrate
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

DB = Path(__file__).parents[2] / "db"
SCHEMAS = {
    "bank_core": ("accounts", "postings", "treasury", "contexts", "assets", "core"),
    "bank_kyc": ("kyc", "party", "banking", "regulatory"),
    "bank_aml": ("aml",),
    "bank_payments": ("payments",),
    "bank_credit": ("credit",),
    "bank_app": ("app", "access"),
}
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(params=sorted(SCHEMAS))
def bank(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Generator[str]:
    """A database of the bank, named and furnished as provisioning does it (product.md 4)."""
    name: str = request.param
    people = [f"{name}_{suffix}" for suffix in ("migrate_user", "app_user", "readonly")]
    if name == "bank_core":
        people.append("bank_core_resolution_officer")
    with postgres_server.connect() as admin:
        # Roles are the cluster's: another suite's bank may have made some, which are its own to drop.
        there = {role for (role,) in admin.execute("SELECT rolname FROM pg_roles").fetchall()}
        people_made = [person for person in people if person not in there]
        for person in people_made:
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(person)))
        postgres_server.create_database(name=name)
        with postgres_server.connect(name) as owner:
            _furnish(owner, name, *people[:3])
        yield name
        postgres_server.drop_database(name)
        for person in people_made:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(person)))


def _furnish(conn: Connection, database: str, migrate_user: str, app_user: str, readonly: str) -> None:
    names = {key: sql.Identifier(value) for key, value in (("m", migrate_user), ("a", app_user), ("r", readonly))}
    app_rights = sql.SQL("SELECT" if database == "bank_core" else "SELECT, INSERT, UPDATE, DELETE")
    conn.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {m}").format(**names))
    for schema in map(sql.Identifier, SCHEMAS[database]):
        for statement in (
            "CREATE SCHEMA {s} AUTHORIZATION {m}",
            "GRANT USAGE ON SCHEMA {s} TO {a}, {r}",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {m} IN SCHEMA {s} GRANT {rights} ON TABLES TO {a}",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {m} IN SCHEMA {s} GRANT SELECT ON TABLES TO {r}",
        ):
            conn.execute(sql.SQL(statement).format(s=schema, rights=app_rights, **names))


def up(server: PostgresServer, database: str) -> tuple[str, ...]:
    with server.connect(database, f"{database}_migrate_user") as conn:
        result = migrate(
            conn,
            database=database,
            files=read_folder(DB / database / "migrations"),
            progress=lambda _: None,
            settings=SETTINGS,
            provenance=WHO,
        )
    return result.applied


def down(server: PostgresServer, database: str, file: MigrationFile) -> None:
    """Undo one version as Flyway ≥ 7 understands it: the twin, and a DELETE row, in one transaction."""
    with server.connect(database, f"{database}_migrate_user") as conn, conn.transaction():
        conn.execute(file.undo.sql.encode())
        conn.execute(
            "INSERT INTO flyway_schema_history SELECT max(installed_rank) + 1, %s, %s, 'DELETE', %s, %s,"
            " current_user, now(), 0, true FROM flyway_schema_history",
            [file.version, file.description, file.script, file.checksum],
        )


def catalogue(server: PostgresServer, database: str) -> str:
    dump = server.dump_schema(database, "--exclude-table=public.flyway_schema_history", "--exclude-schema=public")
    return "\n".join(line for line in dump.splitlines() if not line.startswith("\\"))  # \restrict has a random key


def test_every_undo_undoes_and_what_it_undid_can_be_done_again(postgres_server: PostgresServer, bank: str) -> None:
    files = read_migrations(DB / bank / "migrations")
    before = catalogue(postgres_server, bank)
    assert up(postgres_server, bank) == tuple(file.version for file in files)
    after = catalogue(postgres_server, bank)
    assert after != before
    for file in reversed(files):
        down(postgres_server, bank, file)
    assert catalogue(postgres_server, bank) == before
    assert up(postgres_server, bank) == tuple(file.version for file in files)
    assert catalogue(postgres_server, bank) == after
    assert up(postgres_server, bank) == ()


#: A snapshot makes the month's partition: a table, which the rows for a proof may not. Locks have no rows. The others are refused to whoever
#: is not the resolution officer, the owner included; ``tests/obr`` undoes them with rows.
NOT_FOR_THE_OWNER = {
    "bank_core": [
        ("core.eod_runs",),
        ("core.ledger_lock",),
        ("core.obr_account_partitions",),
        ("core.obr_drills",),
        ("core.obr_holder_partitions",),
        ("core.obr_instructions",),
        ("core.obr_key_revocations",),
        ("core.obr_keys",),
        ("core.obr_permanent_haircuts",),
        ("core.relay_lock",),
    ]
}


def test_every_undo_is_proven_with_rows_in_every_table(postgres_server: PostgresServer, bank: str) -> None:
    files, fixtures = read_folder(DB / bank / "migrations"), read_fixtures(DB / bank / "fixtures")
    with postgres_server.connect(bank, f"{bank}_migrate_user") as conn:
        proof = prove(conn, database=bank, files=files, fixtures=fixtures, progress=lambda _: None, settings=SETTINGS)
        assert (proof.problems, [version.problems for version in proof.versions]) == ((), [()] * len(files.versioned))
        assert all(version.tables_with_rows for version in proof.versions)
        empty = conn.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relowner = current_user::regrole"
            " AND pg_relation_size(oid) = 0"
        ).fetchall()
    assert sorted(empty) == NOT_FOR_THE_OWNER.get(bank, [])


def test_every_table_has_a_key_an_owner_and_a_comment(postgres_server: PostgresServer, bank: str) -> None:
    up(postgres_server, bank)
    with postgres_server.connect(bank) as conn:
        rows = conn.execute(
            """
            SELECT c.oid::regclass::text, pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class') IS NOT NULL,
                   EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s)
            """,
            [list(SCHEMAS[bank])],
        ).fetchall()
    assert rows
    assert {row[1:] for row in rows} == {(f"{bank}_migrate_user", True, True)}


@pytest.mark.parametrize("bank", ["bank_core"], indirect=True)
def test_the_application_opens_accounts_but_cannot_write_money(postgres_server: PostgresServer, bank: str) -> None:
    up(postgres_server, bank)
    new = (
        "INSERT INTO accounts.accounts (account_number, product_code, currency, jurisdiction)"
        " VALUES ('{}', 'EVERYDAY', 'NZD', 'NZ')"
    )
    with postgres_server.connect(bank, "bank_core_app_user") as app:
        app.execute("SELECT accounts.open_account('NZD', 'NZ', ARRAY[gen_random_uuid()])")
        app.execute("SELECT accounts.set_account_status(account_id, 'ACTIVE') FROM accounts.accounts")
        for refused in (
            new.format("01-0001"),  # a customer's account that nobody holds
            "UPDATE accounts.accounts SET status = 'ACTIVE'",
            "UPDATE accounts.accounts SET restriction_reason = NULL",
            "UPDATE accounts.accounts SET updated_at = now()",
            "UPDATE accounts.accounts SET balance = 100",
            "UPDATE accounts.accounts SET available_balance = 100",
            "UPDATE accounts.accounts SET overdraft_limit = 100",
            "DELETE FROM accounts.accounts",
            "TRUNCATE accounts.accounts CASCADE",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(refused.encode())
    with postgres_server.connect(bank) as admin:
        with pytest.raises(psycopg.Error) as caught:
            admin.execute("UPDATE accounts.accounts SET balance = -0.01")
        assert caught.value.diag.constraint_name == "LEDGER_MANAGED"
        for impossible in (
            new.format("01-0003").replace("NZD", "USD"),
            "INSERT INTO accounts.account_party_relationships SELECT account_id, account_id, 'HOLDER', 100.0001 FROM accounts.accounts",
            "INSERT INTO accounts.account_party_relationships SELECT account_id, account_id, 'SIGNATORY', 1 FROM accounts.accounts",
            "INSERT INTO accounts.account_party_relationships SELECT account_id, account_id, 'HOLDER', NULL FROM accounts.accounts",
        ):
            with pytest.raises(psycopg.errors.CheckViolation):
                admin.execute(impossible.encode())


@pytest.mark.parametrize(
    ("bank", "refused"),
    [
        ("bank_kyc", ["DELETE FROM kyc.identity_verifications"]),
        ("bank_aml", ["DELETE FROM aml.screenings", "DELETE FROM aml.screening_matches"]),
        (
            "bank_payments",
            [
                "DELETE FROM payments.payments",
                "DELETE FROM payments.payment_status_changes",
                "UPDATE payments.payment_status_changes SET reason = ''",
            ],
        ),
        ("bank_app", ["DELETE FROM access.role_assignments"]),
    ],
    indirect=["bank"],
)
def test_evidence_is_not_the_applications_to_remove(
    postgres_server: PostgresServer, bank: str, refused: list[str]
) -> None:
    up(postgres_server, bank)
    with postgres_server.connect(bank, f"{bank}_app_user") as app:
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement.encode())
