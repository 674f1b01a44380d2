"""migrate baseline | repair: the record itself is changed, shown first, with a yes, and on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.migrate_run import Database, Environment
from neonctl.cli.options import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neonctl.cli.session import Session
    from neonctl.migrations.repair import RepairAction


def register(group: typer.Typer) -> None:
    """Add the commands that change the record."""
    command(group, "baseline")(baseline)
    command(group, "repair")(repair)


def baseline(
    session: Session,
    env: Environment,
    database: Database,
    version: Annotated[str, typer.Option("--version", help="Versions up to this one count as applied")],
    description: Annotated[str | None, typer.Option("--description", help="Words for the record")] = None,
) -> int:
    """Take over a database that has its tables already: versions up to the baseline count as applied."""
    from dataclasses import asdict

    from neonctl.cli.migration_choice import chosen, provenance_of
    from neonctl.cli.progress import ProgressLines
    from neonctl.migrations.baseline import FLYWAYS_WORDS
    from neonctl.pipelines.record import set_baseline

    choice = chosen(session, [env], [database], purpose="migrate baseline")
    audit = choice.audit(session)
    session.confirm(f"Count every version up to {version} of {env}/{database} as applied?")
    audit.open()
    outcome = "failed"
    try:
        with ProgressLines(session) as progress:
            row = set_baseline(
                env,
                database,
                version=version,
                description=description or FLYWAYS_WORDS,
                desired=choice.desired,
                services=choice.services,
                progress=progress,
                provenance=lambda: provenance_of(session, choice, env),
            )
        outcome = "done"
    finally:
        audit.record("migration.baseline", f"{env}/{database}", env, outcome, {"version": version})
    session.emit(
        {"environment": env, "database": database, "row": asdict(row)},
        f"{env}/{database}: versions up to {row.version} count as applied",
    )
    return 0


def repair(session: Session, env: Environment, database: Database) -> int:
    """Bring Flyway's record in line with the files, after showing what would change. Every change is journalled."""
    from neonctl.cli.migration_choice import chosen, provenance_of
    from neonctl.cli.migration_records import repair_document
    from neonctl.cli.progress import ProgressLines
    from neonctl.pipelines.record import repair_record

    choice = chosen(session, [env], [database], purpose="migrate repair")
    audit = choice.audit(session)
    begun: list[str] = []
    outcome = "failed"

    def before(actions: Sequence[RepairAction]) -> None:
        lines = [str(action) for action in actions]
        about = "\n".join([f"{env}/{database}: this would change in flyway_schema_history:", *lines])
        session.say(about)
        progress.confirm(f"Change the record of {env}/{database}?", about=about)
        audit.open()
        begun.extend(lines)

    try:
        with ProgressLines(session) as progress:
            actions = repair_record(
                env,
                database,
                desired=choice.desired,
                files=choice.files[database],
                services=choice.services,
                progress=progress,
                provenance=lambda: provenance_of(session, choice, env),
                before=before,
            )
        outcome = "done"
    finally:
        if begun:
            audit.record("migration.repair", f"{env}/{database}", env, outcome, {"changes": "; ".join(begun)})
    done = f"{env}/{database}: {len(actions)} changes made" if actions else "Nothing to repair: record and files agree."
    session.emit({"environment": env, "database": database, "changes": repair_document(actions)}, done)
    return 0
