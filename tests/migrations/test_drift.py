"""What counts as drift: the live catalogue against the one recorded after the last migration."""

from __future__ import annotations

from collections.abc import Callable, Generator

import psycopg
import pytest

from neonctl.errors import ServiceError
from neonctl.migrations import drift
from neonctl.migrations.drift import drifted
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import read_history
from neonctl.migrations.repair import plan_repair, repair
from neonctl.migrations.runner import migrate
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

Write = Callable[..., tuple[MigrationFile, ...]]
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str, write: Write) -> Generator[Connection]:
    """A migrated database whose last file left the session in another zone, format and path."""
    files = write(
        "CREATE TABLE a (n int, at timestamptz DEFAULT '2026-01-01 12:00+00', f float8 DEFAULT 0.1);",
        "SET TimeZone = 'Pacific/Auckland'; SET DateStyle = 'SQL, DMY'; SET extra_float_digits = -15;"
        "SET search_path = pg_catalog; CREATE TABLE public.b (n int CHECK (n > 0), at date DEFAULT '2026-03-04');",
    )
    with postgres_server.connect(database) as connection:
        migrate(
            connection,
            database="bank",
            files=MigrationFolder(files),
            progress=lambda _: None,
            settings=SETTINGS,
            provenance=WHO,
        )
        yield connection


def found(conn: Connection) -> list[str]:
    return [str(difference) for difference in drifted(conn, "bank")]


def test_no_setting_of_a_session_and_no_maintenance_is_drift(conn: Connection) -> None:
    assert found(conn) == []
    conn.execute("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET search_path = pg_temp, public")
    conn.execute("INSERT INTO public.b VALUES (1)")
    for statement in ("VACUUM FULL public.b", "ANALYZE", "REINDEX TABLE public.b"):
        conn.execute(statement)
    assert found(conn) == []


def test_a_column_by_hand_is_named(conn: Connection) -> None:
    conn.execute("ALTER TABLE a ADD by_hand int")
    assert found(conn) == [
        "column public.a.by_hand: was not there before",
        "table public.a: columns was n, at, f, is n, at, f, by_hand",
    ]


def test_what_is_in_a_schema_by_hand_is_the_plans_and_nothing_else_is(conn: Connection) -> None:
    conn.execute(
        'CREATE SCHEMA by_hand; CREATE TABLE by_hand.t (); CREATE SCHEMA "By hand"; CREATE TABLE "By hand"."a.b" ();'
        "CREATE FUNCTION by_hand.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE FUNCTION public.g(a int, b by_hand.t) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        'CREATE TABLE public."x by_hand.y" ();'
    )
    assert found(conn) == [
        "function public.g(integer, by_hand.t): was not there before",
        'table public."x by_hand.y": was not there before',
    ]


@pytest.fixture
def partitioned(postgres_server: PostgresServer, database: str, write: Write) -> Generator[Connection]:
    files = write("CREATE TABLE days (day date PRIMARY KEY) PARTITION BY RANGE (day); CREATE TABLE plain (day date);")
    with postgres_server.connect(database) as connection:
        migrate(
            connection,
            database="bank",
            files=MigrationFolder(files),
            progress=lambda _: None,
            settings=SETTINGS,
            provenance=WHO,
        )
        yield connection


def test_a_partition_that_time_brings_is_no_drift(partitioned: Connection) -> None:
    partitioned.execute("CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')")
    assert found(partitioned) == []
    partitioned.execute("CREATE TABLE more () INHERITS (plain)")
    partitioned.execute("CREATE TABLE weeks (day date) PARTITION BY RANGE (day)")
    partitioned.execute("CREATE TABLE weeks_1 PARTITION OF weeks FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')")
    assert found(partitioned) == [
        "table public.more: was not there before",
        "table public.weeks: was not there before",
        "table public.weeks_1: was not there before",
    ]


def test_what_another_tool_migrated_since_is_no_drift(conn: Connection) -> None:
    conn.execute("CREATE TABLE by_flyway (n int)")
    assert found(conn) == ["table public.by_flyway: was not there before"]
    conn.execute(
        "INSERT INTO flyway_schema_history SELECT 3, '003', 'c', 'SQL', 'V003__c.sql', 1, 'flyway', now(), 5, true"
    )
    assert found(conn) == []


def test_a_repair_hides_no_drift(conn: Connection) -> None:
    gone = plan_repair(MigrationFolder(), read_history(conn))
    repair(conn, gone, database="bank", progress=lambda _: None, settings=SETTINGS, provenance=WHO)
    assert found(conn) == []
    conn.execute("CREATE TABLE by_hand (n int)")
    assert found(conn) == ["table public.by_hand: was not there before"]


@pytest.mark.parametrize("question", ["last_listing", "_is_overtaken"])
def test_a_connection_that_breaks_after_any_question_is_said_in_words(
    conn: Connection, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    ask = getattr(drift, question)

    def then_broken(connection: Connection) -> object:
        answer = ask(connection)
        with postgres_server.connect("postgres") as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        return answer

    monkeypatch.setattr(drift, question, then_broken)
    with pytest.raises(ServiceError) as failure:
        drifted(conn, "bank")
    assert failure.value.code == "POSTGRES_UNREACHABLE"
    assert failure.value.exit_code == 5
