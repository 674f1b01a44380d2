"""migrate validate | history | prove | rehearse: what is on record, and what is put on record before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.migrate_run import Database, Databases, Environment, Environments
from neonctl.cli.options import command

if TYPE_CHECKING:
    from neonctl.cli.session import Session

FAILED = 1


def register(group: typer.Typer) -> None:
    """Add the commands about records."""
    command(group, "validate")(validate)
    command(group, "history")(history)
    command(group, "prove")(prove)
    command(group, "rehearse")(rehearse)


def validate(session: Session, env: Environments = None, database: Databases = None) -> int:
    """Compare files, record, evidence and the live catalogue: what was edited or altered by hand is named."""
    from dataclasses import asdict

    from neonctl.cli.github import annotate_problems
    from neonctl.cli.migration_choice import chosen
    from neonctl.cli.migration_text import findings_text
    from neonctl.pipelines.schema_drift import validate as compare_all

    choice = chosen(session, env, database, purpose="migrate validate")
    session.say(f"Comparing {len(choice.databases)} databases of {', '.join(choice.environments)}")
    found = compare_all(
        choice.environments, choice.databases, desired=choice.desired, files=choice.files, services=choice.services
    )
    session.emit({"ok": not found, "findings": [asdict(each) for each in found]}, findings_text(found))
    annotate_problems("migrate validate", ((None, str(each)) for each in found))
    return FAILED if found else 0


def history(session: Session, env: Environment, database: Database) -> int:
    """Show what was run in one database: Flyway's record, and our evidence of who, when, from which files."""
    from neonctl.cli.migration_choice import chosen
    from neonctl.cli.migration_records import history_document, history_text
    from neonctl.migrations.evidence import broken_chain, read_evidence
    from neonctl.migrations.history import read_history
    from neonctl.migrations.states import describe
    from neonctl.pipelines.logins import logged_in

    choice = chosen(session, [env], [database], purpose="migrate history")
    with logged_in([database], choice.desired.environments[env], choice.services) as connections:
        rows, entries = read_history(connections[database]), read_evidence(connections[database])
    states, broken = describe(choice.files[database], rows), broken_chain(entries)
    session.emit(
        {"environment": env, "database": database, **history_document(states, entries, broken)},
        history_text(states, entries, broken),
    )
    return FAILED if broken else 0


def prove(session: Session, database: Databases = None) -> int:
    """Show on a throw-away branch that every undo undoes: up, down and up again, with rows. Stays on record."""
    from neonctl.cli.github import annotate_problems
    from neonctl.cli.migration_choice import chosen, provenance_of
    from neonctl.cli.migration_records import proof_problems, proofs_text
    from neonctl.cli.progress import ProgressLines
    from neonctl.pipelines.prove import home_of_proofs, prove_databases

    choice = chosen(session, None, database, purpose="migrate prove")
    home = home_of_proofs(choice.desired)
    audit = choice.audit(session)
    audit.open()
    session.say(f"Proving {', '.join(choice.databases)} on a throw-away branch of {home}")
    with ProgressLines(session) as progress:
        proofs = prove_databases(
            choice.databases,
            desired=choice.desired,
            files=choice.files,
            db_dir=session.db_dir,
            services=choice.services,
            progress=progress,
            provenance=lambda: provenance_of(session, choice, home),
            audit=audit,
        )
    ok = all(proof.ok for proof in proofs.values())
    for name, proof in proofs.items():
        outcome = "done" if proof.ok else "failed"
        audit.record("migration.prove", f"{home}/{name}", home, outcome, {"proof_id": proof.proof_id})
    session.emit({"ok": ok, "proofs": [proof.document() for proof in proofs.values()]}, proofs_text(proofs))
    annotate_problems("migrate prove", proof_problems(proofs, choice.files))
    return 0 if ok else FAILED


def rehearse(
    session: Session,
    env: Environment,
    database: Databases = None,
    max_lock: Annotated[
        str | None, typer.Option("--max-lock", metavar="DURATION", help="Longest that others may be blocked, as 2s")
    ] = None,
) -> int:
    """Run what is pending on an instant copy of an environment first: locks, rewrites, rows, time. Stays on record."""
    from neonctl.cli.duration import seconds
    from neonctl.cli.github import annotate_problems
    from neonctl.cli.migration_choice import chosen, provenance_of
    from neonctl.cli.migration_records import rehearsal_problems, rehearsals_text
    from neonctl.cli.progress import ProgressLines
    from neonctl.pipelines.rehearse import rehearse_environment

    budget = None if max_lock is None else seconds(max_lock, "--max-lock")
    choice = chosen(session, [env], database, purpose="migrate rehearse")
    audit = choice.audit(session)
    audit.open()
    session.say(f"Rehearsing on a throw-away copy of {env}")
    with ProgressLines(session) as progress:
        found = rehearse_environment(
            env,
            choice.databases,
            desired=choice.desired,
            files=choice.files,
            services=choice.services,
            progress=progress,
            provenance=lambda: provenance_of(session, choice, env),
            audit=audit,
            max_lock_s=budget,
        )
    ok = all(each.ok for each in found.values())
    for name, each in found.items():
        audit.record("migration.rehearse", f"{env}/{name}", env, "done" if each.ok else "failed")
    session.emit(
        {"ok": ok, "environment": env, "rehearsals": [each.as_details() for each in found.values()]},
        rehearsals_text(found),
    )
    annotate_problems("migrate rehearse", rehearsal_problems(found, choice.files))
    return 0 if ok else FAILED
