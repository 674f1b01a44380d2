"""Undoing against real PostgreSQL: what is recorded, what is refused, what would be lost."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import psycopg
import pytest

from neonctl.errors import NeonctlError, UnsafePlanError
from neonctl.migrations import undo as undo_module
from neonctl.migrations.check import MigrationHistoryError
from neonctl.migrations.evidence import broken_chain, read_evidence
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import AppliedMigration, read_history
from neonctl.migrations.progress import MigrationEvent
from neonctl.migrations.run import MigrationResult
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import RunSettings
from neonctl.migrations.stakes import rows_at_stake
from neonctl.migrations.undo import undo
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO, listed

Connection = psycopg.Connection[tuple[object, ...]]
Write = Callable[..., tuple[MigrationFile, ...]]
TABLES = "SELECT relname AS line FROM pg_class WHERE relkind = 'r' AND relname ~ '^[a-z]$' ORDER BY 1"
APPEND_ONLY = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'append-only'; END $$;
CREATE TABLE a (n int);
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON a FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""


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


def down(
    conn: Connection,
    files: Sequence[MigrationFile],
    to: int,
    progress: Callable[[MigrationEvent], None] = lambda _: None,
    settings: RunSettings = SETTINGS,
    **more: bool,
) -> MigrationResult:
    return undo(
        conn,
        database="bank",
        files=MigrationFolder(tuple(files)),
        to=to,
        progress=progress,
        settings=settings,
        provenance=WHO,
        **more,
    )


def tables(conn: Connection) -> list[object]:
    return [row[0] for row in conn.execute(TABLES).fetchall()]


def rows(conn: Connection) -> list[tuple[str | None, str, str]]:
    return [(row.version, row.type, row.script) for row in read_history(conn)]


@pytest.fixture
def three(write: Write) -> tuple[MigrationFile, ...]:
    return write(*((f"CREATE TABLE {name} (n int);", f"DROP TABLE {name};") for name in "abc"))


def test_the_newest_goes_first_and_all_is_as_it_was(conn: Connection, three: tuple[MigrationFile, ...]) -> None:
    up(conn, three)
    events: list[MigrationEvent] = []
    result = down(conn, three, 1, events.append)
    assert (result.undone, result.applied, result.stopped) == (("003", "002"), (), False)
    assert tables(conn) == ["a"]
    assert [(event.kind, event.script) for event in events] == [
        (kind, f"U00{n}__step_{n}_rollback.sql") for n in (3, 2) for kind in ("undoing", "undone")
    ]
    assert down(conn, three, 1).undone == ()
    assert up(conn, three).applied == ("002", "003")
    assert tables(conn) == ["a", "b", "c"]
    assert down(conn, three, 0).undone == ("003", "002", "001")
    assert tables(conn) == []
    assert broken_chain(read_evidence(conn)) is None


def test_an_undo_is_a_delete_row_as_flyways_repair_writes_it(
    conn: Connection, three: tuple[MigrationFile, ...]
) -> None:
    up(conn, three)
    down(conn, three, 2)
    *_, applied, deleted = read_history(conn)
    assert deleted == replace(
        applied,
        installed_rank=4,
        type="DELETE",
        execution_time_ms=0,
        installed_on=deleted.installed_on,
    )
    assert applied.version == "003"


def test_an_undo_may_be_recorded_as_the_paid_flyway_does(conn: Connection, three: tuple[MigrationFile, ...]) -> None:
    up(conn, three)
    down(conn, three, 2, settings=replace(SETTINGS, undo_record="UNDO_SQL"))
    row = read_history(conn)[-1]
    assert isinstance(row, AppliedMigration)
    assert (row.version, row.type, row.script) == ("003", "UNDO_SQL", "U003__step_3_rollback.sql")
    assert (row.description, row.checksum) == ("step 3 rollback", three[2].undo.checksum)
    assert up(conn, three).applied == ("003",)
    assert down(conn, three, 2).undone == ("003",)
    assert [kind for _, kind, _ in rows(conn)] == ["SQL", "SQL", "SQL", "UNDO_SQL", "SQL", "DELETE"]


def test_the_evidence_of_an_undo_names_both_files_and_what_was_lost(
    conn: Connection, three: tuple[MigrationFile, ...]
) -> None:
    up(conn, three)
    conn.execute("INSERT INTO c VALUES (1), (2)")
    down(conn, three, 2)
    entry, listing = read_evidence(conn)[-2:]
    assert (entry.kind, entry.version, entry.script) == ("undo", "003", "U003__step_3_rollback.sql")
    assert (entry.up_sha256, entry.down_sha256) == (three[2].sha256, three[2].undo.sha256)
    assert entry.details == {"installed_rank": 4, "undone_rank": 3, "losses": ["U003: drop table public.c: 2 rows"]}
    assert listing.kind == "catalogue"
    assert listed(conn) == ["a", "b"]


def test_a_failing_undo_leaves_nothing_and_those_before_it_stay_undone(conn: Connection, write: Write) -> None:
    files = write(
        ("CREATE TABLE a ();", "DROP TABLE a;"),
        ("CREATE TABLE b ();", "DROP TABLE b;\nSELECT 1 / 0;"),
        ("CREATE TABLE c ();", "DROP TABLE c;"),
    )
    up(conn, files)
    with pytest.raises(NeonctlError) as caught:
        down(conn, files, 0)
    assert caught.value.message == f"{files[1].undo.path}:2: division by zero (SQLSTATE 22012)"
    assert tables(conn) == ["a", "b"]
    assert [kind for _, kind, _ in rows(conn)] == ["SQL", "SQL", "SQL", "DELETE"]
    assert listed(conn) == ["a", "b"]


def test_what_was_applied_last_goes_first_even_out_of_order(conn: Connection, write: Write) -> None:
    first, second, third = write(*((f"CREATE TABLE {name} ();", f"DROP TABLE {name};") for name in "abc"))
    up(conn, [first, third])
    up(conn, [first, second, third], replace(SETTINGS, out_of_order=True))
    assert down(conn, [first, second, third], 1).undone == ("002", "003")


def test_an_undo_edited_since_its_apply_is_refused_before_anything_runs(conn: Connection, write: Write) -> None:
    good = [("CREATE TABLE a ();", "DROP TABLE a;"), ("CREATE TABLE b ();", "DROP TABLE b;")]
    up(conn, write(*good))
    edited = write(("CREATE TABLE a ();", "DROP TABLE a; -- nobody reviewed this"), good[1])
    with pytest.raises(MigrationHistoryError) as caught:
        down(conn, edited, 0)
    assert caught.value.code == "UNDO_EDITED"
    assert str(edited[0].undo.path) in caught.value.message
    assert tables(conn) == ["a", "b"]
    assert down(conn, edited, 1).undone == ("002",)  # that one is as it was
    assert down(conn, write(*good), 0).undone == ("001",)


def test_edited_while_undone_and_applied_again_is_what_was_reviewed(conn: Connection, write: Write) -> None:
    first = write(("CREATE TABLE a ();", "DROP TABLE a;"))
    up(conn, first)
    down(conn, first, 0)
    second = write(("CREATE TABLE a ();", "DROP TABLE IF EXISTS a;"))
    up(conn, second)
    with pytest.raises(MigrationHistoryError, match="is not the undo that was there"):
        down(conn, write(("CREATE TABLE a ();", "DROP TABLE a;")), 0)
    assert down(conn, write(("CREATE TABLE a ();", "DROP TABLE IF EXISTS a;")), 0).undone == ("001",)


@pytest.mark.parametrize("other", [b"DROP TABLE a;\r\n-- end\r\n", b"\xef\xbb\xbfDROP TABLE a;\n-- end\n"])
def test_another_checkout_of_the_same_undo_is_the_same_undo(conn: Connection, write: Write, other: bytes) -> None:
    up(conn, write(("CREATE TABLE a ();", "DROP TABLE a;\n-- end\n")))
    assert down(conn, write(("CREATE TABLE a ();", other)), 0).undone == ("001",)


def test_what_flyway_applied_has_no_evidence_and_can_be_undone(
    conn: Connection, three: tuple[MigrationFile, ...]
) -> None:
    up(conn, three)
    conn.execute("UPDATE flyway_schema_history SET installed_rank = 9 WHERE version = '003'")  # as after another tool
    edited = (*three[:2], replace(three[2], undo=replace(three[2].undo, sha256="0" * 64)))
    assert down(conn, edited, 2).undone == ("003",)


def test_nothing_is_undone_below_the_baseline(conn: Connection, three: tuple[MigrationFile, ...]) -> None:
    up(conn, three)
    conn.execute("UPDATE flyway_schema_history SET type = 'BASELINE', checksum = NULL WHERE version = '001'")
    with pytest.raises(MigrationHistoryError) as caught:
        down(conn, three, 0)
    assert caught.value.code == "UNDO_BELOW_BASELINE"
    assert down(conn, three, 1).undone == ("003", "002")


def test_a_file_that_is_gone_cannot_be_undone(conn: Connection, three: tuple[MigrationFile, ...]) -> None:
    up(conn, three)
    with pytest.raises(MigrationHistoryError, match="not resolved locally: 003"):
        down(conn, three[:2], 1)


def test_a_stopped_run_ends_between_two_files(conn: Connection, three: tuple[MigrationFile, ...]) -> None:
    up(conn, three)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    result = undo(
        conn,
        database="bank",
        files=MigrationFolder(three),
        to=0,
        progress=lambda _: None,
        settings=SETTINGS,
        provenance=WHO,
        stop=stop,
    )
    assert (result.undone, result.stopped) == (("003",), True)
    assert listed(conn) == ["a", "b"]


def test_what_would_be_lost_is_counted_without_touching_it(conn: Connection, write: Write) -> None:
    conn.execute(
        'CREATE SCHEMA s; CREATE SCHEMA "T t"; CREATE TABLE s.one (n int, m int); CREATE TABLE "T t"."x y" ();'
        "CREATE TABLE two (n int); CREATE TABLE empty (); INSERT INTO s.one VALUES (1, 2), (2, NULL), (3, 4);"
        'INSERT INTO "T t"."x y" DEFAULT VALUES; INSERT INTO two VALUES (1), (2)'
    )
    (file,) = write(
        (
            "SELECT 1;",
            (
                "ALTER TABLE s.one DROP COLUMN m, DROP COLUMN IF EXISTS missing, ADD COLUMN k int;\n"
                "DELETE FROM two USING s.one WHERE two.n = one.n AND one.n > 1;\n"
                "DELETE FROM two WHERE not_yet_there;\nTRUNCATE two;\nDROP TABLE empty, two;\n"
                'DROP TABLE IF EXISTS nowhere;\nDROP SCHEMA "T t", s CASCADE;\nDO $$ BEGIN DROP TABLE two; END $$;'
            ),
        )
    )
    losses = rows_at_stake(conn, [file.undo])
    assert [str(loss) for loss in losses] == [
        "U001: drop column s.one.m: 2 rows",
        "U001: delete public.two: 1 row",
        "U001: delete public.two: 2 rows",
        "U001: truncate public.two: 2 rows",
        "U001: drop table public.two: 2 rows",
        "U001: drop table T t.x y: 1 row",
        "U001: drop table s.one: 3 rows",
    ]
    assert {loss.append_only for loss in losses} == {False}


@pytest.mark.parametrize("undoing", ["DROP TABLE a;", "ALTER TABLE a DROP COLUMN n;", "DROP SCHEMA public CASCADE;"])
def test_an_append_only_table_with_rows_is_kept(conn: Connection, write: Write, undoing: str) -> None:
    files = write((APPEND_ONLY, undoing))
    up(conn, files)
    conn.execute("INSERT INTO a VALUES (1)")
    with pytest.raises(UnsafePlanError) as caught:
        down(conn, files, 0)
    assert (caught.value.code, caught.value.exit_code) == ("UNDO_APPEND_ONLY", 3)
    assert "1 row of an append-only table" in caught.value.message
    assert conn.execute("SELECT count(*) FROM a").fetchone() == (1,)


def test_an_append_only_table_goes_when_it_is_empty_or_when_that_is_allowed(conn: Connection, write: Write) -> None:
    files = write((APPEND_ONLY, "DROP TABLE a; DROP FUNCTION refuse();"))
    up(conn, files)
    assert down(conn, files, 0).undone == ("001",)
    up(conn, files)
    conn.execute("INSERT INTO a VALUES (1)")
    assert down(conn, files, 0, allow_append_only=True).undone == ("001",)


def test_a_month_of_an_append_only_table_is_append_only(conn: Connection, write: Write) -> None:
    files = write(
        APPEND_ONLY.replace("(n int);", "(n int) PARTITION BY LIST (n);"),
        ("CREATE TABLE b PARTITION OF a FOR VALUES IN (1);", "DROP TABLE b;"),
    )
    up(conn, files)
    conn.execute("INSERT INTO a VALUES (1)")
    with pytest.raises(UnsafePlanError, match=r"drop table public\.b: 1 row of an append-only"):
        down(conn, files, 1)


def test_a_row_that_comes_between_the_look_and_the_undo_is_kept(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write((APPEND_ONLY, "DROP TABLE a;"))
    up(conn, files)
    look = undo_module.append_only_tables

    def look_then_insert(*arguments: object) -> object:
        found = look(*arguments)  # type: ignore[arg-type]
        with postgres_server.connect(database) as other:
            other.execute("INSERT INTO a VALUES (1)")
        return found

    monkeypatch.setattr(undo_module, "append_only_tables", look_then_insert)
    with pytest.raises(UnsafePlanError) as caught:
        down(conn, files, 0)
    assert caught.value.code == "UNDO_APPEND_ONLY"
    assert conn.execute("SELECT count(*) FROM a").fetchone() == (1,)
    assert [kind for _, kind, _ in rows(conn)] == ["SQL"]


def test_a_commit_in_an_undo_is_refused(conn: Connection, write: Write) -> None:
    fine = ("CREATE TABLE a ();", "DROP TABLE a;")
    files = write(fine)
    up(conn, files)
    hidden = replace(files[0], undo=replace(files[0].undo, sql="DROP TABLE a; COMMIT;"))
    with pytest.raises(NeonctlError, match="transaction statements"):
        down(conn, [hidden], 0)
    assert tables(conn) == ["a"]
