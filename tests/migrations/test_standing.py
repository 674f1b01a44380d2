"""Files outside a transaction against real PostgreSQL: what they record, what a crash leaves, how they go on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import psycopg
import pytest

from neonctl.errors import NeonctlError, RetryableError
from neonctl.migrations import alone
from neonctl.migrations import run as migration_run
from neonctl.migrations.check import MigrationHistoryError
from neonctl.migrations.evidence import broken_chain, read_evidence
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import read_history
from neonctl.migrations.run import MigrationResult
from neonctl.migrations.runner import migrate
from neonctl.migrations.scripts import MigrationScriptError
from neonctl.migrations.session import RunSettings
from neonctl.migrations.undo import undo
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO, listed

Connection = psycopg.Connection[tuple[object, ...]]
Write = Callable[..., tuple[MigrationFile, ...]]
MARK = "-- Outside a transaction.\n-- neonctl: non-transactional\n"
TABLE = ("CREATE TABLE a (n int);", "DROP TABLE a;")
INDEX = (f"{MARK}CREATE INDEX CONCURRENTLY i ON a (n);", f"{MARK}DROP INDEX CONCURRENTLY i;")
INDEXES = "SELECT relname AS line FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace AND relname !~ '^(flyway|neonctl)' ORDER BY 1"


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str) -> Generator[Connection]:
    with postgres_server.connect(database) as connection:
        yield connection


def up(conn: Connection, files: Sequence[MigrationFile], settings: RunSettings = SETTINGS) -> MigrationResult:
    folder = MigrationFolder(tuple(files))
    return migrate(
        conn,
        database="bank",
        files=folder,
        progress=lambda _: None,
        settings=settings,
        provenance=WHO,
    )


def down(conn: Connection, files: Sequence[MigrationFile], to: int) -> MigrationResult:
    folder = MigrationFolder(tuple(files))
    return undo(
        conn,
        database="bank",
        files=folder,
        to=to,
        progress=lambda _: None,
        settings=SETTINGS,
        provenance=WHO,
    )


def indexes(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "SELECT relname, indisvalid FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid"
        " WHERE relnamespace = 'public'::regnamespace AND relname !~ '^(flyway|neonctl)' ORDER BY 1"
    ).fetchall()


def record(conn: Connection) -> list[tuple[str | None, str, bool]]:
    return [(row.version, row.type, row.success) for row in read_history(conn)]


def test_up_down_up_and_everything_recorded_once(conn: Connection, write: Write) -> None:
    files = write(TABLE, INDEX, ("CREATE TABLE b ();", "DROP TABLE b;"))
    assert up(conn, files).applied == ("001", "002", "003")
    assert indexes(conn) == [("i", True)]
    assert record(conn) == [(f"00{n}", "SQL", True) for n in (1, 2, 3)]
    assert [row.installed_rank for row in read_history(conn)] == [1, 2, 3]
    assert up(conn, files).applied == ()
    assert down(conn, files, 1).undone == ("003", "002")
    assert indexes(conn) == []
    assert listed(conn) == ["a"]
    assert up(conn, files).applied == ("002", "003")
    assert record(conn)[3:] == [
        ("003", "DELETE", True),
        ("002", "DELETE", True),
        ("002", "SQL", True),
        ("003", "SQL", True),
    ]
    assert [row.installed_rank for row in read_history(conn)] == [1, 2, 3, 4, 5, 6, 7]
    entries = read_evidence(conn)
    assert broken_chain(entries) is None
    assert [each.details["installed_rank"] for each in entries if each.kind == "apply"] == [1, 2, 3, 6, 7]


def test_the_last_file_of_a_run_takes_the_listing_along(conn: Connection, write: Write) -> None:
    up(conn, write(TABLE, INDEX))
    assert listed(conn) == ["a", "i"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (
            f"{MARK}SELECT 1; CREATE INDEX CONCURRENTLY i ON a (n);",
            "a file outside a transaction|so the file needs no mark",
        ),
        (f"{MARK}-- nothing", "has no statement"),
        (f"{MARK}CREATE INDEX CONCURRENTLY ON a (n);", "needs a name"),
    ],
)
def test_more_or_less_than_one_statement_is_refused_before_anything_runs(
    conn: Connection, write: Write, script: str, says: str
) -> None:
    with pytest.raises(MigrationScriptError, match=says):
        up(conn, write(TABLE, script))
    assert record(conn) == []


def test_a_failure_is_recorded_blocks_an_edited_file_and_can_be_run_again(conn: Connection, write: Write) -> None:
    unique = f"{MARK}CREATE UNIQUE INDEX CONCURRENTLY i ON a (n);"
    files = write(TABLE, (unique, INDEX[1]), "CREATE TABLE b ();")
    up(conn, files[:1])
    conn.execute("INSERT INTO a VALUES (1), (1)")
    with pytest.raises(NeonctlError) as caught:
        up(conn, files)
    assert caught.value.message.startswith(f'{files[1].path}:3: could not create unique index "i"')
    assert "may have left something" in (caught.value.hint or "")
    assert indexes(conn) == [("i", False)]
    assert record(conn) == [("001", "SQL", True), ("002", "SQL", False)]
    with pytest.raises(MigrationHistoryError, match="Detected failed migration to version 002"):
        up(conn, write(TABLE, INDEX))
    with pytest.raises(MigrationHistoryError, match="did not come through"):
        down(conn, write(TABLE, (unique, INDEX[1]), "CREATE TABLE b ();"), 0)
    with pytest.raises(NeonctlError, match="could not create unique index"):
        up(conn, write(TABLE, (unique, INDEX[1]), "CREATE TABLE b ();"))
    conn.execute("DELETE FROM a")
    assert up(conn, write(TABLE, (unique, INDEX[1]), "CREATE TABLE b ();")).applied == ("002", "003")
    assert indexes(conn) == [("i", True)]
    assert record(conn) == [(f"00{n}", "SQL", True) for n in (1, 2, 3)]


def test_an_index_of_that_name_that_was_there_is_not_taken_for_ours(conn: Connection, write: Write) -> None:
    conn.execute("CREATE TABLE a (n int); CREATE INDEX i ON a (n)")
    with pytest.raises(NeonctlError, match=r"there is an index public\.i already"):
        up(conn, write(INDEX))
    assert record(conn) == []


def test_if_not_exists_is_not_content_with_an_index_that_does_not_work(conn: Connection, write: Write) -> None:
    conn.execute("CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON a (n)")
    files = write((f"{MARK}CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (n);", INDEX[1]))
    with pytest.raises(NeonctlError, match=r"the index public\.i is not valid"):
        up(conn, files)
    assert up(conn, files).applied == ("001",)
    assert indexes(conn) == [("i", True)]


@pytest.mark.parametrize("step", ["_begin", "run_script", "_end"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_dying_after_any_step_the_next_run_finishes(
    conn: Connection, write: Write, monkeypatch: pytest.MonkeyPatch, step: str, direction: str
) -> None:
    """After it was said to begin, after the statement, after it was said to be done."""
    files = write(TABLE, INDEX)
    up(conn, files[:1] if direction == "up" else files)

    class Killed(BaseException):
        """As a signal would."""

    whole = getattr(alone, step)

    def dies(*arguments: object, **keywords: object) -> None:
        whole(*arguments, **keywords)
        if step == "run_script" and "INDEX" not in str(arguments[2]):
            return
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(alone, step, dies)
        with pytest.raises(Killed):
            up(conn, files) if direction == "up" else down(conn, files, 1)
    if direction == "up":
        assert up(conn, files).applied == (() if step == "_end" else ("002",))
        assert (indexes(conn), record(conn)[1:]) == ([("i", True)], [("002", "SQL", True)])
    else:
        assert down(conn, files, 1).undone == (() if step == "_end" else ("002",))
        assert (indexes(conn), record(conn)[2:]) == ([], [("002", "DELETE", True)])
    assert broken_chain(read_evidence(conn)) is None


def test_an_index_that_is_gone_without_an_undo_having_begun_is_an_error(conn: Connection, write: Write) -> None:
    files = write(TABLE, INDEX)
    up(conn, files)
    conn.execute("DROP INDEX i")
    with pytest.raises(NeonctlError, match='index "i" does not exist'):
        down(conn, files, 1)


def test_a_table_lock_is_tried_again_and_what_the_try_left_is_cleared(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_run, "_PAUSE_S", 0.001)
    files = write(TABLE, INDEX)
    up(conn, files[:1])
    with postgres_server.connect(database) as other, other.transaction():
        other.execute("INSERT INTO a VALUES (1)")
        with pytest.raises(RetryableError) as caught:
            up(conn, files, replace(SETTINGS, lock_timeout_s=0.02))
    assert caught.value.code == "MIGRATION_LOCK_TIMEOUT"
    assert up(conn, files).applied == ("002",)
    assert indexes(conn) == [("i", True)]


def test_copies_that_a_reindex_left_are_dropped_before_it_runs_again(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write
) -> None:
    again = (f"{MARK}REINDEX INDEX CONCURRENTLY i;", "SELECT 1;")
    files = write(TABLE, ("CREATE INDEX i ON a (n);", "DROP INDEX i;"), again)
    up(conn, files[:2])
    with postgres_server.connect(database) as other, other.transaction():
        other.execute("INSERT INTO a VALUES (1)")
        with pytest.raises(NeonctlError, match="statement timeout"):
            up(conn, files, replace(SETTINGS, statement_timeout_s=0.1))
    assert ("i_ccnew", False) in indexes(conn)
    assert up(conn, files).applied == ("003",)
    assert indexes(conn) == [("i", True)]


def test_a_detachment_that_was_cut_off_is_finalized(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write
) -> None:
    table = "CREATE TABLE a (n int) PARTITION BY LIST (n); CREATE TABLE b PARTITION OF a FOR VALUES IN (1);"
    files = write(table, f"{MARK}ALTER TABLE a DETACH PARTITION b CONCURRENTLY;")
    up(conn, files[:1])
    with postgres_server.connect(database) as other, other.transaction():
        other.execute("SELECT * FROM a")
        with pytest.raises(NeonctlError, match="statement timeout"):
            up(conn, files, replace(SETTINGS, statement_timeout_s=0.2))
    assert conn.execute("SELECT inhdetachpending FROM pg_inherits").fetchone() == (True,)
    assert up(conn, files).applied == ("002",)
    assert conn.execute("SELECT count(*) FROM pg_inherits").fetchone() == (0,)


RUNNER = """
import sys, psycopg
from pathlib import Path
from neonctl.migrations.evidence import Provenance
from neonctl.migrations.files import read_folder
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import RunSettings
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    migrate(conn, database="bank", files=read_folder(Path(sys.argv[2])), progress=lambda _: None,
            settings=RunSettings(60, 60), provenance=Provenance("killed", "trace-0"))
"""


def test_kill_9_while_the_index_is_built(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write
) -> None:
    files = write(TABLE, INDEX)
    up(conn, files[:1])
    building = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^-- Outside' AND state = 'active' AND wait_event_type = 'Lock'"
    with postgres_server.connect(database) as other, other.transaction():
        other.execute("INSERT INTO a VALUES (1)")
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, postgres_server.conninfo(database), str(files[0].path.parent)]
        )
        try:
            _until(lambda: conn.execute(building).fetchone() == (1,))
        finally:
            process.kill()
            process.wait(10)
        _until(lambda: conn.execute(building).fetchone() == (0,))  # the server noticed
        assert indexes(conn) == [("i", False)]
        assert record(conn) == [("001", "SQL", True), ("002", "SQL", False)]
    assert up(conn, files).applied == ("002",)
    assert indexes(conn) == [("i", True)]
    assert record(conn) == [("001", "SQL", True), ("002", "SQL", True)]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
