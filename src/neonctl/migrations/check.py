"""Files against record, without touching anything: what is pending, or why nothing may run.

The texts are Flyway's, so that who knows Flyway knows what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from neonctl.errors import NeonctlError
from neonctl.migrations.files import AnyFile, MigrationFile, MigrationFolder, RepeatableFile
from neonctl.migrations.history import BASELINES, AppliedMigration, abbreviated, foreign_versions, live_versions


class MigrationHistoryError(NeonctlError):
    """Files and record contradict each other. ``details["problems"]`` lists every problem as
    ``{"version", "file", "message"}``.
    """


@dataclass(frozen=True)
class Pending:
    """What is still to be run, in order."""

    versioned: tuple[MigrationFile, ...] = ()
    repeatable: tuple[RepeatableFile, ...] = ()
    begun: Mapping[str, int] = field(default_factory=dict[str, int])  # outside a transaction: file's name → its rank

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
        return Pending(within, self.repeatable if within == self.versioned else (), self.begun)


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
    begun = {
        file.script: row.installed_rank
        for number, row in in_force.items()
        if (file := by_number.get(number)) and _can_go_on(row, file)
    }
    newest = max(in_force, default=baseline)
    pending = sorted(
        (f for f in files.versioned if f.number > baseline and (f.number not in in_force or f.script in begun)),
        key=lambda file: file.number,
    )
    problems = [
        *_foreign(applied),
        *_failed_repeatables(applied),
        *(problem for number, row in sorted(in_force.items()) for problem in _row(row, by_number.get(number))),
        *(_ignored(file) for file in pending if file.number < newest and not out_of_order),
    ]
    if problems:
        raise _error(database, problems)
    ran = {description: row.checksum for description, row in last_repeatables(applied).items()}
    return Pending(
        tuple(pending),
        tuple(file for file in files.repeatable if ran.get(abbreviated(file.description)) != file.checksum),
        begun,
    )


def last_repeatables(applied: Sequence[AppliedMigration]) -> dict[str, AppliedMigration]:
    """The last run of each repeatable migration by its description, unless ``repair`` marked it deleted since."""
    last: dict[str, AppliedMigration] = {}
    for row in applied:
        if row.version is not None or row.type == "SCHEMA":
            continue
        if row.type == "DELETE":
            last.pop(row.description, None)
        else:
            last[row.description] = row
    return last


def _can_go_on(row: AppliedMigration, file: MigrationFile) -> bool:
    """Begun outside a transaction and not finished, by the very file that is there now: it may be run again."""
    return not row.success and not file.transactional and row.checksum == file.checksum


def baseline_number(applied: Sequence[AppliedMigration]) -> int:
    """The version that a baseline says was there before the record began; 0 without one."""
    live = live_versions(applied)
    return max((number for number, row in live.items() if row.type in BASELINES), default=0)


def _foreign(applied: Sequence[AppliedMigration]) -> Iterator[dict[str, object]]:
    for row in foreign_versions(applied):
        yield _problem(row.version, row.script, f"Detected applied migration not resolved locally: {row.version}.")


def _failed_repeatables(applied: Sequence[AppliedMigration]) -> Iterator[dict[str, object]]:
    for row in last_repeatables(applied).values():
        if not row.success:
            yield _problem(
                None,
                row.script,
                f"Detected failed repeatable migration: {row.description}.\n"
                "Please remove any half-completed changes then run repair to fix the schema history.",
            )


def _row(row: AppliedMigration, file: MigrationFile | None) -> Iterator[dict[str, object]]:
    if not row.success and not (file and _can_go_on(row, file)):
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
    if row.type != "SQL":
        yield _mismatch("type", file, row.type, "SQL")
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
