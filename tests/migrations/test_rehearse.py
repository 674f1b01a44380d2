"""Rehearsals on real PostgreSQL: locks, rewrites, rows, budgets, failures."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Generator
from dataclasses import replace

import psycopg
import pytest

from neonctl.errors import NeonctlError
from neonctl.migrations.files import MigrationFile, MigrationFolder, read_folder
from neonctl.migrations.history import read_history
from neonctl.migrations.progress import MigrationEvent
from neonctl.migrations.rehearsal import HeldLock, Rehearsal, target_state
from neonctl.migrations.rehearse import rehearse
from neonctl.migrations.runner import migrate
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

Write = Callable[..., tuple[MigrationFile, ...]]
Connection = psycopg.Connection[tuple[object, ...]]
SLEEP_MS = 40


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str) -> Generator[Connection]:
    with postgres_server.connect(database) as connection:
        connection.execute("""
            CREATE TABLE account (id int PRIMARY KEY, balance numeric(19,4) NOT NULL, kind text);
            CREATE TABLE entry (id int PRIMARY KEY, account_id int, amount numeric);
            INSERT INTO account SELECT n, n, 'x' FROM generate_series(1, 500) AS n;
            INSERT INTO entry SELECT n, n, n FROM generate_series(1, 100) AS n;
        """)
        yield connection


def run(
    conn: Connection,
    files,
    progress: Callable[[MigrationEvent], None] = lambda _: None,
    *,
    max_lock_s: float | None = None,
    lock_timeout_s: float = 10,
) -> Rehearsal:
    settings = replace(SETTINGS, lock_timeout_s=lock_timeout_s)
    return rehearse(conn, database="bank", files=files, progress=progress, settings=settings, max_lock_s=max_lock_s)


def really(conn: Connection, files) -> None:
    """What the runner does."""
    migrate(
        conn,
        database="bank",
        files=MigrationFolder(tuple(files)),
        progress=lambda _: None,
        settings=SETTINGS,
        provenance=WHO,
    )


def taken(locks) -> list[tuple[str, str, int]]:
    return [(lock.relation, lock.mode, lock.statement) for lock in locks]


def test_strong_locks_on_what_was_there_are_named_with_their_statement(conn, write):
    files = write(
        "CREATE TABLE fresh (n int);\n"
        "SELECT count(*) FROM account;\n"
        "UPDATE account SET kind = 'y' WHERE id = 1;\n"
        "CREATE INDEX ON entry (amount);\n\n"
        "ALTER TABLE account\n  ADD note text;\n"
        "ALTER TABLE fresh ADD m int;\n"
        "DROP TABLE entry;"
    )
    (file,) = run(conn, files).files
    assert taken(file.locks) == [
        ("public.entry", "SHARE", 4),
        ("public.account", "ACCESS EXCLUSIVE", 5),
        ("public.entry", "ACCESS EXCLUSIVE", 7),
        ("public.entry_pkey", "ACCESS EXCLUSIVE", 7),
    ]
    assert [(lock.line, lock.blocks, lock.kind) for lock in file.locks] == [
        (4, "writes", "table"),
        (6, "reads and writes", "table"),
        (9, "reads and writes", "table"),
        (9, "reads and writes", "index"),
    ]
    commands = [each.command for each in file.statements]
    assert commands == [
        "CREATE TABLE",
        "SELECT",
        "UPDATE",
        "CREATE INDEX",
        "ALTER TABLE",
        "ALTER TABLE",
        "DROP TABLE",
    ]
    assert file.problems == ()


def test_a_lock_is_held_from_its_statement_until_commit(conn, write):
    sleep = f"SELECT pg_sleep({SLEEP_MS / 1000});"
    (file,) = run(
        conn, write(f"ALTER TABLE account ADD a int; {sleep} ALTER TABLE entry ADD a int; {sleep} {sleep}")
    ).files
    account, entry = file.locks
    # The server sleeps no shorter than it is asked to; how much longer does not matter.
    assert entry.held_ms >= 2 * SLEEP_MS
    assert account.held_ms >= entry.held_ms + SLEEP_MS
    assert file.duration_ms >= account.held_ms


def test_the_locks_are_those_that_the_runner_takes(conn, write, postgres_server, database):
    """The runner stops before COMMIT, at an advisory lock that the test holds; its locks are read meanwhile."""
    statements = """
        CREATE TABLE fresh (id int REFERENCES account);
        ALTER TABLE entry ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;
        ALTER TABLE entry VALIDATE CONSTRAINT positive;
        CREATE INDEX ON account (kind);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
        CREATE TRIGGER t BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION f();
        ALTER TABLE account ALTER balance TYPE numeric(21,6);
        DO $$ BEGIN LOCK TABLE entry IN SHARE ROW EXCLUSIVE MODE; END $$;
        INSERT INTO fresh VALUES (1);
    """
    gate = f"{statements}; SELECT pg_advisory_xact_lock(77);"
    (rehearsed,) = run(conn, write(statements)).files
    conn.execute("""
        DROP TABLE fresh; DROP INDEX account_kind_idx; ALTER TABLE entry DROP CONSTRAINT positive;
        DROP TRIGGER t ON account; DROP FUNCTION f; ALTER TABLE account ALTER balance TYPE numeric(19,4);
    """)
    names = {"account", "entry", "account_pkey", "entry_pkey"}
    conn.execute("SELECT pg_advisory_lock(77)")
    with postgres_server.connect(database) as other:
        pid = other.info.backend_pid
        files = write(gate)
        thread = threading.Thread(target=lambda: really(other, files))
        thread.start()
        try:
            waiting = "SELECT 1 FROM pg_locks WHERE pid = %s AND locktype = 'advisory' AND NOT granted"
            while not conn.execute(waiting, [pid]).fetchall():
                assert thread.is_alive()
            rows = conn.execute(
                "SELECT relname, mode FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
                " WHERE pid = %s AND mode ~ '^(Share[UR]|ShareLock|Exclusive|AccessExclusive)'",
                [pid],
            ).fetchall()
        finally:
            conn.execute("SELECT pg_advisory_unlock(77)")
            thread.join()
    real = {(name, mode) for name, mode in rows if name in names}
    assert {(lock.relation.removeprefix("public."), as_server(lock)) for lock in rehearsed.locks} == real
    assert len(real) > 5


def as_server(lock: HeldLock) -> str:
    return lock.mode.title().replace(" ", "") + "Lock"


def test_a_wider_number_is_free_and_more_decimals_rewrite_the_table(conn, write):
    wider, finer = run(
        conn,
        write(
            "ALTER TABLE account ALTER balance TYPE numeric(21,4);",
            "SELECT 1;\nALTER TABLE account ALTER balance TYPE numeric(21,6);",
        ),
    ).files
    assert wider.rewrites == ()
    assert [(each.relation, each.statement, each.line) for each in finer.rewrites] == [("public.account", 2, 2)]


def test_truncate_and_new_tables_are_no_rewrites(conn, write):
    (file,) = run(conn, write("TRUNCATE entry; CREATE TABLE t (n int); ALTER TABLE t ALTER n TYPE bigint;")).files
    assert file.rewrites == ()
    assert ("public.entry", "ACCESS EXCLUSIVE", 1) in taken(file.locks)


def test_rows_are_counted_whoever_touches_them(conn, write):
    first, second = run(
        conn,
        write(
            "CREATE TABLE log (id int);\n"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql\n"
            "  AS $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END $$;\n"
            "CREATE TRIGGER note AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION note();\n"
            "UPDATE account SET kind = 'z' WHERE id <= 10;\n"
            "DO $$ BEGIN DELETE FROM entry WHERE id <= 5; END $$;\n"
            "INSERT INTO entry VALUES (1000), (1001);\n"
            "CREATE TABLE twin AS SELECT * FROM account;\n"
            "SELECT * FROM account;\n",
            "DELETE FROM entry WHERE id > 999;",
        ),
    ).files
    assert first.rows == {"public.account": 10, "public.entry": 7, "public.log": 10, "public.twin": 500}
    assert [each.rows for each in first.statements] == [0, 0, 0, 10, 0, 2, 500, 0]
    assert second.rows == {"public.entry": 2}


def test_a_lock_held_longer_than_the_budget_is_a_problem_and_a_weak_one_is_not(conn, write):
    files = write(
        "ALTER TABLE entry ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;",
        "ALTER TABLE entry VALIDATE CONSTRAINT positive;",
        f"SELECT 1;\nALTER TABLE entry ADD n int;\nSELECT pg_sleep({SLEEP_MS / 1000});",
    )
    rehearsal = run(conn, files, max_lock_s=0)
    first, second, third = rehearsal.files
    assert not rehearsal.ok
    assert len(first.problems) == 1
    assert [lock.mode for lock in second.locks] == ["SHARE UPDATE EXCLUSIVE"]
    assert second.problems == ()
    (problem,) = third.problems
    assert problem.startswith(f"{files[2].path}:2: ACCESS EXCLUSIVE on public.entry was held for 0.0")
    assert problem.endswith("which stops reads and writes; at most 0 s are allowed")
    assert rehearsal.problems == (*first.problems, problem)


def test_a_generous_budget_and_none_are_kept(conn, write):
    assert run(conn, write("ALTER TABLE entry ADD n int;"), max_lock_s=3600).ok
    assert run(conn, write("ALTER TABLE entry ADD m int;"), max_lock_s=None).ok


FAILURES = {
    "a missing column, two lines on": "SELECT 1;\n\nUPDATE account\n   SET nothing = 1 WHERE id = 1;",
    "a value": "INSERT INTO entry VALUES (7000);\nINSERT INTO entry VALUES (7001);\n\nINSERT INTO entry VALUES (7000);",
    "in a function": "SELECT 1;\n-- why\nDO $$ BEGIN\n  PERFORM 1/0;\nEND $$;",
    "behind letters of several bytes": "SELECT 'é€\u2028\u0085';\r\nSELECT '\U0001f4b6',\r\n  nothing;",
    "behind a nested comment": "/* a /* b */\n c */\nSELECT nothing;",
    "a type, in the second of two writes": "DELETE FROM entry WHERE id = 1;\nDELETE FROM entry\n WHERE id = 'one';",
    "at COMMIT": "CREATE TABLE c (n int REFERENCES account DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO c VALUES (-1);",
}


@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_reads_as_the_runners_own(conn, write, script):
    files = write("ALTER TABLE account ADD n int;", script, "CREATE TABLE never ();")
    rehearsal = run(conn, files)
    assert [file.script for file in rehearsal.files] == ["V001__step_1.sql", "V002__step_2.sql"]
    (problem,) = rehearsal.problems
    conn.execute("ALTER TABLE account DROP n")
    with pytest.raises(NeonctlError) as caught:
        really(conn, files)
    assert problem == caught.value.message
    assert not rehearsal.ok


def test_a_file_that_ends_its_transaction_is_a_problem(conn, write):
    rehearsal = run(conn, write("CREATE TABLE a ();\nCOMMIT;\nCREATE TABLE b ();", "SELECT 1;"))
    assert [problem.partition(": ")[2] for problem in rehearsal.problems] == ["the file ended its own transaction"]
    assert len(rehearsal.files) == 1


def test_a_lock_that_others_hold_ends_by_the_timeout(conn, write, postgres_server, database):
    with postgres_server.connect(database) as other, other.transaction():
        other.execute("SELECT 1 FROM account")
        rehearsal = run(conn, write("ALTER TABLE account ADD n int;"), lock_timeout_s=0.01)
    assert [problem.rpartition("(")[2] for problem in rehearsal.problems] == ["SQLSTATE 55P03)"]


def test_the_session_is_the_runners(conn, write):
    conn.execute("SET search_path = pg_catalog")
    files = write(
        "DO $$ BEGIN ASSERT current_setting('TimeZone') = 'UTC'; ASSERT current_setting('lock_timeout') = '10s';\n"
        "ASSERT current_setting('statement_timeout') = '30s'; END $$; SET search_path = pg_catalog;",
        "SELECT count(*) FROM account;",
    )
    assert run(conn, files).ok


def test_the_migrate_roles_own_rights_are_enough(conn, write, postgres_server, database):
    conn.execute("""
        CREATE ROLE rehearsing LOGIN; GRANT USAGE, CREATE ON SCHEMA public TO rehearsing;
        ALTER TABLE account OWNER TO rehearsing; ALTER TABLE entry OWNER TO rehearsing;
    """)
    try:
        with postgres_server.connect(database, "rehearsing") as own:
            (file,) = run(own, write("ALTER TABLE account ADD n int; DELETE FROM entry WHERE id < 3;")).files
    finally:
        conn.execute("DROP OWNED BY rehearsing CASCADE; DROP ROLE rehearsing")
    assert taken(file.locks) == [("public.account", "ACCESS EXCLUSIVE", 1)]
    assert (file.rows, file.problems) == ({"public.entry": 2}, ())


def test_a_megabyte_of_writes(conn, write):
    line = "INSERT INTO entry (id, account_id, amount) VALUES (%d, 1, 12.50); -- é\n"
    script = "".join(line % number for number in range(1000, 16000))
    assert len(script.encode()) > 2**20
    (file,) = run(conn, write(script)).files
    assert file.rows == {"public.entry": 15_000}
    assert sum(each.rows for each in file.statements) == 15_000
    assert file.locks == ()


def test_a_lock_that_a_trigger_takes_counts_from_the_first_of_several_writes(conn, write):
    conn.execute("""
        CREATE FUNCTION grab() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN LOCK TABLE account IN EXCLUSIVE MODE; RETURN NEW; END $$;
        CREATE TRIGGER grab BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION grab();
    """)
    (file,) = run(conn, write("SELECT 1; DELETE FROM entry WHERE id = 1; INSERT INTO entry VALUES (900);")).files
    assert taken(file.locks) == [("public.account", "EXCLUSIVE", 2)]


def test_a_broken_connection_is_told(conn, write):
    with pytest.raises(NeonctlError) as caught:
        run(conn, write("CREATE TABLE a (); SELECT pg_terminate_backend(pg_backend_pid());"))
    assert caught.value.code == "DATABASE_CONNECTION_LOST"


def test_a_rehearsal_is_bound_to_state_and_files_and_is_json(conn, write):
    events: list[MigrationEvent] = []
    files = write("CREATE TABLE a ();", "INSERT INTO entry VALUES (900);")
    really(conn, files[:1])
    rehearsal = run(conn, files[1:], events.append, max_lock_s=2)
    assert rehearsal.target_state == target_state(read_history(conn)) != target_state(())
    details = json.loads(json.dumps(rehearsal.as_details()))
    assert details["ok"] is True
    assert details["max_lock_s"] == 2
    assert [(file["script"], file["version"], file["sha256"]) for file in details["files"]] == [
        ("V002__step_2.sql", "002", files[1].sha256)
    ]
    assert [(event.kind, event.script) for event in events] == [
        ("applying", "V002__step_2.sql"),
        ("applied", "V002__step_2.sql"),
    ]
    assert read_history(conn)[-1].version == "001"


@pytest.fixture
def put(tmp_path):
    """``put(**{"V001__a": "..."})`` → the files of a folder, in their order; a V's twin does nothing."""

    def put_and_read(**scripts: str):
        folder = tmp_path / "marked"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, script in scripts.items():
            (folder / f"{name}.sql").write_text(script)
            if name.startswith("V"):
                (folder / f"U{name[1:]}_rollback.sql").write_text("SELECT 1;\n")
        found = read_folder(folder)
        return (*found.versioned, *found.repeatable)

    return put_and_read


MARK = "-- neonctl: non-transactional\n"


def test_an_index_is_built_outside_a_transaction_under_a_weak_lock(conn, put):
    rehearsal = run(conn, put(V001__i=f"{MARK}CREATE INDEX CONCURRENTLY kinds ON account (kind);"), max_lock_s=0)
    assert rehearsal.ok
    (traced,) = rehearsal.files
    assert taken(traced.locks) == [("public.account", "SHARE UPDATE EXCLUSIVE", 1)]
    assert [(each.line, each.command) for each in traced.statements] == [(2, "CREATE INDEX")]


STANDING = {
    "DROP INDEX CONCURRENTLY kinds": {("public.account", "SHARE UPDATE EXCLUSIVE"), ("public.kinds", "SHARE UPDATE EXCLUSIVE")},
    "REINDEX INDEX CONCURRENTLY kinds": {("public.account", "SHARE UPDATE EXCLUSIVE"), ("public.kinds", "SHARE UPDATE EXCLUSIVE")},
    "REINDEX TABLE CONCURRENTLY account": {("public.account", "SHARE UPDATE EXCLUSIVE")},
    "VACUUM account": {("public.account", "SHARE UPDATE EXCLUSIVE")},
    "VACUUM (FULL) public.account": {("public.account", "ACCESS EXCLUSIVE")},
    "ALTER TABLE measured DETACH PARTITION measured_1 CONCURRENTLY": {
        ("public.measured", "SHARE UPDATE EXCLUSIVE"),
        ("public.measured_1", "ACCESS EXCLUSIVE"),
    },
    "ALTER SYSTEM RESET work_mem": set(),
}  # fmt: skip


@pytest.mark.parametrize("statement", STANDING)
def test_what_runs_outside_a_transaction_has_its_known_locks(conn, put, statement):
    conn.execute("""
        CREATE INDEX kinds ON account (kind);
        CREATE TABLE measured (n int) PARTITION BY LIST (n);
        CREATE TABLE measured_1 PARTITION OF measured FOR VALUES IN (1);
    """)
    (file,) = run(conn, put(V001__x=MARK + statement)).files
    assert file.problems == ()
    assert {(lock.relation, lock.mode) for lock in file.locks} == STANDING[statement]
    assert bool(file.rewrites) == ("FULL" in statement)


def test_an_index_that_fails_or_stays_invalid_is_a_problem(conn, put):
    conn.execute("INSERT INTO account VALUES (501, 1, 'twice'), (502, 1, 'twice')")
    make = f"{MARK}CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS kinds\n  ON account (kind);"
    files = put(V001__i=make, V002__v=f"{MARK}VACUUM")
    first = run(conn, files)
    (problem,) = first.problems
    assert problem.startswith(f"{files[0].path}:2: could not create unique index")
    assert "SQLSTATE 23505" in problem
    assert len(first.files) == 1
    second = run(conn, files)  # it is there: nothing is done
    assert second.problems == (f"{files[0].path}:2: index public.kinds is invalid afterwards",)
    assert run(conn, files[1:]).ok


def test_a_repeatable_file_has_no_version_and_comes_last(conn, put):
    files = put(V001__t="CREATE TABLE t (n int);", R__v="CREATE VIEW v AS SELECT n FROM t;")
    rehearsal = run(conn, files)
    assert [(file.script, file.version) for file in rehearsal.files] == [("V001__t.sql", "001"), ("R__v.sql", None)]
    assert rehearsal.ok


def test_a_file_that_takes_back_all_settings_is_refused_as_the_runner_does(conn, write):
    rehearsal = run(conn, write("CREATE TABLE a ();\nRESET ALL;"))
    (problem,) = rehearsal.problems
    assert "took back all settings of the session" in problem
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


def test_a_file_that_changes_the_role_is_refused_as_the_runner_does(conn, write):
    role = f"other_{conn.info.dbname}"
    conn.execute(f"CREATE ROLE {role}")
    try:
        (file,) = run(conn, write(f"DO $$ BEGIN EXECUTE 'SET ro' || 'le {role}'; END $$;")).files
        assert "changed the role" in file.problems[0]
        assert conn.execute("SELECT current_user = session_user").fetchone() == (True,)
    finally:
        conn.execute(f"DROP ROLE {role}")
