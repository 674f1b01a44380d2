"""Migrations for people: where each database stands, what was run, what is on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neonctl.cli.table import table

if TYPE_CHECKING:
    from neonctl.pipelines.migrate import Run
    from neonctl.pipelines.migration_status import DatabaseStatus
    from neonctl.pipelines.schema_drift import Finding
    from neonctl.pipelines.undo import Undoing


def status_text(found: Sequence[DatabaseStatus], environments: Sequence[str]) -> str:
    """A table of databases by environments, then what is pending and what is wrong, by name."""
    cells = {(each.database, each.environment): _cell(each) for each in found}
    databases = list(dict.fromkeys(each.database for each in found))
    rows = [[name, *(cells[name, environment] for environment in environments)] for name in databases]
    lines = [table(["database", *environments], rows)]
    for each in found:
        where = f"{each.environment}/{each.database}"
        if each.pending:
            lines.append(f"\n{where}: pending {', '.join(each.pending)}")
        lines += [f"\n{where}: {problem}" for problem in each.problems]
    return "\n".join(lines)


def _cell(each: DatabaseStatus) -> str:
    version = each.version or "none"
    if each.state == "current":
        return version
    if each.state == "pending":
        return f"{version} +{len(each.pending)} pending"
    if each.state == "problem":
        return f"{version} !{len(each.problems)} wrong"
    return each.state


def run_text(runs: Sequence[Run]) -> str:
    """What was applied where; the most important line last."""
    lines: list[str] = []
    count = 0
    for run in runs:
        for database, result in run.results.items():
            done = (*result.applied, *result.repeated)
            count += len(done)
            if done:
                lines.append(f"  {run.environment}/{database}: {', '.join(done)} ({result.duration_ms} ms)")
    if not count:
        return "Nothing to do: every migration is applied."
    return "\n".join([*lines, f"{count} {'migration' if count == 1 else 'migrations'} applied."])


def run_document(runs: Sequence[Run]) -> dict[str, object]:
    """What was applied where, as JSON."""
    return {
        "runs": [
            {
                "environment": run.environment,
                "database": database,
                "applied": list(result.applied),
                "repeated": list(result.repeated),
                "duration_ms": result.duration_ms,
                "break_glass": list(run.overruled.get(database, ())),
            }
            for run in runs
            for database, result in run.results.items()
        ]
    }


def at_stake_text(environment: str, database: str, undoing: Undoing) -> str:
    """What an undo would run, and which rows would be lost."""
    scripts = ", ".join(undo.script for undo in undoing.undos)
    lines = [f"{environment}/{database}: {scripts}"]
    if undoing.at_stake:
        return "\n".join([*lines, "This would be lost:", *(f"  {loss}" for loss in undoing.at_stake)])
    return "\n".join([*lines, "No rows would be lost, as far as the statements show."])


def undone_text(environment: str, database: str, undone: Sequence[str]) -> str:
    """What was undone."""
    if not undone:
        return "Nothing to undo: the database is at that version or an older one."
    return f"{environment}/{database}: undone {', '.join(undone)}"


def findings_text(found: Sequence[Finding]) -> str:
    """What validate found, one a line."""
    if not found:
        return "Files, records and databases agree."
    return "\n".join([*map(str, found), "", f"{len(found)} {'thing differs' if len(found) == 1 else 'things differ'}."])


def drift_lines(altered: Sequence[Finding]) -> list[str]:
    """What was altered by hand, below a plan."""
    if not altered:
        return []
    count = f"{len(altered)} {'thing was' if len(altered) == 1 else 'things were'} altered since the last migration:"
    return ["", count, *(f"  ! {each.environment}/{each.database}: {each.message}" for each in altered)]
