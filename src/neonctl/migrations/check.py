"""Files against record, without touching anything: what is pending, or why nothing may run.

The texts are Flyway's, so that who knows Flyway knows what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neonctl.errors import NeonctlError
from neonctl.migrations.files import MigrationFile
from neonctl.migrations.history import AppliedMigration, live_versions, version_number


class MigrationHistoryError(NeonctlError):
    """Files and record contradict each other. ``details["problems"]`` lists every problem as
    ``{"version", "file", "message"}``.
    """


def compare(
    files: Sequence[MigrationFile], applied: Sequence[AppliedMigration], *, database: str
) -> tuple[MigrationFile, ...]:
    """The files still to be applied, in version order.

    Raises ``MigrationHistoryError`` with every contradiction at once: a failed row, an applied file that was edited,
    renamed or removed, a file older than what is applied already.
    """
    live = live_versions(applied)
    baseline = max((number for number, row in live.items() if row.type == "BASELINE"), default=0)
    in_force = {number: row for number, row in live.items() if number > baseline}
    by_number = {file.number: file for file in files}
    newest = max(in_force, default=baseline)
    pending = [file for file in files if file.number > baseline and file.number not in in_force]
    problems = [
        *_foreign(applied),
        *(problem for number, row in sorted(in_force.items()) for problem in _row(row, by_number.get(number))),
        *(_ignored(file) for file in pending if file.number < newest),
    ]
    if problems:
        raise _error(database, problems)
    return tuple(sorted(pending, key=lambda file: file.number))


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
    if row.description != file.description:
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
