"""Flyway's own rules: the states of its ``info``, what its ``validate`` refuses, a checksum that its manual prints.

The rows have the types, ranks and texts that Flyway writes into ``flyway_schema_history`` for each kind of migration.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neonctl.migrations.check import MigrationHistoryError, compare
from neonctl.migrations.files import MigrationFile, MigrationFolder, RepeatableFile, UndoFile, flyway_checksum
from neonctl.migrations.history import AppliedMigration, abbreviated
from neonctl.migrations.states import describe

Row = tuple[int, str | None, str, str, str, int | None, bool]


def record(*rows: Row) -> tuple[AppliedMigration, ...]:
    return tuple(
        AppliedMigration(
            rank, version, description, kind, script, checksum, "bank", datetime(2026, 7, 20, tzinfo=UTC), 3, success
        )
        for rank, version, description, kind, script, checksum, success in rows
    )


def sql(rank: int, version: str, checksum: int | None = 7, *, success: bool = True, kind: str = "SQL") -> Row:
    return rank, version, f"step {version}", kind, f"V{version}__step_{version}.sql", checksum, success


def repeated(rank: int, name: str, checksum: int, *, success: bool = True) -> Row:
    return rank, None, name, "SQL", f"R__{name}.sql", checksum, success


def folder(*versions: str, repeatable: dict[str, int] | None = None) -> MigrationFolder:
    def file(version: str) -> MigrationFile:
        name = f"V{version}__step_{version}.sql"
        undo = UndoFile(version, f"step {version} rollback", f"U{version}.sql", Path("U"), 8, "", True, "")
        return MigrationFile(version, f"step {version}", name, Path(name), 7, "", undo, True, "")

    return MigrationFolder(
        tuple(map(file, versions)),
        tuple(
            RepeatableFile(name, f"R__{name}.sql", Path(name), checksum, "", "")
            for name, checksum in (repeatable or {}).items()
        ),
    )


BASELINE: Row = (1, "2", "<< Flyway Baseline >>", "BASELINE", "<< Flyway Baseline >>", None, True)
SCHEMA: Row = (0, None, "<< Flyway Schema Creation >>", "SCHEMA", '"public"', None, True)


def states(
    files: MigrationFolder, rows: Sequence[AppliedMigration], **more: object
) -> list[tuple[str | None, str, str]]:
    return [(each.version or each.description, each.type, each.state) for each in describe(files, rows, **more)]  # type: ignore[arg-type]


def pending(files: MigrationFolder, rows: Sequence[AppliedMigration], **more: bool) -> list[str]:
    return [file.script for file in compare(files, rows, database="bank", **more).files]


def messages(files: MigrationFolder, rows: Sequence[AppliedMigration]) -> list[str]:
    with pytest.raises(MigrationHistoryError) as caught:
        compare(files, rows, database="bank")
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    return [problem["message"].partition("\n")[0] for problem in problems]


def test_success_and_pending() -> None:
    files, rows = folder("001", "002", "003"), record(sql(1, "001"))
    assert states(files, rows) == [("001", "SQL", "Success"), ("002", "SQL", "Pending"), ("003", "SQL", "Pending")]
    assert states(files, rows, target=2)[1:] == [("002", "SQL", "Pending"), ("003", "SQL", "Above Target")]
    assert [each.undoable for each in describe(files, rows)] == [True, False, False]


def test_a_schema_row_is_nobodys_migration() -> None:
    files, rows = folder("001"), record(SCHEMA, sql(1, "001"))
    assert states(files, rows)[0] == ("<< Flyway Schema Creation >>", "SCHEMA", "Success")
    assert pending(files, rows) == []


def test_a_baseline_hides_what_is_not_above_it_and_stands_for_its_own_version() -> None:
    files, rows = folder("001", "002", "003"), record(BASELINE)
    assert states(files, rows) == [
        ("2", "BASELINE", "Baseline"),
        ("001", "SQL", "Below Baseline"),
        ("003", "SQL", "Pending"),
    ]
    assert pending(files, rows) == ["V003__step_003.sql"]


def test_rows_of_versions_below_a_baseline_are_not_validated() -> None:
    late = (9, "2", "<< Flyway Baseline >>", "SQL_BASELINE", "B2__all.sql", 5, True)
    rows = record(sql(1, "001", 666), late)
    assert pending(folder("002", "003"), rows) == ["V003__step_003.sql"]


def test_missing_and_future_are_refused() -> None:
    files, rows = folder("001", "003"), record(sql(1, "001"), sql(2, "002"), sql(3, "003"), sql(4, "004"))
    assert states(files, rows)[1] == ("002", "SQL", "Missing")
    assert states(files, rows)[3] == ("004", "SQL", "Future")
    assert messages(files, rows) == [
        "Detected applied migration not resolved locally: 002.",
        "Detected applied migration not resolved locally: 004.",
    ]


def test_failed_missing_and_failed_future() -> None:
    rows = record(sql(1, "002", success=False), sql(2, "009", success=False))
    assert [state for _, _, state in states(folder("003"), rows)[:2]] == ["Failed (Missing)", "Failed (Future)"]


def test_a_failed_row_blocks() -> None:
    files, rows = folder("001"), record(sql(1, "001", success=False))
    assert states(files, rows) == [("001", "SQL", "Failed")]
    assert messages(files, rows) == ["Detected failed migration to version 001 (step 001)."]


def test_out_of_order_and_ignored() -> None:
    files = folder("001", "002", "003")
    assert states(files, record(sql(1, "001"), sql(2, "003")))[-1] == ("002", "SQL", "Ignored")
    assert states(files, record(sql(1, "001"), sql(2, "003")), out_of_order=True)[-1] == ("002", "SQL", "Pending")
    assert messages(files, record(sql(1, "001"), sql(2, "003"))) == [
        "Detected resolved migration not applied to database: 002."
    ]
    assert pending(files, record(sql(1, "001"), sql(2, "003")), out_of_order=True) == ["V002__step_002.sql"]
    assert states(files, record(sql(1, "001"), sql(2, "003"), sql(3, "002")))[-1] == ("002", "SQL", "Out of Order")


def test_what_was_taken_back_makes_nothing_late() -> None:
    up, down = [sql(n, f"00{n}") for n in (1, 2, 3)], [sql(4, "003", kind="DELETE"), sql(5, "002", kind="DELETE")]
    rows = record(*up, *down, sql(6, "002"))
    assert states(folder("001", "002", "003"), rows)[-2:] == [("002", "SQL", "Success"), ("003", "SQL", "Pending")]


def test_deleted_and_undone_are_pending_again_and_again_in_force_when_reapplied() -> None:
    files = folder("001", "002")
    deleted = record(sql(1, "001"), sql(2, "002"), sql(3, "002", kind="DELETE"))
    assert states(files, deleted) == [
        ("001", "SQL", "Success"),
        ("002", "SQL", "Deleted"),
        ("002", "DELETE", "Success"),
        ("002", "SQL", "Pending"),
    ]
    undone = record(sql(1, "001"), sql(2, "002"), sql(3, "002", 8, kind="UNDO_SQL"))
    assert states(files, undone)[1] == ("002", "SQL", "Undone")
    for rows in (deleted, undone):
        assert pending(files, rows) == ["V002__step_002.sql"]
        again = (*rows, *record(sql(4, "002")))
        assert pending(files, again) == []
        assert states(files, again)[-1] == ("002", "SQL", "Success")
        twice = (*again, *record(sql(5, "002", kind="DELETE")))
        assert pending(files, twice) == ["V002__step_002.sql"]
        assert [each.undoable for each in describe(files, twice)] == [True, False, False, False, False, False]


def test_repeatables_superseded_outdated_missing_failed() -> None:
    rows = record(repeated(1, "v", 1), repeated(2, "v", 2))
    assert states(folder(repeatable={"v": 2}), rows) == [("v", "SQL", "Superseded"), ("v", "SQL", "Success")]
    assert states(folder(repeatable={"v": 1}), rows) == [
        ("v", "SQL", "Superseded"),
        ("v", "SQL", "Outdated"),
        ("v", "SQL", "Pending"),
    ]
    assert pending(folder(repeatable={"v": 1}), rows) == ["R__v.sql"]
    assert states(folder(), rows)[-1] == ("v", "SQL", "Missing")
    failed = record(repeated(1, "v", 1, success=False))
    assert states(folder(repeatable={"v": 1}), failed)[0] == ("v", "SQL", "Failed")
    assert messages(folder(repeatable={"v": 1}), failed) == ["Detected failed repeatable migration: v."]


def test_another_type_of_the_same_version_is_a_mismatch() -> None:
    assert messages(folder("001"), record(sql(1, "001", kind="JDBC"))) == [
        "Migration type mismatch for migration version 001"
    ]


def test_long_descriptions_are_kept_as_flyway_keeps_them() -> None:
    assert abbreviated("x" * 200) == "x" * 200
    assert abbreviated("x" * 201) == "x" * 197 + "..."


def test_a_file_with_a_long_description_is_not_renamed() -> None:
    long = folder("001")
    named = MigrationFile(**{**vars(long.versioned[0]), "description": "d" * 230})
    rows = record((1, "001", "d" * 197 + "...", "SQL", "V001.sql", 7, True))
    assert pending(MigrationFolder((named,)), rows) == []


COUPLE = """\
create table COUPLE (
    ID int not null,
    PERSON1 int not null references PERSON(ID),{blank}
    PERSON2 int not null references PERSON(ID){blank}
);
"""


def test_the_checksum_that_flyways_manual_prints_for_a_dry_run() -> None:
    """V3__Couple.sql of its tutorial, whose second and third column end with a blank."""
    assert flyway_checksum(COUPLE.format(blank=" ").encode()) == -722651034
    assert flyway_checksum(COUPLE.format(blank="").encode()) == 824101511


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_another_checkout_of_that_file_has_the_same_checksum(end: str, mark: str) -> None:
    text = mark + COUPLE.format(blank=" ").replace("\n", end)
    assert flyway_checksum(text.encode()) == -722651034
