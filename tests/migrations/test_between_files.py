"""What one file leaves in the session, and the next one must not feel."""

from __future__ import annotations

from collections.abc import Callable, Generator

import psycopg
import pytest
from psycopg import sql

from neonctl.errors import NeonctlError, ServiceError
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
    conn: Connection, files: tuple[MigrationFile, ...], progress: Callable[[MigrationEvent], None] = lambda _: None
) -> MigrationResult:
    return migrate(
        conn,
        database="bank",
        files=MigrationFolder(files),
        progress=progress,
        settings=SETTINGS,
        provenance=WHO,
    )


def test_letters_stay_what_they_are_after_a_file_that_changed_the_encoding(conn: Connection, write: Write) -> None:
    run(conn, write("CREATE TABLE t (name text); SET client_encoding = 'LATIN1';", "INSERT INTO t VALUES ('Zoë Łuk');"))
    assert conn.execute("SELECT name, length(name) FROM t").fetchall() == [("Zoë Łuk", 7)]


def test_strings_are_read_as_the_parser_read_them_after_a_file_that_changed_that(
    conn: Connection, write: Write
) -> None:
    """With the setting left off, the server would see a COMMIT where the parser saw a string."""
    files = write("SET standard_conforming_strings = off;", "CREATE TABLE t AS SELECT '\\' a, '; COMMIT; --' b;")
    assert run(conn, files).applied == ("001", "002")
    assert conn.execute("SELECT a, b FROM t").fetchall() == [("\\", "; COMMIT; --")]


def test_a_temporary_table_ends_with_its_file(conn: Connection, write: Write) -> None:
    run(conn, write("CREATE TABLE t (n int); CREATE TEMP TABLE t (n int);", "INSERT INTO t VALUES (1);"))
    assert conn.execute("SELECT n FROM public.t").fetchall() == [(1,)]


@pytest.mark.parametrize("how", ["EXECUTE 'SET ro' || 'le {}';", "PERFORM set_config('ro' || 'le', '{}', false);"])
def test_a_role_that_was_changed_behind_the_parsers_back_keeps_nothing(
    conn: Connection, write: Write, postgres_server: PostgresServer, database: str, how: str
) -> None:
    role = f"other_{database}"
    conn.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(sql.Identifier(role)))
    try:
        with pytest.raises(NeonctlError, match="changed the role") as caught:
            run(conn, write(f"CREATE TABLE a (); DO $$ BEGIN {how.format(role)} END $$; CREATE TABLE b ();"))
        assert caught.value.code == "MIGRATION_FAILED"
        assert read_history(conn) == ()
        assert conn.execute("SELECT to_regclass('a'), to_regclass('b')").fetchone() == (None, None)
    finally:
        conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_a_lock_that_a_file_gave_away_is_taken_again_or_the_run_ends(
    conn: Connection, write: Write, postgres_server: PostgresServer, database: str
) -> None:
    files = write("SELECT pg_advisory_unlock_all();", "CREATE TABLE a ();", "SELECT pg_advisory_unlock_all();", "")
    assert run(conn, files[:2]).applied == ("001", "002")
    with postgres_server.connect(database) as other:

        def somebody_takes_it(event: MigrationEvent) -> None:
            if event.kind == "applied":
                assert other.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone() == (True,)

        with pytest.raises(ServiceError, match="lock that it held"):
            run(conn, files, somebody_takes_it)
    assert [row.version for row in read_history(conn)] == ["001", "002", "003"]


def test_the_lock_is_free_after_a_run(conn: Connection, write: Write, postgres_server: PostgresServer, database: str):
    run(conn, write("SELECT 1;", "SELECT 2;"))
    with postgres_server.connect(database) as other:
        assert other.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone() == (True,)
