"""Bring Flyway's record in line with the files: what its ``repair`` does, said beforehand and journalled.

Flyway rewrites rows in place and nobody sees what they were. Here the plan is a value that can be shown, it is carried
out only if the record still is what it was made from, and each action with the row before and after it is evidence, in
the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import sql

from neonctl.errors import PlanChangedError
from neonctl.migrations.check import baseline_number, last_repeatables
from neonctl.migrations.evidence import NewEntry, Provenance, entry_statement
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import (
    BASELINES,
    MARK,
    AppliedMigration,
    NewRow,
    abbreviated,
    foreign_versions,
    live_versions,
    read_history,
    row_statement,
)
from neonctl.migrations.progress import Progress
from neonctl.migrations.run import closing, make_records, opening, under_lock
from neonctl.migrations.session import RunSettings, run_own

if TYPE_CHECKING:
    from typing import LiteralString

_REMOVE: LiteralString = 'DELETE FROM "public"."flyway_schema_history" WHERE "installed_rank" = {rank}'
_ALIGN: LiteralString = """\
UPDATE "public"."flyway_schema_history"
SET "description" = {description}, "type" = {type}, "checksum" = {checksum} WHERE "installed_rank" = {rank}"""


@dataclass(frozen=True)
class RepairAction:
    """One change to the record. ``file`` is what a row is brought in line with."""

    kind: Literal["remove failed", "align", "mark deleted"]
    row: AppliedMigration
    file: MigrationFile | None = None
    note: str | None = None

    @property
    def changes(self) -> dict[str, tuple[object, object]]:
        """Of an alignment: column → before, after."""
        if self.file is None:
            return {}
        wanted = {"description": abbreviated(self.file.description), "type": "SQL", "checksum": self.file.checksum}
        return {name: (before, after) for name, after in wanted.items() if (before := getattr(self.row, name)) != after}

    def __str__(self) -> str:
        of = f"row {self.row.installed_rank} ({self.row.script})"
        match self.kind:
            case "remove failed":
                text = f"remove {of}: it failed"
            case "mark deleted":
                text = f"mark {of} deleted: there is no such file"
            case "align":
                changed = ", ".join(f"{name} {before} → {after}" for name, (before, after) in self.changes.items())
                text = f"rewrite {of}: {changed}"
        return f"{text} ({self.note})" if self.note else text


def plan_repair(files: MigrationFolder, history: Sequence[AppliedMigration]) -> tuple[RepairAction, ...]:
    """What a repair would do, in the order of the rows; ``()`` when record and files agree.

    What is pending is not repaired, nor is an undo that was edited: it has to be restored.
    """
    return tuple(sorted(_actions(files, history), key=lambda action: action.row.installed_rank))


def repair(
    conn: psycopg.Connection[Any],
    actions: Sequence[RepairAction],
    *,
    database: str,
    progress: Progress,
    settings: RunSettings,
    provenance: Provenance,
) -> None:
    """Carry out a plan that was shown: all of it with its evidence in one transaction, or nothing.

    ``conn`` as for ``migrate``. Raises ``PlanChangedError`` when a row is not what it was when the plan was made.
    """
    if not actions:
        return
    with under_lock(conn, database=database, settings=settings, progress=progress) as session:
        history = read_history(conn)
        if not {action.row for action in actions} <= set(history):
            raise PlanChangedError(
                "REPAIR_PLAN_CHANGED",
                f"{database}: flyway_schema_history is not what it was when this repair was planned",
                hint="Plan it again. Nothing was changed.",
                details={"database": database},
            )
        make_records(conn, database, made=True)
        rank = max(row.installed_rank for row in history)
        statements: list[sql.Composable] = [*opening(session, "repair")]
        for action in actions:
            if action.kind == "mark deleted":
                rank += 1
            statements += _statements(action, rank, provenance)
        run_own(conn, (*statements, *closing()), database)


def _actions(files: MigrationFolder, history: Sequence[AppliedMigration]) -> Iterator[RepairAction]:
    yield from (RepairAction("remove failed", row) for row in history if not row.success)
    by_number = {file.number: file for file in files.versioned}
    baseline = baseline_number(history)
    newest = max(by_number, default=0)
    for number, row in live_versions(history).items():
        if not row.success or number <= baseline or row.type in BASELINES:
            continue
        file = by_number.get(number)
        if file is None:
            newer = "newer than every file: is this an old checkout?" if number > newest else None
            yield RepairAction("mark deleted", row, note=newer)
        elif (align := RepairAction("align", row, file)).changes:
            yield align
    yield from (RepairAction("mark deleted", row) for row in foreign_versions(history) if row.success)
    there = {abbreviated(file.description) for file in files.repeatable}
    yield from (
        RepairAction("mark deleted", row)
        for description, row in last_repeatables(history).items()
        if row.success and description not in there
    )


def _statements(action: RepairAction, rank: int, provenance: Provenance) -> Iterator[sql.Composable]:
    row, file = action.row, action.file
    after: dict[str, object] | None = None
    match action.kind:
        case "remove failed":
            yield sql.SQL(_REMOVE).format(rank=sql.Literal(row.installed_rank))
        case "align":
            assert file is not None
            after = _shown(row) | {name: new for name, (_, new) in action.changes.items()}
            yield sql.SQL(_ALIGN).format(
                description=sql.Literal(after["description"]),
                type=sql.Literal(after["type"]),
                checksum=sql.Literal(after["checksum"]),
                rank=sql.Literal(row.installed_rank),
            )
        case "mark deleted":
            new = NewRow(rank, row.version, row.description, "DELETE", row.script, row.checksum, timed=False)
            after = _shown(row) | {"installed_rank": rank, "type": "DELETE"}
            yield sql.SQL("SELECT set_config({}, {}, true)").format(sql.Literal(MARK), sql.Literal(new.script))
            yield row_statement(new)
    yield entry_statement(
        NewEntry(
            "repair",
            provenance,
            version=row.version,
            script=row.script,
            up_sha256=file.sha256 if file else None,
            down_sha256=file.undo.sha256 if file else None,
            details={
                "action": action.kind,
                "installed_rank": row.installed_rank,
                "before": _shown(row),
                "after": after,
            },
        )
    )


def _shown(row: AppliedMigration) -> dict[str, object]:
    return {**vars(row), "installed_on": row.installed_on.isoformat()}
