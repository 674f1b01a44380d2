"""migrate status | up | down: where each database stands, forward, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.options import command

if TYPE_CHECKING:
    from collections.abc import Callable

    from neonctl.cli.migration_choice import Choice
    from neonctl.cli.progress import ProgressLines
    from neonctl.cli.session import Session
    from neonctl.pipelines.migrate import Intent, Order, Outcome, Run
    from neonctl.pipelines.undo import Undoing

Environments = Annotated[
    list[str] | None, typer.Option("--env", help="Environment; repeatable [default: all persistent ones]")
]
Environment = Annotated[str, typer.Option("--env", help="Environment")]
Databases = Annotated[list[str] | None, typer.Option("--database", help="Database; repeatable [default: all]")]
Database = Annotated[str, typer.Option("--database", help="Database, for example bank_core")]


def register(group: typer.Typer) -> None:
    """Add the commands that look and run."""
    command(group, "status")(status)
    command(group, "up")(up)
    command(group, "down")(down)


def status(session: Session, env: Environments = None, database: Databases = None) -> int:
    """Show where every database stands: its version, what is pending, what is wrong. Changes nothing."""
    from dataclasses import asdict

    from neonctl.cli.migration_choice import chosen
    from neonctl.cli.migration_text import status_text
    from neonctl.pipelines.migration_status import migration_status

    choice = chosen(session, env, database, purpose="migrate status")
    session.say(f"Reading {len(choice.databases)} databases of {', '.join(choice.environments)}")
    found = migration_status(
        choice.environments,
        choice.databases,
        desired=choice.desired,
        files=choice.files,
        services=choice.services,
    )
    session.emit({"databases": [asdict(each) for each in found]}, status_text(found, choice.environments))
    return 0


def up(
    session: Session,
    env: Environments = None,
    database: Databases = None,
    target: Annotated[int | None, typer.Option("--target", min=1, help="Stop after this version")] = None,
    out_of_order: Annotated[
        bool, typer.Option("--out-of-order", help="Also run versions older than the newest that is applied")
    ] = False,
    require_rehearsal: Annotated[
        bool, typer.Option("--require-rehearsal", help="Refuse what was not rehearsed on a copy of this environment")
    ] = False,
    break_glass: Annotated[
        str | None, typer.Option("--break-glass", metavar="REASON", help="Pass the gate in an emergency; on record")
    ] = None,
) -> int:
    """Run pending migrations: dev, then uat, then prod; the databases of one environment side by side."""
    from dataclasses import asdict

    from neonctl.cli.migration_choice import chosen
    from neonctl.cli.migration_text import run_document, run_text
    from neonctl.errors import NeonctlError
    from neonctl.pipelines.migrate import Order

    choice = chosen(session, env, database, purpose="migrate up")
    order = Order(target, out_of_order, require_rehearsal, _reason(break_glass))
    outcomes: list[Outcome] = []
    try:
        runs = [_up(session, choice, environment, order, outcomes.append) for environment in choice.environments]
    except NeonctlError as error:
        error.details["databases"] = [asdict(each) for each in outcomes]
        for each in outcomes:
            error.add_note(str(each))
        raise
    except KeyboardInterrupt:
        for each in outcomes:
            session.say(str(each))
        raise
    session.emit(run_document(runs), run_text(runs))
    return 0


def _up(session: Session, choice: Choice, environment: str, order: Order, tell: Callable[[Outcome], None]) -> Run:
    from neonctl.cli.migration_choice import provenance_of
    from neonctl.cli.progress import ProgressLines
    from neonctl.pipelines.migrate import migrate_environment

    audit = choice.audit(session)

    def after(outcome: Outcome) -> None:
        tell(outcome)
        if outcome.scripts or outcome.state == "failed":  # else nothing was changed, and nothing tried
            target = f"{environment}/{outcome.database}"
            audit.record("migration.up", target, environment, outcome.state, {"files": ", ".join(outcome.scripts)})

    with ProgressLines(session) as progress:
        return migrate_environment(
            environment,
            choice.databases,
            desired=choice.desired,
            files=choice.files,
            services=choice.services,
            progress=progress,
            provenance=lambda: provenance_of(session, choice, environment),
            order=order,
            before=lambda intent: _announce(session, choice, intent, order.break_glass, progress),
            after=after,
        )


def _announce(session: Session, choice: Choice, intent: Intent, reason: str | None, progress: ProgressLines) -> None:
    """Say what is about to run; ask where real data lives; put a broken gate on record first."""
    environment = intent.environment
    about = "\n".join(
        [
            *(
                f"{environment}/{database}: {', '.join(file.script for file in pending.files)}"
                for database, pending in intent.pending.items()
            ),
            *(
                f"altered by hand since the last migration: {environment}/{database}: {line}"
                for database, lines in intent.altered.items()
                for line in lines
            ),
            *(
                f"break-glass: {environment}/{database}: {problem}"
                for database, problems in intent.overruled.items()
                for problem in problems
            ),
        ]
    )
    session.say(about)
    audit = choice.audit(session)
    audit.open()
    spec = choice.desired.environments[environment]
    count = sum(len(pending.files) for pending in intent.pending.values())
    if intent.overruled or ((spec.production_data or spec.branch.protected) and not session.settings.local):
        progress.confirm(f"Run {_counted(count)} on {environment}?", about=about)
    for database, lines in intent.altered.items():
        details = {"differences": "; ".join(lines)}
        audit.record("migration.drift", f"{environment}/{database}", environment, "done", details)
    for database, problems in intent.overruled.items():
        audit.record(
            "migration.break_glass",
            f"{environment}/{database}",
            environment,
            "done",
            {"reason": reason or "", "passed_over": "; ".join(problems)},
        )


def _reason(given: str | None) -> str | None:
    from neonctl.errors import UsageError

    if given is not None and not given.strip():
        raise UsageError("USAGE", "--break-glass needs a reason", hint="say why: it goes on record")
    return given


def down(
    session: Session,
    env: Environment,
    database: Database,
    to: Annotated[int, typer.Option("--to", min=0, help="The version to go back to; 0 undoes everything")],
    confirm: Annotated[
        int | None, typer.Option("--confirm", metavar="VERSION", help="The same version again: for protected branches")
    ] = None,
) -> int:
    """Undo migrations of one database, newest first, after saying which rows would be lost."""
    from neonctl.cli.migration_choice import chosen, provenance_of
    from neonctl.cli.migration_text import at_stake_text, undone_text
    from neonctl.cli.progress import ProgressLines
    from neonctl.pipelines.undo import undo_migrations

    choice = chosen(session, [env], [database], purpose="migrate down")
    audit = choice.audit(session)
    begun: list[Undoing] = []

    def before(undoing: Undoing) -> None:
        session.say(at_stake_text(env, database, undoing))
        _confirm_down(session, choice, env, to, confirm, undoing, progress)
        audit.open()
        begun.append(undoing)

    def after(outcome: Outcome) -> None:
        target, files = f"{env}/{database}", ", ".join(outcome.scripts)
        audit.record("migration.down", target, env, outcome.state, {"files": files, "to": str(to)})
        if outcome.state != "done":
            session.say(str(outcome))

    with ProgressLines(session) as progress:
        undone = undo_migrations(
            env,
            database,
            to=to,
            desired=choice.desired,
            files=choice.files[database],
            services=choice.services,
            progress=progress,
            provenance=lambda: provenance_of(session, choice, env),
            before=before,
            after=after,
        )
    session.emit(
        {
            "environment": env,
            "database": database,
            "undone": list(undone),
            "to": to,
            "lost": [str(loss) for undoing in begun for loss in undoing.at_stake],
        },
        undone_text(env, database, undone),
    )
    return 0


def _confirm_down(
    session: Session,
    choice: Choice,
    environment: str,
    to: int,
    confirm: int | None,
    undoing: Undoing,
    progress: ProgressLines,
) -> None:
    """A protected branch needs the version typed again; elsewhere a yes is enough. Raises ``UnsafePlanError``."""
    from neonctl.cli.migration_text import at_stake_text
    from neonctl.errors import UnsafePlanError

    spec = choice.desired.environments[environment]
    guarded = spec.branch.protected or spec.production_data
    if confirm != to and (guarded or confirm is not None):
        wrong = "" if confirm is None else f", and --confirm says {confirm:03d}"
        raise UnsafePlanError(
            "CONFIRMATION_MISSING",
            f"{environment} is protected: going back to {to:03d} needs the version once more{wrong}"
            if guarded
            else f"{environment} would go back to {to:03d}{wrong}",
            hint=f"read what would be lost, then add --confirm {to}",
            details={"at_stake": [str(loss) for loss in undoing.at_stake]},
        )
    if not guarded and confirm is None:
        about = at_stake_text(environment, undoing.database, undoing)
        progress.confirm(f"Undo {_counted(len(undoing.undos))} of {environment}/{undoing.database}?", about=about)


def _counted(count: int) -> str:
    return f"{count} {'migration' if count == 1 else 'migrations'}"
