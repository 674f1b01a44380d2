from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from neonctl.migrations import check
from neonctl.migrations.check import MigrationHistoryError
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import AppliedMigration


@pytest.fixture
def files(write: Callable[..., tuple[MigrationFile, ...]]) -> tuple[MigrationFile, ...]:
    return write("SELECT 1;", "SELECT 2;", "SELECT 3;")


def compare(
    files: Sequence[MigrationFile], applied: Sequence[AppliedMigration], *, database: str, out_of_order: bool = False
) -> tuple[MigrationFile, ...]:
    pending = check.compare(MigrationFolder(tuple(files)), applied, database=database, out_of_order=out_of_order)
    assert pending.repeatable == ()
    return pending.versioned


def test_nothing_applied_means_everything_pending(files: tuple[MigrationFile, ...]) -> None:
    assert compare(files, (), database="bank") == files
    assert compare(files[::-1], (), database="bank") == files


def test_everything_applied_means_nothing_pending(files: tuple[MigrationFile, ...]) -> None:
    assert compare(files, _rows(files), database="bank") == ()


def test_an_undone_version_is_pending_again_and_applied_again_it_is_not(files: tuple[MigrationFile, ...]) -> None:
    for undo in ("DELETE", "UNDO_SQL"):
        undone = [*_rows(files), replace(_row(files[2], 4), type=undo)]
        assert compare(files, undone, database="bank") == files[2:]
        assert compare(files, [*undone, _row(files[2], 5)], database="bank") == ()


def test_versions_up_to_a_baseline_are_not_pending(files: tuple[MigrationFile, ...]) -> None:
    baseline = replace(_row(files[1], 1), type="BASELINE", checksum=None, script="<< Flyway Baseline >>")
    assert compare(files, [baseline], database="bank") == files[2:]


def test_rows_without_a_version_are_not_meant_by_a_file(files: tuple[MigrationFile, ...]) -> None:
    schema = replace(_row(files[0], 0), version=None, type="SCHEMA")
    assert compare(files, [schema, *_rows(files)], database="bank") == ()


def test_flyways_other_spelling_of_a_version_is_the_same_version(files: tuple[MigrationFile, ...]) -> None:
    applied = [replace(row, version=spelling) for row, spelling in zip(_rows(files), ("1", "2.0", "003"), strict=True)]
    assert compare(files, applied, database="bank") == ()


def test_an_edited_file_is_refused_in_flyways_words(files: tuple[MigrationFile, ...]) -> None:
    applied = [*_rows(files)[:1], replace(_row(files[1], 2), checksum=1392250328)]
    (message,) = _messages(files, applied)
    assert message == (
        "Migration checksum mismatch for migration version 002\n"
        "-> Applied to database : 1392250328\n"
        f"-> Resolved locally    : {files[1].checksum}\n"
        "Either revert the changes to the migration, or run repair to update the schema history."
    )


def test_a_renamed_file_is_refused(files: tuple[MigrationFile, ...]) -> None:
    (message,) = _messages(files, [replace(_row(files[0], 1), description="other")])
    assert message.startswith(
        "Migration description mismatch for migration version 001\n-> Applied to database : other"
    )


def test_a_missing_file_is_refused(files: tuple[MigrationFile, ...]) -> None:
    (message,) = _messages(files[:2], _rows(files))
    assert message == (
        "Detected applied migration not resolved locally: 003.\n"
        "If you removed this migration intentionally, run repair to mark the migration as deleted."
    )


def test_a_version_no_file_can_have_is_refused(files: tuple[MigrationFile, ...]) -> None:
    (message,) = _messages(files, [*_rows(files), replace(_row(files[2], 4), version="3.1")])
    assert message == "Detected applied migration not resolved locally: 3.1."


def test_a_failed_row_is_refused(files: tuple[MigrationFile, ...]) -> None:
    (message,) = _messages(files, [replace(_row(files[0], 1), success=False)])
    assert message.startswith("Detected failed migration to version 001 (step 1).")


def test_a_hole_below_the_newest_is_refused(files: tuple[MigrationFile, ...]) -> None:
    (message,) = _messages(files, [_row(files[0], 1), _row(files[2], 2)])
    assert message.startswith("Detected resolved migration not applied to database: 002.")


def test_all_contradictions_are_told_at_once(files: tuple[MigrationFile, ...]) -> None:
    with pytest.raises(MigrationHistoryError) as caught:
        compare(files[1:], [_row(files[0], 1), replace(_row(files[2], 3), checksum=7)], database="bank_core")
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert [problem["version"] for problem in problems] == ["001", "003", "002"]
    assert caught.value.message.startswith("bank_core: V001__step_1.sql: Detected applied migration not resolved")
    assert caught.value.message.endswith("(and 2 more)")


def _messages(files: Sequence[MigrationFile], applied: Sequence[AppliedMigration]) -> list[str]:
    with pytest.raises(MigrationHistoryError) as caught:
        compare(files, applied, database="bank")
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    return [problem["message"] for problem in problems]


def _rows(files: Sequence[MigrationFile]) -> list[AppliedMigration]:
    return [_row(file, rank) for rank, file in enumerate(files, 1)]


def _row(file: MigrationFile, rank: int) -> AppliedMigration:
    return AppliedMigration(
        installed_rank=rank,
        version=file.version,
        description=file.description,
        type="SQL",
        script=file.script,
        checksum=file.checksum,
        installed_by="bank_migrate_user",
        installed_on=datetime(2026, 11, 20, tzinfo=UTC),
        execution_time_ms=3,
        success=True,
    )
