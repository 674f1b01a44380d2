from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from neonctl.plan.observed import AppliedVersion, Grant
from neonctl.postgres.grants import apply_grants, change_grants
from neonctl.postgres.inspect import read_both, read_cluster, read_database
from neonctl.postgres.schemas import create_schema, mark_database, set_schema_owner
from postgres_server import PostgresServer

Connection = psycopg.Connection[TupleRow]

HISTORY = """
CREATE TABLE public.flyway_schema_history (
    installed_rank int PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL, type varchar(20) NOT NULL,
    script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);
"""
ROW = """
INSERT INTO public.flyway_schema_history
VALUES (%s, %s, 'd', %s, %s, %s, 'me', DEFAULT, 1, %s)
"""


def grants_of(conn: Connection, *kinds: str) -> set[tuple[str, str, str]]:
    found = read_database(conn).grants
    return {(each.object, each.grantee, each.privilege) for each in found if each.kind in kinds}


def test_a_fresh_database_shows_what_public_may_do(owner: Connection, database: str) -> None:
    found = read_database(owner)
    assert (found.name, found.owner, found.built_for, found.history) == (database, "bank_owner", None, None)
    assert found.schemas == {"public": "bank_owner", "accounts": "bank_migrate_user", "core": "bank_migrate_user"}
    assert found.grants == {
        Grant("database", database, "PUBLIC", "CONNECT"),
        Grant("database", database, "PUBLIC", "TEMPORARY"),
        Grant("schema", "public", "PUBLIC", "USAGE"),
        Grant("schema", "public", "bank_migrate_user", "CREATE"),
        Grant("default", "bank_migrate_user/*/functions", "PUBLIC", "EXECUTE"),
    }


def test_every_kind_of_grant_is_seen_and_of_an_owner_s_own_what_may_have_been_denied(
    owner: Connection, migrator: Connection
) -> None:
    migrator.execute("""
        CREATE TYPE core.money AS (amount numeric);
        CREATE TABLE accounts.accounts (id bigserial PRIMARY KEY, balance numeric, "Odd Column" int);
        CREATE VIEW accounts.open AS SELECT id FROM accounts.accounts;
        CREATE FUNCTION core.post(uuid, numeric(18,2), core.money[], timestamptz) RETURNS int
            LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE core."Do It"() LANGUAGE sql AS 'SELECT 1';
        GRANT SELECT ON accounts.accounts TO bank_readonly WITH GRANT OPTION;
        GRANT UPDATE (balance), SELECT ("Odd Column") ON accounts.accounts TO bank_app_user;
        GRANT SELECT ON accounts.open TO PUBLIC;
        GRANT USAGE ON SEQUENCE accounts.accounts_id_seq TO bank_app_user;
        REVOKE EXECUTE ON PROCEDURE core."Do It" FROM PUBLIC;
        GRANT EXECUTE ON PROCEDURE core."Do It" TO bank_app_user;
        CREATE FUNCTION core.as_owner() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
        CREATE FUNCTION core.denied_to_its_owner() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
        CREATE FUNCTION core.fired() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END';
        REVOKE EXECUTE ON FUNCTION core.as_owner(), core.denied_to_its_owner(), core.fired() FROM PUBLIC;
        REVOKE EXECUTE ON FUNCTION core.denied_to_its_owner() FROM CURRENT_USER;
    """)
    found = read_database(owner).grants
    assert {each for each in found if each.kind in ("table", "column", "sequence", "function")} == {
        Grant("table", "accounts.accounts", "bank_readonly", "SELECT", grantable=True),
        Grant("table", "accounts.open", "PUBLIC", "SELECT"),
        Grant("column", "accounts.accounts.balance", "bank_app_user", "UPDATE"),
        Grant("column", 'accounts.accounts."Odd Column"', "bank_app_user", "SELECT"),
        Grant("sequence", "accounts.accounts_id_seq", "bank_app_user", "USAGE"),
        Grant("function", "core.post(uuid, numeric, core.money[], timestamp with time zone)", "PUBLIC", "EXECUTE"),
        Grant("function", 'core."Do It"()', "bank_app_user", "EXECUTE"),
        Grant("function", "core.as_owner()", "bank_migrate_user", "EXECUTE"),
    }
    migrator.execute("GRANT EXECUTE ON FUNCTION core.denied_to_its_owner() TO CURRENT_USER")
    given_back = Grant("function", "core.denied_to_its_owner()", "bank_migrate_user", "EXECUTE")
    assert read_database(owner).grants - found == {given_back}


def test_reading_leaves_the_search_path_as_it_was(owner: Connection) -> None:
    owner.execute("SET search_path TO core, accounts")
    with owner.transaction():
        read_database(owner)
        assert owner.execute("SHOW search_path").fetchone() == ("core, accounts",)
    read_database(owner)
    assert owner.execute("SHOW search_path").fetchone() == ("core, accounts",)


def test_each_reading_is_one_message_to_the_server(owner: Connection, tmp_path: Path) -> None:
    with (tmp_path / "trace").open("w+") as trace:
        owner.pgconn.trace(trace.fileno())
        read_database(owner)
        read_cluster(owner)
        read_both(owner)
        owner.pgconn.untrace()
        trace.seek(0)
        sent = re.findall(r"^[^\t\n]*\tF\t\d+\t(\w+)", trace.read(), re.MULTILINE)
    assert sent == ["Query", "Query", "Query"]


@pytest.mark.parametrize("migrated", [True, False])
def test_both_readings_at_once_are_what_each_is_alone(owner: Connection, migrator: Connection, migrated: bool) -> None:
    migrator.execute("CREATE TABLE accounts.accounts (id int)")
    if migrated:
        migrator.execute(HISTORY)
    owner.execute("SET search_path = core, accounts")
    assert read_both(owner) == (read_cluster(owner), read_database(owner))
    assert owner.execute("SHOW search_path").fetchone() == ("core, accounts",)


def test_tables_keys_and_partitions(owner: Connection, migrator: Connection) -> None:
    migrator.execute("""
        CREATE TABLE accounts.accounts (id int PRIMARY KEY);
        CREATE TABLE core.keyless (id int UNIQUE);
        CREATE TABLE core.log (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE core.log_2026 PARTITION OF core.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        GRANT SELECT ON core.log, core.log_2026 TO bank_readonly;
        GRANT INSERT ON core.log_2026 TO bank_readonly;
        GRANT SELECT (id) ON core.log, core.log_2026 TO bank_app_user;
        GRANT SELECT (at) ON core.log_2026 TO bank_app_user;
    """)
    found = read_database(owner)
    assert found.tables == {"accounts.accounts", "core.keyless", "core.log"}
    assert found.tables_without_key == {"core.keyless"}
    assert grants_of(owner, "table", "column") == {
        ("core.log", "bank_readonly", "SELECT"),
        ("core.log_2026", "bank_readonly", "INSERT"),
        ("core.log.id", "bank_app_user", "SELECT"),
        ("core.log_2026.at", "bank_app_user", "SELECT"),
    }


def test_objects_of_an_extension_are_left_out(neon: PostgresServer, owner: Connection, database: str) -> None:
    with neon.connect(database, "cloud_admin") as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements SCHEMA core")
    assert not grants_of(owner, "function", "table")


def test_history_counts_what_is_applied(owner: Connection, migrator: Connection) -> None:
    migrator.execute(HISTORY)
    assert read_database(owner).history == ()
    rows = [
        (1, "001", "BASELINE", "<< Flyway Baseline >>", None, True),
        (2, "002", "SQL", "V002__a.sql", 12, True),
        (3, "003", "SQL", "V003__b.sql", -13, True),
        (4, "003", "UNDO_SQL", "U003__b.sql", None, True),
        (5, None, "SQL", "R__views.sql", 5, True),
        (6, "004", "SQL", "V004__c.sql", 14, False),
        (7, "002", "DELETE", "V002__a.sql", 12, True),
        (8, "002", "SQL", "V002__a.sql", 22, True),
    ]
    with migrator.cursor() as cursor:
        cursor.executemany(ROW, rows)
    assert read_database(owner).history == (
        AppliedVersion("001", "<< Flyway Baseline >>", None, baseline=True),
        AppliedVersion("002", "V002__a.sql", 22),
    )


def test_a_reader_without_rights_sees_the_history_as_empty(
    neon: PostgresServer, migrator: Connection, database: str
) -> None:
    migrator.execute(HISTORY)
    migrator.execute(ROW, (1, "001", "SQL", "V001__a.sql", 1, True))
    with neon.connect(database, "bank_app_user") as conn:
        assert read_database(conn).history == ()


def test_marks_and_schema_owners(owner: Connection, database: str) -> None:
    mark_database(owner, database, "br-1")
    create_schema(owner, "treasury", "bank_owner")
    create_schema(owner, "treasury", "bank_migrate_user")
    found = read_database(owner)
    assert (found.built_for, found.schemas["treasury"]) == ("br-1", "bank_owner")
    set_schema_owner(owner, "treasury", "bank_migrate_user")
    mark_database(owner, database, None)
    found = read_database(owner)
    assert (found.built_for, found.schemas["treasury"]) == (None, "bank_migrate_user")


def test_default_privileges_set_by_the_owner_reach_tables_made_later(
    neon: PostgresServer, owner: Connection, migrator: Connection, database: str
) -> None:
    default = "bank_migrate_user/accounts/tables"
    apply_grants(
        owner,
        [
            Grant("schema", "accounts", "bank_app_user", "USAGE"),
            Grant("default", default, "bank_app_user", "SELECT"),
            Grant("default", default, "bank_app_user", "INSERT"),
        ],
    )
    change_grants(owner, revoke=[Grant("default", "bank_migrate_user/*/functions", "PUBLIC", "EXECUTE")])
    migrator.execute("CREATE TABLE accounts.later (id int)")
    migrator.execute("CREATE FUNCTION accounts.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert grants_of(owner, "table", "function") == {
        ("accounts.later", "bank_app_user", "SELECT"),
        ("accounts.later", "bank_app_user", "INSERT"),
    }
    with neon.connect(database, "bank_app_user") as conn:
        conn.execute("INSERT INTO accounts.later VALUES (1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM accounts.later")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT accounts.f()")
