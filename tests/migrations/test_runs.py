"""Repeatable files, targets, stopping and order: what a run does beyond one file after another."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from neonctl.errors import NeonctlError, RetryableError
from neonctl.migrations.check import MigrationHistoryError, Pending, compare
from neonctl.migrations.evidence import read_evidence
from neonctl.migrations.files import MigrationFilesError, MigrationFolder, read_folder
from neonctl.migrations.history import read_history
from neonctl.migrations.progress import MigrationEvent
from neonctl.migrations.run import MigrationResult
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import RunSettings
from neonctl.migrations.undo import undo
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str) -> Generator[Connection]:
    with postgres_server.connect(database) as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., MigrationFolder]:
    """``folder(3, b_view="…")`` → V001 to V003 making tables t1 to t3, R__b_view.sql, read."""

    def write(versions: int, **repeatable: str) -> MigrationFolder:
        for number in range(1, versions + 1):
            (tmp_path / f"V{number:03d}__step_{number}.sql").write_text(f"CREATE TABLE t{number} (n int);\n")
            (tmp_path / f"U{number:03d}__step_{number}_rollback.sql").write_text(f"DROP TABLE t{number};\n")
        for name, script in repeatable.items():
            (tmp_path / f"R__{name}.sql").write_text(script)
        return read_folder(tmp_path)

    return write


Folder = Callable[..., MigrationFolder]


def run(
    conn: Connection,
    files: MigrationFolder,
    *,
    target: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[MigrationEvent], None] = lambda _: None,
    settings: RunSettings = SETTINGS,
    judged: Pending | None = None,
) -> MigrationResult:
    return migrate(
        conn,
        database="bank",
        files=files,
        progress=progress,
        settings=settings,
        provenance=WHO,
        target=target,
        stop=stop,
        judged=judged,
    )


def test_repeatable_files_run_last_by_description_and_again_when_they_changed(conn: Connection, folder: Folder) -> None:
    view = "CREATE OR REPLACE VIEW {} AS SELECT n FROM t2;"
    files = folder(2, b_view=view.format("b"), a_view=view.format("a"))
    result = run(conn, files)
    assert (result.applied, result.repeated) == (("001", "002"), ("R__a_view.sql", "R__b_view.sql"))
    rows = read_history(conn)
    assert [(row.installed_rank, row.version, row.description, row.type, row.script) for row in rows[2:]] == [
        (3, None, "a view", "SQL", "R__a_view.sql"),
        (4, None, "b view", "SQL", "R__b_view.sql"),
    ]
    assert [row.checksum for row in rows[2:]] == [file.checksum for file in files.repeatable]
    assert run(conn, files).repeated == ()
    changed = folder(3, b_view=view.format("b") + " -- as of today")
    again = run(conn, changed)
    assert (again.applied, again.repeated) == (("003",), ("R__b_view.sql",))
    assert [row.description for row in read_history(conn)][4:] == ["step 3", "b view"]
    back = folder(3, b_view=view.format("b"))
    assert run(conn, back).repeated == ("R__b_view.sql",)  # the last run counts, not any run
    assert run(conn, back).repeated == ()


def test_the_evidence_of_a_repeatable_file(conn: Connection, folder: Folder) -> None:
    files = folder(1, a="SELECT 1;")
    run(conn, files)
    entry, listing = read_evidence(conn)[-2:]
    assert listing.kind == "catalogue"
    assert (entry.kind, entry.version, entry.script, entry.up_sha256, entry.down_sha256) == (
        "repeatable",
        None,
        "R__a.sql",
        files.repeatable[0].sha256,
        None,
    )


def test_a_failing_repeatable_file_leaves_nothing_and_is_named(conn: Connection, folder: Folder) -> None:
    files = folder(1, a="CREATE TABLE x ();\nSELECT nope;")
    with pytest.raises(NeonctlError) as caught:
        run(conn, files)
    assert caught.value.message.startswith(f'{files.repeatable[0].path}:2: column "nope" does not exist')
    assert conn.execute("SELECT to_regclass('x')").fetchone() == (None,)
    assert [row.version for row in read_history(conn)] == ["001"]


def test_what_may_not_stand_in_a_migration_may_not_stand_in_a_repeatable_one(conn: Connection, folder: Folder) -> None:
    with pytest.raises(NeonctlError, match=r"R__a\.sql:2: .*ransaction"):
        run(conn, folder(1, a="SELECT 1;\nCOMMIT;"))
    assert read_history(conn) == ()


def test_repeatable_files_may_be_all_there_is(conn: Connection, folder: Folder) -> None:
    result = run(conn, folder(0, a="CREATE TABLE x ();"))
    assert (result.applied, result.repeated) == ((), ("R__a.sql",))


def test_a_mark_in_a_repeatable_file_is_refused(folder: Folder) -> None:
    with pytest.raises(MigrationFilesError, match="a repeatable migration runs in a transaction"):
        folder(0, a="-- neonctl: non-transactional\nVACUUM;")


def test_a_target_leaves_the_newer_and_the_repeatable_ones(conn: Connection, folder: Folder) -> None:
    files = folder(3, a="SELECT 1;")
    first = run(conn, files, target=2)
    assert (first.applied, first.repeated) == (("001", "002"), ())
    assert run(conn, files, target=1).applied == ()
    rest = run(conn, files, target=3)
    assert (rest.applied, rest.repeated) == (("003",), ("R__a.sql",))


def test_a_run_that_is_stopped_ends_between_two_files_and_can_go_on(conn: Connection, folder: Folder) -> None:
    files = folder(3)
    done: list[str | None] = []

    def watch(event: MigrationEvent) -> None:
        if event.kind == "applied":
            done.append(event.script)

    result = run(conn, files, stop=lambda: len(done) == 2, progress=watch)
    assert (result.applied, result.stopped) == (("001", "002"), True)
    last = run(conn, files)
    assert (last.applied, last.stopped) == (("003",), False)


def test_a_run_that_is_stopped_at_once_did_nothing(conn: Connection, folder: Folder) -> None:
    result = run(conn, folder(1), stop=lambda: True)
    assert (result.applied, result.stopped) == ((), True)
    assert read_history(conn) == ()


def test_older_than_what_is_applied_is_refused_unless_asked_for(conn: Connection, folder: Folder) -> None:
    files = folder(3)
    without_second = replace(files, versioned=(files.versioned[0], files.versioned[2]))
    run(conn, without_second)
    with pytest.raises(MigrationHistoryError, match="Detected resolved migration not applied to database: 002"):
        run(conn, files)
    assert run(conn, files, settings=replace(SETTINGS, out_of_order=True)).applied == ("002",)
    assert [row.version for row in read_history(conn)] == ["001", "003", "002"]
    assert run(conn, files).applied == ()


def test_a_file_without_text_is_recorded_all_the_same(conn: Connection, tmp_path: Path) -> None:
    (tmp_path / "V001__nothing.sql").write_bytes(b"")
    (tmp_path / "U001__nothing_rollback.sql").write_bytes(b"")
    files = read_folder(tmp_path)
    assert run(conn, files).applied == ("001",)
    assert [(row.version, row.checksum) for row in read_history(conn)] == [("001", 0)]
    assert run(conn, files).applied == ()


@pytest.mark.parametrize(
    "settings_gone", ["RESET ALL;", "SET SESSION \"neonctl.migration\" = 'x';", 'RESET "neonctl.migration";']
)
def test_a_file_that_takes_the_mark_away_keeps_nothing(
    conn: Connection, folder: Folder, settings_gone: str, tmp_path: Path
) -> None:
    folder(1)
    (tmp_path / "V001__step_1.sql").write_text(f"CREATE TABLE a ();\n{settings_gone}")
    with pytest.raises(NeonctlError) as caught:
        run(conn, read_folder(tmp_path))
    assert caught.value.code == "MIGRATION_FAILED"
    assert "RESET ALL" in caught.value.message
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)
    assert read_history(conn) == ()


def test_whatever_shape_the_callers_rows_have(postgres_server: PostgresServer, database: str, folder: Folder) -> None:
    files = folder(2, a="SELECT 1;")
    with psycopg.connect(postgres_server.conninfo(database), autocommit=True, row_factory=dict_row) as conn:
        assert run(conn, files).applied == ("001", "002")  # type: ignore[arg-type]
        undone = undo(
            conn, database="bank", files=files, to=0, progress=lambda _: None, settings=SETTINGS, provenance=WHO
        )
        assert undone.undone == ("002", "001")
        assert len(read_evidence(conn)) == 7


def test_nothing_runs_that_the_caller_has_not_judged(conn: Connection, folder: Folder) -> None:
    """Somebody undid 002 while the run, which was to apply 003 alone, waited for its turn."""
    run(conn, folder(2))
    files = folder(3)
    judged = compare(files, read_history(conn), database="bank")
    assert [file.version for file in judged.versioned] == ["003"]
    undo(conn, database="bank", files=files, to=1, progress=lambda _: None, settings=SETTINGS, provenance=WHO)
    with pytest.raises(RetryableError) as caught:
        run(conn, files, judged=judged)
    assert (caught.value.code, caught.value.details["files"]) == ("MIGRATION_RECORD_CHANGED", ["V002__step_2.sql"])
    assert conn.execute("SELECT to_regclass('t2'), to_regclass('t3')").fetchone() == (None, None)


def test_what_another_runner_did_meanwhile_is_left_out(conn: Connection, folder: Folder) -> None:
    files = folder(3)
    judged = compare(files, (), database="bank")
    run(conn, files, target=2)
    assert run(conn, files, judged=judged).applied == ("003",)
    assert run(conn, files, judged=judged).applied == ()
