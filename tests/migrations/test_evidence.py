"""The append-only table beside Flyway's: what is written, that nothing can be taken back, that the chain tells."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from neonctl.errors import ServiceError
from neonctl.migrations.catalogue import read_catalogue
from neonctl.migrations.evidence import (
    Evidence,
    NewEntry,
    Provenance,
    broken_chain,
    entry_statement,
    read_evidence,
    record,
)
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.runner import migrate
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO, listed

Connection = psycopg.Connection[tuple[object, ...]]
Write = Callable[..., tuple[MigrationFile, ...]]


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str) -> Generator[Connection]:
    with postgres_server.connect(database) as connection:
        yield connection


def run(conn: Connection, files: tuple[MigrationFile, ...], who: Provenance = WHO) -> None:
    migrate(
        conn,
        database="bank",
        files=MigrationFolder(files),
        progress=lambda _: None,
        settings=SETTINGS,
        provenance=who,
    )


def test_each_applied_file_leaves_its_bytes_and_who_ran_it(conn: Connection, write: Write) -> None:
    files = write("CREATE TABLE a ();", "CREATE TABLE b ();")
    assert read_evidence(conn) == ()
    run(conn, files, replace(WHO, proof_ids={"002": "proof-2"}))
    first, second, listing = read_evidence(conn)
    assert (first.kind, first.version, first.script) == ("apply", "001", "V001__step_1.sql")
    assert first.up_sha256 == hashlib.sha256(files[0].path.read_bytes()).hexdigest()
    assert first.down_sha256 == hashlib.sha256(files[0].undo.path.read_bytes()).hexdigest()
    assert (first.actor, first.trace_id, first.git_commit) == ("tester", "trace-1", "c0ffee")
    assert (first.db_user, first.proof_id, first.details) == ("postgres", None, {"installed_rank": 1})
    assert (second.proof_id, second.details) == ("proof-2", {"installed_rank": 2})
    assert (listing.kind, listing.entry) == ("catalogue", 3)
    assert listing.listing_sha256 == read_catalogue(conn).sha256
    assert listed(conn) == ["a", "b"]
    assert broken_chain(read_evidence(conn)) is None


def test_a_file_and_its_evidence_are_one_transaction(conn: Connection, write: Write) -> None:
    with pytest.raises(Exception, match="division by zero"):
        run(conn, write("CREATE TABLE a ();", "CREATE TABLE b (); SELECT 1 / 0;"))
    assert [(each.kind, each.version) for each in read_evidence(conn)] == [("apply", "001"), ("catalogue", None)]
    assert listed(conn) == ["a"]
    same = conn.execute(
        "SELECT count(*) FROM flyway_schema_history h JOIN neonctl_evidence e USING (version) WHERE h.xmin = e.xmin"
    )
    assert same.fetchone() == (1,)


@pytest.mark.parametrize("replication_role", ["origin", "replica"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE neonctl_evidence SET actor = 'nobody'",
        "UPDATE neonctl_evidence SET actor = 'nobody' WHERE false",
        "DELETE FROM neonctl_evidence",
        "TRUNCATE neonctl_evidence",
        "INSERT INTO neonctl_evidence SELECT * FROM neonctl_evidence ON CONFLICT (entry) DO UPDATE SET actor = 'x'",
        "MERGE INTO neonctl_evidence USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_not_even_its_owner_takes_anything_back(conn: Connection, statement: str, replication_role: str) -> None:
    entry = record(conn, NewEntry("break-glass", WHO))
    conn.execute(sql.SQL("SET session_replication_role = {}").format(sql.Identifier(replication_role)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        conn.execute(statement.encode())
    assert read_evidence(conn) == (entry,)


def test_what_the_database_makes_cannot_be_given(conn: Connection) -> None:
    record(conn, NewEntry("proof", WHO))
    conn.execute(
        "INSERT INTO neonctl_evidence (entry, kind, actor, trace_id, db_user, details, recorded_at, previous_hash, hash)"
        " VALUES (7, 'apply', 'mallory', 't', 'somebody', '{}', '2001-01-01', 'x', 'y')"
    )
    entries = read_evidence(conn)
    assert (entries[1].entry, entries[1].db_user) == (2, "postgres")
    assert entries[1].recorded_at > entries[0].recorded_at
    assert broken_chain(entries) is None


def test_nobody_else_may_even_look(postgres_server: PostgresServer, database: str, conn: Connection) -> None:
    assert broken_chain(()) is None
    record(conn, NewEntry("proof", WHO))
    conn.execute("CREATE ROLE stranger LOGIN")
    try:
        with postgres_server.connect(database, "stranger") as stranger:
            with pytest.raises(ServiceError) as reading:
                read_evidence(stranger)
            with pytest.raises(ServiceError) as writing:
                record(stranger, NewEntry("proof", WHO))
        assert (reading.value.code, writing.value.code) == ("EVIDENCE_UNREADABLE", "EVIDENCE_UNWRITABLE")
        granted = conn.execute(
            "SELECT count(*) FROM pg_proc WHERE proname LIKE 'neonctl_evidence%'"
            " AND has_function_privilege('stranger', oid, 'EXECUTE')"
        )
        assert granted.fetchone() == (0,)
    finally:
        conn.execute("DROP ROLE stranger")


def test_writers_at_once_take_turns_even_while_the_table_is_made(
    postgres_server: PostgresServer, database: str
) -> None:
    together = threading.Barrier(4)

    def one(number: int) -> list[int]:
        with postgres_server.connect(database) as conn:
            together.wait(10)
            return [record(conn, NewEntry("rehearsal", WHO, details={"by": number})).entry for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(sum(pool.map(one, range(4)), [])) == list(range(1, 21))
    with postgres_server.connect(database) as conn:
        assert broken_chain(read_evidence(conn)) is None


@pytest.fixture
def chain(conn: Connection) -> tuple[Evidence, ...]:
    """Entries with everything an entry can hold, characters beyond ASCII and JSON's own order of keys."""
    full = NewEntry(
        "apply",
        WHO,
        version="001",
        script="V001__é😀.sql",
        up_sha256="a",
        down_sha256="b",
        proof_id="p",
        details={"z": 1.50, "a": ["\u2028", None, {"deep": "'"}], "aa": "%s %"},
    )
    record(conn, full)
    record(conn, NewEntry("catalogue", WHO, listing="table a\ntable ü"))
    record(conn, NewEntry("break-glass", replace(WHO, actor="a,b:c", git_commit=None)))
    return read_evidence(conn)


def test_the_chain_holds_as_written_whatever_it_says_and_wherever_it_is_read(
    conn: Connection, chain: tuple[Evidence, ...]
) -> None:
    assert broken_chain(chain) is None
    assert chain[0].details == {"z": 1.5, "a": ["\u2028", None, {"deep": "'"}], "aa": "%s %"}
    conn.execute("SET TimeZone = 'Pacific/Auckland'; SET extra_float_digits = -15")
    assert broken_chain(read_evidence(conn)) is None


@pytest.mark.parametrize(
    "column",
    ["kind", "version", "script", "up_sha256", "down_sha256", "proof_id", "git_commit", "actor", "trace_id", "db_user"],
)
def test_an_altered_entry_is_named(chain: tuple[Evidence, ...], column: str) -> None:
    for index in range(3):
        altered = [*chain]
        altered[index] = replace(chain[index], **{column: "other"})
        assert broken_chain(altered) == f"entry {index + 1} was altered"


def test_altered_facts_listings_and_times_are_named(conn: Connection, chain: tuple[Evidence, ...]) -> None:
    conn.execute("ALTER TABLE neonctl_evidence DISABLE TRIGGER refuse")
    conn.execute("UPDATE neonctl_evidence SET listing = listing || ' ' WHERE entry = 2")
    assert broken_chain(read_evidence(conn)) == "entry 2 was altered"
    conn.execute("UPDATE neonctl_evidence SET recorded_at = recorded_at + interval '1 microsecond' WHERE entry = 1")
    assert broken_chain(read_evidence(conn)) == "entry 1 was altered"


def test_removed_inserted_and_swapped_entries_are_named(chain: tuple[Evidence, ...]) -> None:
    one, two, three = chain
    assert broken_chain([two, three]) == "entry 1 was removed"
    assert broken_chain([one, three]) == "entry 2 was removed"
    assert broken_chain([one, two, two, three]) == "entry 2 is there twice"
    assert broken_chain([one, replace(three, entry=2), replace(three, entry=3)]) == (
        "entry 2 is not chained to the entry before it: it was inserted, or that one replaced"
    )


def test_an_entry_may_travel_with_other_statements(conn: Connection) -> None:
    record(conn, NewEntry("proof", WHO))
    entry = entry_statement(NewEntry("rehearsal", WHO, details={"quote": "it's"}))
    conn.execute(sql.SQL("CREATE TABLE x (); {}; CREATE TABLE y ();").format(entry))
    assert [each.kind for each in read_evidence(conn)] == ["proof", "rehearsal"]
