"""The runner against real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from neonctl import __version__
from neonctl.errors import NeonctlError, RetryableError, ServiceError
from neonctl.migrations import run as migration_run
from neonctl.migrations import runner
from neonctl.migrations.check import MigrationHistoryError
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import LOCK_KEY, read_history
from neonctl.migrations.progress import MigrationEvent
from neonctl.migrations.runner import MigrationResult, migrate
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

Write = Callable[..., tuple[MigrationFile, ...]]
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str) -> Generator[Connection]:
    with postgres_server.connect(database) as connection:
        yield connection


def run(
    conn: Connection,
    files: Sequence[MigrationFile],
    progress: Callable[[MigrationEvent], None] = lambda _: None,
    *,
    lock_timeout_s: float = 10,
    lock_wait_s: float = 30,
) -> MigrationResult:
    return migrate(
        conn,
        database="bank",
        files=MigrationFolder(tuple(files)),
        progress=progress,
        settings=replace(SETTINGS, lock_timeout_s=lock_timeout_s, lock_wait_s=lock_wait_s),
        provenance=WHO,
    )


def tables(conn: Connection) -> list[object]:
    found = conn.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname NOT IN ('flyway_schema_history', 'neonctl_evidence') ORDER BY relname"
    )
    return [row[0] for row in found.fetchall()]


def versions(conn: Connection) -> list[str | None]:
    return [row.version for row in read_history(conn)]


def test_the_first_run_applies_everything_and_the_second_nothing(conn: Connection, write: Write) -> None:
    files = write("CREATE TABLE a (n int);", "ALTER TABLE a ADD m int;", "CREATE TABLE b ();")
    events: list[MigrationEvent] = []
    first = run(conn, files, events.append)
    assert (first.database, first.applied) == ("bank", ("001", "002", "003"))
    assert [(event.kind, event.script) for event in events] == [
        (kind, f"V00{n}__step_{n}.sql") for n in (1, 2, 3) for kind in ("applying", "applied")
    ]
    again: list[MigrationEvent] = []
    assert run(conn, files, again.append).applied == ()
    assert again == []
    assert tables(conn) == ["a", "b"]


def test_the_record_says_what_flyway_would_have_said(conn: Connection, write: Write) -> None:
    files = write("CREATE TABLE a ();", "SET TimeZone = 'Pacific/Auckland'; SELECT 1; -- the end")
    run(conn, files)
    rows = read_history(conn)
    assert [(row.installed_rank, row.version, row.description, row.type, row.script) for row in rows] == [
        (1, "001", "step 1", "SQL", "V001__step_1.sql"),
        (2, "002", "step 2", "SQL", "V002__step_2.sql"),
    ]
    assert [row.checksum for row in rows] == [file.checksum for file in files]
    assert {(row.installed_by, row.success) for row in rows} == {("postgres", True)}
    (now,) = conn.execute("SELECT now()").fetchone() or ()
    for row in rows:
        assert row.execution_time_ms >= 0
        assert abs((now - row.installed_on).total_seconds()) < 600  # type: ignore[operator]  # not hours: a zone


def test_new_files_are_applied_on_top(conn: Connection, write: Write) -> None:
    run(conn, write("CREATE TABLE a ();"))
    assert run(conn, write("CREATE TABLE a ();", "CREATE TABLE b ();")).applied == ("002",)
    assert versions(conn) == ["001", "002"]


def test_a_failure_after_ddl_leaves_nothing_of_its_file(conn: Connection, write: Write) -> None:
    good = "CREATE TABLE a (n int); INSERT INTO a VALUES (1);"
    files = write(
        good, "CREATE TABLE b ();\nALTER TABLE a ADD m int;\n\nSELECT 1 / (n - 1)\n  FROM a;", "CREATE TABLE c ();"
    )
    with pytest.raises(NeonctlError) as caught:
        run(conn, files)
    error = caught.value
    assert (error.code, error.exit_code) == ("MIGRATION_FAILED", 1)
    assert error.message == f"{files[1].path}:4: division by zero (SQLSTATE 22012)"
    assert (error.details["statement"], error.details["applied"]) == (3, ["V001__step_1.sql"])
    assert tables(conn) == ["a"]
    assert versions(conn) == ["001"]
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    corrected = write(good, "CREATE TABLE b ();", "CREATE TABLE c ();")
    assert run(conn, corrected).applied == ("002", "003")


@pytest.mark.parametrize(
    ("script", "line", "says"),
    [
        ("SELECT 'é😀\u2028';\r\n\r\nSELECT nope;", 3, 'column "nope" does not exist'),
        ("\n\n  SELECT count(*)\n  FROM missing;", 4, 'relation "missing" does not exist'),
        ("SELECT 1;\nDO $$\nBEGIN\n  RAISE EXCEPTION 'stop';\nEND $$;", 2, "stop"),
        # What only the server can know:
        (
            "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';\nCALL p();",
            2,
            "invalid transaction termination",
        ),
        (
            "CREATE TABLE a (n int) PARTITION BY LIST (n);\n\nREINDEX TABLE a;",
            3,
            "cannot run inside a transaction block",
        ),
        # What the parser knows before anything runs:
        ("SELECT 1;\nDO $$ BEGIN\n COMMIT; END $$;", 3, "transaction statements are refused"),
        ("SELECT 1;\n\nCREATE INDEX CONCURRENTLY i ON a (n);", 3, "cannot run in a transaction"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  SELEC 1;\nEND $$;", 3, "syntax error"),
    ],
)
def test_errors_name_file_and_line(conn: Connection, write: Write, script: str, line: int, says: str) -> None:
    files = write(script)
    with pytest.raises(NeonctlError) as caught:
        run(conn, files)
    assert caught.value.message.startswith(f"{files[0].path}:{line}: ")
    assert says in caught.value.message


def test_rows_never_reach_terminal_or_error(conn: Connection, write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    files = write(
        "CREATE TABLE a (iban text UNIQUE); INSERT INTO a VALUES ('canary-1'); SELECT * FROM a;",
        "INSERT INTO a SELECT iban FROM a;",
    )
    with pytest.raises(NeonctlError) as caught:
        run(conn, files)
    told = f"{caught.value!r}{caught.value.details}{caught.value.hint}{caught.value.__context__!r}"
    out = capfd.readouterr()
    assert "duplicate key" in told
    assert "canary" not in told + out.out + out.err


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE done (t text); INSERT INTO done VALUES ('100 %% %s %(a)s %');",
        "CREATE TABLE done (); CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $a$ BEGIN RETURN $$;$$; END; $a$;",
        "CREATE TABLE done (); CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;",
        "/* /* ; COMMIT; */ ; */ CREATE TABLE done (); -- no line end, and a ; here",
        "CREATE TABLE done (t text DEFAULT '\u2028\u0085\f');",
        "\ufeffCREATE TABLE done ();\r\n",
        "SET search_path = pg_catalog; CREATE TABLE public.done ();",
        "CREATE TABLE done (begin int, commit int); SELECT CASE WHEN true THEN 1 END;",
        "CREATE TABLE done ();;\n;",
        "CREATE TABLE done (n int);" + "\nINSERT INTO done VALUES (1), (2), (3); -- filler" * 22_000,
    ],
    ids=["percent", "dollars", "atomic", "comments", "separators", "bom-crlf", "path", "words", "empties", "1-MB"],
)
def test_files_run_as_they_stand(conn: Connection, write: Write, script: str) -> None:
    files = write(script, "SELECT 1;")
    assert run(conn, files).applied == ("001", "002")
    assert tables(conn) == ["done"]
    assert run(conn, files).applied == ()


def test_every_file_starts_in_the_same_session_whatever_the_one_before_did(conn: Connection, write: Write) -> None:
    names = ("TimeZone", "lock_timeout", "statement_timeout", "application_name", "search_path", "work_mem")
    look = " UNION ALL ".join(f"SELECT {i} AS n, current_setting('{name}')" for i, name in enumerate(names))
    mess = (
        "SET TimeZone = 'Pacific/Auckland'; SET lock_timeout = 0; SET statement_timeout = 0;"
        "SET application_name = 'x'; SET work_mem = '64kB'; SET search_path = pg_catalog;"
        "SET standard_conforming_strings = off;"
    )
    run(conn, write(mess, f"CREATE TABLE seen AS {look};", "SELECT '\\';"))
    seen = [row[0] for row in conn.execute("SELECT current_setting FROM seen ORDER BY n").fetchall()]
    assert seen == ["UTC", "10s", "30s", f"neonctl/{__version__} migrate", '"$user", public', "4MB"]


def test_an_edited_file_stops_the_run_before_it_begins(conn: Connection, write: Write) -> None:
    run(conn, write("CREATE TABLE a ();"))
    with pytest.raises(MigrationHistoryError, match="checksum mismatch for migration version 001"):
        run(conn, write("CREATE TABLE a (n int);", "CREATE TABLE b ();"))
    assert tables(conn) == ["a"]


def test_crlf_and_bom_copies_of_an_applied_file_are_the_same_file(conn: Connection, write: Write) -> None:
    run(conn, write("CREATE TABLE a ();\nSELECT 1;\n"))
    assert run(conn, write(b"\xef\xbb\xbfCREATE TABLE a ();\r\nSELECT 1;\r\n")).applied == ()


def test_a_hidden_commit_is_refused_before_the_first_file_runs(conn: Connection, write: Write) -> None:
    files = write("CREATE TABLE a ();", "CREATE TABLE b ();\n/* looks harmless */ COMMIT;\nCREATE TABLE c ();")
    with pytest.raises(NeonctlError, match=r"V002__step_2\.sql:2: transaction statements"):
        run(conn, files)
    assert tables(conn) == []
    assert versions(conn) == []


def test_what_slips_past_the_parser_is_still_noticed(
    conn: Connection, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "require_runnable", lambda _: None)
    with pytest.raises(NeonctlError) as caught:
        run(conn, write("CREATE TABLE a (); COMMIT;", "CREATE TABLE b ();"))
    assert caught.value.code == "MIGRATION_TRANSACTION_ENDED"
    assert versions(conn) == []
    assert tables(conn) == ["a"]


def test_four_runners_at_once_apply_each_file_once(
    postgres_server: PostgresServer, database: str, write: Write
) -> None:
    files = write(*(f"CREATE TABLE t{n} ();" for n in range(5)))
    together = threading.Barrier(4)

    def one(_: int) -> int:
        with postgres_server.connect(database) as conn:
            together.wait(10)
            return len(run(conn, files).applied)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [0, 0, 0, 5]
    with postgres_server.connect(database) as conn:
        assert [row.installed_rank for row in read_history(conn)] == [1, 2, 3, 4, 5]
        assert conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_lock_that_is_not_freed_ends_the_wait_and_nothing_ran(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write
) -> None:
    events: list[MigrationEvent] = []
    with postgres_server.connect(database) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        with pytest.raises(RetryableError) as caught:
            run(conn, write("CREATE TABLE a ();"), events.append, lock_wait_s=0.05)
    assert (caught.value.code, caught.value.exit_code) == ("MIGRATION_LOCKED", 75)
    assert [event.kind for event in events] == ["waiting"]
    assert tables(conn) == []


def test_a_lock_that_is_freed_lets_the_waiting_runner_go_on(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write
) -> None:
    with postgres_server.connect(database) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])

        def free(event: MigrationEvent) -> None:
            if event.kind == "waiting":
                other.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])

        assert run(conn, write("CREATE TABLE a ();"), free).applied == ("001",)


def test_a_table_lock_is_tried_again_and_then_given_up(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_run, "_PAUSE_S", 0.001)
    conn.execute("CREATE TABLE a ()")
    files = write("CREATE TABLE b ();\nALTER TABLE a ADD n int;")
    events: list[MigrationEvent] = []
    with postgres_server.connect(database) as other, other.transaction():
        other.execute("LOCK TABLE a IN ACCESS SHARE MODE")
        with pytest.raises(RetryableError) as caught:
            run(conn, files, events.append, lock_timeout_s=0.02)
    assert (caught.value.code, caught.value.exit_code) == ("MIGRATION_LOCK_TIMEOUT", 75)
    assert caught.value.message.startswith(f"{files[0].path}:2: canceling statement due to lock timeout")
    assert [event.kind for event in events] == ["applying", "retrying", "retrying"]
    assert tables(conn) == ["a"]
    assert run(conn, files).applied == ("001",)


def test_a_backend_that_dies_is_said_to_have_died(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write
) -> None:
    files = write("CREATE TABLE a ();", "CREATE TABLE b (); SELECT pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(ServiceError) as caught:
        run(conn, files)
    assert (caught.value.code, caught.value.exit_code) == ("DATABASE_CONNECTION_LOST", 5)
    with postgres_server.connect(database) as fresh:
        assert tables(fresh) == ["a"]
        assert versions(fresh) == ["001"]


def test_a_role_that_may_not_make_the_record_is_told_what_it_needs(
    postgres_server: PostgresServer, database: str, write: Write, role: str
) -> None:
    with postgres_server.connect(database, role) as conn, pytest.raises(NeonctlError) as caught:
        run(conn, write("SELECT 1;"))
    assert caught.value.code == "MIGRATION_FAILED"
    assert "permission denied for schema public" in caught.value.message
    assert "USAGE and CREATE on schema public" in (caught.value.hint or "")


def test_select_is_all_that_reading_the_record_needs(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, role: str
) -> None:
    with postgres_server.connect(database, role) as reader:
        assert read_history(reader) == ()
        run(conn, write("SELECT 1;"))
        with pytest.raises(ServiceError) as caught:
            read_history(reader)
        assert caught.value.code == "MIGRATION_HISTORY_UNREADABLE"
        assert "permission denied" in caught.value.message
        conn.execute(sql.SQL("GRANT SELECT ON flyway_schema_history TO {}").format(sql.Identifier(role)))
        assert [row.version for row in read_history(reader)] == ["001"]


def test_a_connection_in_a_transaction_is_a_mistake_of_the_caller(
    postgres_server: PostgresServer, database: str, write: Write
) -> None:
    with psycopg.connect(postgres_server.conninfo(database)) as conn, pytest.raises(ValueError, match="autocommit"):
        run(conn, write("SELECT 1;"))


def test_yoyo_leaves_no_table_of_its_own(conn: Connection, write: Write) -> None:
    run(conn, write("SELECT 1;"))
    found = conn.execute("SELECT count(*) FROM pg_class WHERE relname LIKE '%yoyo%'").fetchone()
    assert found == (0,)


@pytest.fixture
def role(postgres_server: PostgresServer, database: str) -> Generator[str]:
    """A role with LOGIN and nothing else."""
    with postgres_server.connect(database) as admin:
        admin.execute("CREATE ROLE plain_reader LOGIN")
        yield "plain_reader"
        admin.execute("DROP OWNED BY plain_reader")
        admin.execute("DROP ROLE plain_reader")
