"""Baseline and repair against real PostgreSQL: rows as Flyway writes them, nothing silently, nothing half."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import psycopg
import pytest

from neonctl.errors import PlanChangedError, ServiceError, UsageError
from neonctl.migrations.baseline import baseline
from neonctl.migrations.check import MigrationHistoryError, compare
from neonctl.migrations.evidence import broken_chain, last_listing, read_evidence
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import AppliedMigration, read_history
from neonctl.migrations.repair import RepairAction, plan_repair, repair
from neonctl.migrations.runner import migrate
from neonctl.migrations.undo import undo
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

Connection = psycopg.Connection[tuple[object, ...]]
Write = Callable[..., tuple[MigrationFile, ...]]


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str) -> Generator[Connection]:
    with postgres_server.connect(database) as connection:
        yield connection


@pytest.fixture
def files(write: Write) -> MigrationFolder:
    return MigrationFolder(write(*((f"CREATE TABLE t{n} ();", f"DROP TABLE t{n};") for n in (1, 2, 3))))


def up(conn: Connection, files: MigrationFolder) -> tuple[str, ...]:
    result = migrate(conn, database="bank", files=files, progress=lambda _: None, settings=SETTINGS, provenance=WHO)
    return result.applied


def at(conn: Connection, version: str, **more: str) -> AppliedMigration:
    return baseline(
        conn, database="bank", version=version, progress=lambda _: None, settings=SETTINGS, provenance=WHO, **more
    )


def mend(conn: Connection, actions: tuple[RepairAction, ...]) -> None:
    repair(conn, actions, database="bank", progress=lambda _: None, settings=SETTINGS, provenance=WHO)


def test_a_baseline_is_the_row_that_flyway_writes(conn: Connection, files: MigrationFolder) -> None:
    conn.execute("CREATE TABLE old (); CREATE TABLE t1 (); CREATE TABLE t2 ()")
    row = at(conn, "002")
    assert read_history(conn) == (row,)
    assert (row.installed_rank, row.version, row.type, row.checksum) == (1, "002", "BASELINE", None)
    assert row.description == row.script == "<< Flyway Baseline >>"
    assert (row.execution_time_ms, row.success, row.installed_by) == (0, True, "postgres")
    assert up(conn, files) == ("003",)
    entry, listing, *_ = read_evidence(conn)
    assert (entry.kind, entry.version, listing.kind) == ("baseline", "002", "catalogue")


def test_the_listing_of_a_baseline_is_what_was_there(conn: Connection) -> None:
    conn.execute("CREATE TABLE old ()")
    at(conn, "1")
    assert any(line.startswith("table public.old: ") for line in last_listing(conn) or ())


def test_the_same_baseline_again_changes_nothing(conn: Connection) -> None:
    assert at(conn, "002") == at(conn, "2")
    assert len(read_evidence(conn)) == 2
    with pytest.raises(MigrationHistoryError) as caught:
        at(conn, "003")
    assert caught.value.code == "BASELINE_REFUSED"


def test_no_baseline_after_something_was_applied(conn: Connection, files: MigrationFolder) -> None:
    up(conn, files)
    with pytest.raises(MigrationHistoryError, match="already contains migrations"):
        at(conn, "003")
    assert len(read_history(conn)) == 3


@pytest.mark.parametrize("version", ["", "0", "1.2", "x", "-1", "\u0661"])
def test_a_baseline_is_a_version_that_a_file_can_have(conn: Connection, version: str) -> None:
    with pytest.raises(UsageError) as caught:
        at(conn, version)
    assert caught.value.code == "BASELINE_VERSION"
    assert read_history(conn) == ()


def test_who_may_not_write_the_record_is_told(postgres_server: PostgresServer, database: str, conn: Connection) -> None:
    at(conn, "1")
    conn.execute("CREATE ROLE repair_reader LOGIN; GRANT SELECT ON flyway_schema_history TO repair_reader")
    try:
        failed = replace(read_history(conn)[0], success=True)
        with postgres_server.connect(database, "repair_reader") as reader, pytest.raises(ServiceError) as caught:
            mend(reader, (RepairAction("remove failed", failed),))
        assert caught.value.code == "MIGRATION_RECORD_UNWRITABLE"
        assert len(read_history(conn)) == 1
    finally:
        conn.execute("DROP OWNED BY repair_reader; DROP ROLE repair_reader")


def test_record_and_files_that_agree_need_no_repair(conn: Connection, files: MigrationFolder) -> None:
    up(conn, files)
    assert plan_repair(files, read_history(conn)) == ()
    mend(conn, ())
    undo(conn, database="bank", files=files, to=1, progress=lambda _: None, settings=SETTINGS, provenance=WHO)
    assert plan_repair(files, read_history(conn)) == ()


def test_a_repair_says_what_it_would_do_does_it_and_journals_it(conn: Connection, files: MigrationFolder) -> None:
    up(conn, files)
    conn.execute(
        "UPDATE flyway_schema_history SET checksum = 42, description = 'other' WHERE version = '001';"
        "UPDATE flyway_schema_history SET success = false WHERE version = '003'"
    )
    short = MigrationFolder((files.versioned[0], files.versioned[2]))
    before = read_history(conn)
    actions = plan_repair(short, before)
    checksum = files.versioned[0].checksum
    assert [str(action) for action in actions] == [
        f"rewrite row 1 (V001__step_1.sql): description other → step 1, checksum 42 → {checksum}",
        "mark row 2 (V002__step_2.sql) deleted: there is no such file",
        "remove row 3 (V003__step_3.sql): it failed",
    ]
    assert read_history(conn) == before
    mend(conn, actions)
    rows = read_history(conn)
    assert [(row.installed_rank, row.version, row.type, row.success) for row in rows] == [
        (1, "001", "SQL", True),
        (2, "002", "SQL", True),
        (4, "002", "DELETE", True),
    ]
    assert (rows[0].checksum, rows[0].description) == (checksum, "step 1")
    assert rows[2] == replace(
        before[1], installed_rank=4, type="DELETE", execution_time_ms=0, installed_on=rows[2].installed_on
    )
    journal = [each for each in read_evidence(conn) if each.kind == "repair"]
    assert [each.details["action"] for each in journal] == ["align", "mark deleted", "remove failed"]
    assert journal[0].details["before"]["checksum"] == 42
    assert journal[0].details["after"]["checksum"] == checksum
    assert journal[2].details["before"]["script"] == "V003__step_3.sql"
    assert journal[2].details["after"] is None
    assert broken_chain(read_evidence(conn)) is None
    assert plan_repair(short, rows) == ()
    assert [file.version for file in compare(short, rows, database="bank").versioned] == ["003"]


def test_what_changed_since_the_plan_was_shown_is_not_repaired(conn: Connection, files: MigrationFolder) -> None:
    up(conn, files)
    conn.execute("UPDATE flyway_schema_history SET checksum = 42 WHERE version = '001'")
    actions = plan_repair(files, read_history(conn))
    conn.execute("UPDATE flyway_schema_history SET checksum = 43 WHERE version = '001'")
    with pytest.raises(PlanChangedError) as caught:
        mend(conn, actions)
    assert (caught.value.code, caught.value.exit_code) == ("REPAIR_PLAN_CHANGED", 4)
    assert [each.kind for each in read_evidence(conn)].count("repair") == 0


def test_an_old_checkout_is_said_to_be_one(conn: Connection, files: MigrationFolder) -> None:
    up(conn, files)
    (action,) = plan_repair(MigrationFolder(files.versioned[:2]), read_history(conn))
    assert str(action).endswith("(newer than every file: is this an old checkout?)")


def test_versions_that_only_flyway_knows_and_repeatables_without_a_file(
    conn: Connection, files: MigrationFolder
) -> None:
    up(conn, files)
    conn.execute(
        "INSERT INTO flyway_schema_history VALUES"
        " (4, '2.1', 'dotted', 'SQL', 'V2.1__dotted.sql', 1, 'x', now(), 0, true),"
        " (5, NULL, 'views', 'SQL', 'R__views.sql', 1, 'x', now(), 0, true),"
        " (6, NULL, 'views', 'SQL', 'R__views.sql', 2, 'x', now(), 0, true)"
    )
    actions = plan_repair(files, read_history(conn))
    assert [(action.kind, action.row.installed_rank) for action in actions] == [
        ("mark deleted", 4),
        ("mark deleted", 6),
    ]
    mend(conn, actions)
    assert plan_repair(files, read_history(conn)) == ()
    assert not compare(files, read_history(conn), database="bank")


def test_what_stands_below_a_baseline_is_left_alone(conn: Connection, files: MigrationFolder) -> None:
    at(conn, "002")
    assert plan_repair(files, read_history(conn)) == ()
    assert plan_repair(MigrationFolder(files.versioned[:1]), read_history(conn)) == ()


def test_an_undo_that_was_accepted_with_a_repair_may_run(
    conn: Connection, files: MigrationFolder, write: Write
) -> None:
    up(conn, files)
    edited = MigrationFolder(
        write(*((f"CREATE TABLE t{n} (); -- reviewed", f"DROP TABLE IF EXISTS t{n};") for n in (1, 2, 3)))
    )
    mend(conn, plan_repair(edited, read_history(conn)))
    result = undo(conn, database="bank", files=edited, to=0, progress=lambda _: None, settings=SETTINGS, provenance=WHO)
    assert result.undone == ("003", "002", "001")
