"""The state of each migration in Flyway's own words, as its ``info`` shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from neonctl.migrations.check import baseline_number, last_repeatables
from neonctl.migrations.files import MigrationFile, MigrationFolder, RepeatableFile
from neonctl.migrations.history import BASELINES, DELETED, AppliedMigration, abbreviated, live_versions, version_number

State = Literal[
    "Pending", "Above Target", "Below Baseline", "Baseline", "Ignored", "Success", "Failed", "Out of Order", "Missing",
    "Failed (Missing)", "Future", "Failed (Future)", "Undone", "Deleted", "Outdated", "Superseded",
]  # fmt: skip


@dataclass(frozen=True)
class MigrationInfo:
    """One migration: a row of the record with its file, or a file that has no row. ``row`` is None while pending."""

    category: Literal["Versioned", "Repeatable", "Undo", "Baseline", "Schema", "Delete"]
    version: str | None
    description: str
    type: str
    script: str
    state: State
    undoable: bool
    row: AppliedMigration | None = None


def describe(
    files: MigrationFolder,
    applied: Sequence[AppliedMigration],
    *,
    target: int | None = None,
    out_of_order: bool = False,
) -> tuple[MigrationInfo, ...]:
    """Rows in the order they were made, then what is left: versioned by version, repeatable by description."""
    return (*_rows(files, applied), *_left(files, applied, target, out_of_order=out_of_order))


def _rows(files: MigrationFolder, applied: Sequence[AppliedMigration]) -> Iterator[MigrationInfo]:
    versioned = {file.number: file for file in files.versioned}
    repeatable = {abbreviated(file.description): file for file in files.repeatable}
    newest_file = max(versioned, default=0)
    live = {row.installed_rank for row in live_versions(applied).values()}
    last = {row.installed_rank for row in last_repeatables(applied).values()}
    highest = 0
    for index, row in enumerate(applied):
        number = version_number(row.version)
        if row.version is None:
            yield _unversioned(row, repeatable.get(row.description), is_last=row.installed_rank in last)
            continue
        file = versioned.get(number) if number is not None else None
        in_force = row.installed_rank in live
        late = number is not None and in_force and number < highest
        yield MigrationInfo(
            _category(row),
            row.version,
            row.description,
            row.type,
            row.script,
            _state(row, file, number, newest_file, late=late)
            if in_force or row.type in DELETED or number is None
            else _taken_back(row, applied[index + 1 :]),
            undoable=in_force and file is not None and row.success and row.type not in BASELINES,
            row=row,
        )
        if number is not None and in_force:  # what was taken back since makes nothing late
            highest = max(highest, number)


def _state(
    row: AppliedMigration, file: MigrationFile | None, number: int | None, newest_file: int, *, late: bool
) -> State:
    if row.type in DELETED:
        return "Success"
    if row.type == "BASELINE":
        return "Baseline"
    if file is None:
        if number is not None and number > newest_file:
            return "Future" if row.success else "Failed (Future)"
        return "Missing" if row.success else "Failed (Missing)"
    if not row.success:
        return "Failed"
    return "Out of Order" if late else "Success"


def _taken_back(row: AppliedMigration, later: Sequence[AppliedMigration]) -> State:
    """A row that is in force no more: the next one of its version says why."""
    for each in later:
        if version_number(each.version) == version_number(row.version) and each.type in DELETED:
            return "Undone" if each.type == "UNDO_SQL" else "Deleted"
    return "Superseded"


def _unversioned(row: AppliedMigration, file: RepeatableFile | None, *, is_last: bool) -> MigrationInfo:
    state: State
    if row.type in ("SCHEMA", "DELETE"):
        state = "Success"
    elif not is_last:
        state = "Superseded"
    elif file is None:
        state = "Missing" if row.success else "Failed (Missing)"
    elif not row.success:
        state = "Failed"
    else:
        state = "Success" if row.checksum == file.checksum else "Outdated"
    return MigrationInfo(_category(row), None, row.description, row.type, row.script, state, undoable=False, row=row)


def _left(
    files: MigrationFolder, applied: Sequence[AppliedMigration], target: int | None, *, out_of_order: bool
) -> Iterator[MigrationInfo]:
    live = live_versions(applied)
    baseline = baseline_number(applied)
    newest = max(live, default=0)
    for file in files.versioned:
        if file.number in live:
            continue
        state: State = "Pending"
        if file.number < baseline:
            state = "Below Baseline"
        elif target is not None and file.number > target:
            state = "Above Target"
        elif file.number < newest and not out_of_order:
            state = "Ignored"
        yield MigrationInfo("Versioned", file.version, file.description, "SQL", file.script, state, undoable=False)
    ran = {description: row.checksum for description, row in last_repeatables(applied).items()}
    for each in files.repeatable:
        if ran.get(abbreviated(each.description)) != each.checksum:
            yield MigrationInfo("Repeatable", None, each.description, "SQL", each.script, "Pending", undoable=False)


def _category(row: AppliedMigration) -> Literal["Versioned", "Repeatable", "Undo", "Baseline", "Schema", "Delete"]:
    match row.type:
        case "SCHEMA":
            return "Schema"
        case "DELETE":
            return "Delete"
        case "UNDO_SQL":
            return "Undo"
        case "BASELINE" | "SQL_BASELINE":
            return "Baseline"
        case _:
            return "Repeatable" if row.version is None else "Versioned"
