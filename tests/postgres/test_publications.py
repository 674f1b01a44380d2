from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import TupleRow

from neonctl.errors import NeonctlError
from neonctl.plan.observed import PublicationSnapshot
from neonctl.postgres.inspect import read_database
from neonctl.postgres.publications import ensure_publication
from postgres_server import PostgresServer

Connection = psycopg.Connection[TupleRow]

TABLES = """
CREATE TABLE accounts.accounts (id int PRIMARY KEY);
CREATE TABLE core."Odd Name" (id int PRIMARY KEY);
CREATE TABLE core.log (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE core.log_2026 PARTITION OF core.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
"""


def make(conn: Connection, *tables: str) -> PublicationSnapshot:
    ensure_publication(conn, "bank_cdc", "bank_migrate_user", tables)
    return read_database(conn).publications["bank_cdc"]


def test_publication_ends_with_its_owner_who_keeps_no_create(owner: Connection, migrator: Connection) -> None:
    migrator.execute(TABLES)
    before = read_database(owner).grants
    tables = ("accounts.accounts", 'core."Odd Name"', "core.log")
    wanted = PublicationSnapshot("bank_cdc", "bank_migrate_user", frozenset(tables))
    assert make(owner, *tables) == wanted
    assert make(owner, *tables) == wanted
    assert read_database(owner).grants == before
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        migrator.execute("CREATE SCHEMA mine")


def test_tables_follow_the_wish_down_to_none(owner: Connection, migrator: Connection) -> None:
    migrator.execute(TABLES)
    for wish in (("accounts.accounts",), ("core.log", "accounts.accounts"), ("core.log",), (), ("core.log",)):
        assert make(owner, *wish).tables == set(wish)


def test_a_publication_of_another_owner_changes_hands(owner: Connection, migrator: Connection) -> None:
    migrator.execute(TABLES)
    owner.execute("CREATE PUBLICATION bank_cdc FOR TABLE core.log")
    assert read_database(owner).publications["bank_cdc"].owner == "bank_owner"
    assert make(owner, "core.log").owner == "bank_migrate_user"


def test_the_database_s_owner_keeps_its_own_create(owner: Connection, migrator: Connection) -> None:
    migrator.execute(TABLES)
    make(owner, "core.log")
    ensure_publication(owner, "bank_cdc", "bank_owner", ["core.log"])
    ensure_publication(owner, "other", "bank_owner", [])
    owner.execute("CREATE SCHEMA still_mine")
    assert {each.owner for each in read_database(owner).publications.values()} == {"bank_owner"}


def test_a_publication_of_all_tables_is_refused_and_left_alone(
    neon: PostgresServer, owner: Connection, database: str
) -> None:
    with neon.connect(database, "cloud_admin") as conn:
        conn.execute("CREATE PUBLICATION bank_cdc FOR ALL TABLES")
    with pytest.raises(NeonctlError, match="FOR ALL TABLES"):
        make(owner)
    assert read_database(owner).publications["bank_cdc"].all_tables


@pytest.mark.parametrize(
    "part",
    [
        "ALTER PUBLICATION bank_cdc SET (publish = 'insert')",
        "ALTER PUBLICATION bank_cdc SET (publish_via_partition_root = false)",
        "ALTER PUBLICATION bank_cdc SET TABLE core.log WHERE (id > 7)",
        "ALTER PUBLICATION bank_cdc SET TABLE core.log (id, at)",
    ],
)
def test_a_publication_of_a_part_is_seen_and_made_whole(owner: Connection, migrator: Connection, part: str) -> None:
    migrator.execute(TABLES)
    whole = make(owner, "core.log")
    assert whole.whole
    migrator.execute(part)
    assert not read_database(owner).publications["bank_cdc"].whole
    assert make(owner, "core.log") == whole


def test_changes_in_a_partition_are_published_as_the_table(owner: Connection, migrator: Connection) -> None:
    migrator.execute(TABLES)
    make(owner, "core.log")
    row = owner.execute("SELECT pubviaroot FROM pg_publication WHERE pubname = 'bank_cdc'").fetchone()
    assert row == (True,)
