"""Files against record, without touching anything: what is pending, or why nothing may run.

The texts are Flyway's, so that who knows Flyway knows what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neonctl.errors import NeonctlError
from neonctl.migrations.files import AnyFile, MigrationFile, MigrationFolder, RepeatableFile
from neonctl.migrations.history import BASELINES, AppliedMigration, abbreviated, live_versions, version_number


class MigrationHistoryError(NeonctlError):
    """Files and record contradict each other. ``details["problems"]`` lists every problem as
    ``{"version", "file", "message"}``.
    """


@dataclass(frozen=True)
class Pending:
    """What is still to be run, in order."""

    versioned: tuple[MigrationFile, ...] = ()
    repeatable: tuple[RepeatableFile, ...] = ()

    @property
    def files(self) -> tuple[AnyFile, ...]:
        """All of it: versioned first."""
        return (*self.versioned, *self.repeatable)

    def __bool__(self) -> bool:
        return bool(self.versioned or self.repeatable)

    def up_to(self, target: int | None) -> Pending:
        """Without what is newer than ``target``; repeatable files wait until nothing is."""
        if target is None:
            return self
        within = tuple(file for file in self.versioned if file.number <= target)
        return Pending(within, self.repeatable if within == self.versioned else ())


def compare(
    files: MigrationFolder, applied: Sequence[AppliedMigration], *, database: str, out_of_order: bool = False
) -> Pending:
    """The files still to be applied: versioned in version order, then repeatable ones that are new or changed.

    Raises ``MigrationHistoryError`` with every contradiction at once: a failed row, an applied file that was edited,
    renamed or removed, a file older than what is applied already unless ``out_of_order``.
    """
    live = live_versions(applied)
    baseline = baseline_number(applied)
    in_force = {number: row for number, row in live.items() if number > baseline}
    by_number = {file.number: file for file in files.versioned}
    newest = max(in_force, default=baseline)
    pending = [file for file in files.versioned if file.number > baseline and file.number not in in_force]
    problems = [
        *_foreign(applied),
        *(problem for number, row in sorted(in_force.items()) for problem in _row(row, by_number.get(number))),
        *(_ignored(file) for file in pending if file.number < newest and not out_of_order),
    ]
    if problems:
        raise _error(database, problems)
    ran = {row.description: row.checksum for row in applied if row.version is None and row.type == "SQL"}
    return Pending(
        tuple(sorted(pending, key=lambda file: file.number)),
        tuple(file for file in files.repeatable if ran.get(abbreviated(file.description)) != file.checksum),
    )


def baseline_number(applied: Sequence[AppliedMigration]) -> int:
    """The version that a baseline says was there before the record began; 0 without one."""
    live = live_versions(applied)
    return max((number for number, row in live.items() if row.type in BASELINES), default=0)


def _foreign(applied: Sequence[AppliedMigration]) -> Iterator[dict[str, object]]:
    for row in applied:
        if row.version is not None and version_number(row.version) is None:
            yield _problem(row.version, row.script, f"Detected applied migration not resolved locally: {row.version}.")


def _row(row: AppliedMigration, file: MigrationFile | None) -> Iterator[dict[str, object]]:
    if not row.success:
        yield _problem(
            row.version,
            row.script,
            f"Detected failed migration to version {row.version} ({row.description}).\n"
            "Please remove any half-completed changes then run repair to fix the schema history.",
        )
    if file is None:
        yield _problem(
            row.version,
            row.script,
            f"Detected applied migration not resolved locally: {row.version}.\n"
            "If you removed this migration intentionally, run repair to mark the migration as deleted.",
        )
        return
    if row.checksum != file.checksum:
        yield _mismatch("checksum", file, row.checksum, file.checksum)
    if row.description != abbreviated(file.description):
        yield _mismatch("description", file, row.description, file.description)


def _mismatch(what: str, file: MigrationFile, applied: object, local: object) -> dict[str, object]:
    return _problem(
        file.version,
        str(file.path),
        f"Migration {what} mismatch for migration version {file.version}\n"
        f"-> Applied to database : {applied}\n"
        f"-> Resolved locally    : {local}\n"
        "Either revert the changes to the migration, or run repair to update the schema history.",
    )


def _ignored(file: MigrationFile) -> dict[str, object]:
    return _problem(
        file.version,
        str(file.path),
        f"Detected resolved migration not applied to database: {file.version}.\n"
        "Newer versions are applied already; give it the next free version.",
    )


def _problem(version: str | None, file: str, message: str) -> dict[str, object]:
    return {"version": version, "file": file, "message": message}


def _error(database: str, problems: Sequence[dict[str, object]]) -> MigrationHistoryError:
    first = str(problems[0]["message"]).partition("\n")[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return MigrationHistoryError(
        "MIGRATION_HISTORY_MISMATCH",
        f"{database}: {problems[0]['file']}: {first}{more}",
        hint="An applied migration never changes: restore the file as it was, and put the change into a new one.",
        details={"database": database, "problems": list(problems)},
    )
