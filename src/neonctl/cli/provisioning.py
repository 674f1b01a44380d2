"""plan, apply, verify, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.github import report_plan, report_schema_drift
from neonctl.cli.options import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neonctl.cli.session import Session
    from neonctl.pipelines.configuration import Configuration
    from neonctl.plan.observed import Observed
    from neonctl.plan.plan import Plan
    from neonctl.provision.services import Services

CHANGES_PENDING = 2

Environments = Annotated[
    list[str] | None, typer.Option("--env", help="Environment; repeatable [default: all persistent ones]")
]
AllowDelete = Annotated[
    list[str] | None, typer.Option("--allow-delete", help="Allow this deletion, by name; repeatable")
]
Expect = Annotated[str | None, typer.Option("--expect", help="Fingerprint of the reviewed plan: refuse another one")]
Adopt = Annotated[bool, typer.Option("--adopt", help="Take over a project that neonctl did not make")]


def register(app: typer.Typer) -> None:
    """Add the commands of the main road."""
    command(app, "plan")(plan)
    command(app, "apply")(apply)
    command(app, "verify")(verify)
    command(app, "drift")(drift)


def plan(
    session: Session,
    env: Environments = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when changes are pending")
    ] = False,
    adopt: Adopt = False,
) -> int:
    """Show what apply would do. Changes nothing and reads no secret values."""
    configuration = session.configuration()
    made, _ = _plan(
        session,
        configuration,
        session.services(configuration.desired, "plan", only_describes=True),
        selection(configuration, env),
        adopt=adopt,
    )
    from neonctl.cli.plan_text import plan_document, plan_text

    project = configuration.desired.platform.project.name
    text = plan_text(made, project, verbose=session.options.verbose)
    session.emit(plan_document(made, project), text)
    report_plan(made, project)
    return CHANGES_PENDING if detailed_exitcode and made.work else 0


def apply(
    session: Session,
    env: Environments = None,
    allow_delete: AllowDelete = None,
    expect: Expect = None,
    adopt: Adopt = False,
) -> int:
    """Make Neon, AWS and Postgres what the YAML says, then run pending migrations. Can be run again at any time."""
    from neonctl.cli.plan_text import done_line, plan_document, plan_text
    from neonctl.cli.progress import ProgressLines
    from neonctl.cli.summary import platform_document, platform_text
    from neonctl.migrations.evidence import Provenance
    from neonctl.pipelines.apply import apply_plan
    from neonctl.pipelines.provenance import git_commit
    from neonctl.plan.safety import check_deletions, check_expected

    configuration = session.configuration()
    desired = configuration.desired
    project = desired.platform.project.name
    chosen = selection(configuration, env)
    services = session.services(desired, "apply", masked=True)
    made, observed = _plan(session, configuration, services, chosen, adopt=adopt)
    check_deletions(made, allow_delete or ())
    check_expected(made, expect)
    if not made.work:
        report_plan(made, project)
        session.emit(
            {**plan_document(made, project), "applied": False, **platform_document(desired, observed)},
            plan_text(made, project, verbose=False),
        )
        return 0
    text = plan_text(made, project, verbose=session.options.verbose)
    session.say_folded(f"Plan {made.fingerprint[:12]}", text)
    report_plan(made, project)
    # The embedded platform is nobody's production: its first apply is the README's one command.
    if not session.settings.local or made.summary["delete"]:
        session.confirm(f"Apply these {len(made.work)} changes to project {project}?")
    audit = session.audit(desired, services)
    audit.open()
    with ProgressLines(session) as progress:
        applied = apply_plan(
            made,
            observed,
            configuration,
            services,
            selection=chosen,
            progress=progress,
            audit=audit.change,
            provenance=lambda name: Provenance(audit.actor(name), session.trace_id, git_commit(session.db_dir)),
        )
    session.say(f"\nDone in {progress.seconds:.0f} s: {done_line(made)}\n")
    session.emit(
        {
            **plan_document(made, project),
            "applied": True,
            "migrations": applied.migrations,
            **platform_document(desired, applied.observed),
        },
        platform_text(desired, applied.observed, local=session.settings.local),
    )
    return 0


def verify(
    session: Session,
    env: Environments = None,
    write_privileges: Annotated[
        bool, typer.Option("--write-privileges", help="Write db/<database>/privileges.txt from what is there")
    ] = False,
) -> int:
    """Log in with every stored credential over its own path, and prove what each role may and may not do."""
    from neonctl.cli.verification import run_verification

    return run_verification(session, env, write_privileges=write_privileges)


def drift(session: Session, env: Environments = None) -> int:
    """Say what differs from the configuration and from what migrations made; exit 2 when something does."""
    from dataclasses import asdict

    from neonctl.cli.migration_text import drift_lines
    from neonctl.cli.plan_text import plan_document, plan_text
    from neonctl.pipelines.schema_drift import schema_drift

    configuration = session.configuration()
    desired = configuration.desired
    services = session.services(desired, "drift", only_describes=True)
    made, observed = _plan(session, configuration, services, selection(configuration, env), adopt=False)
    altered = schema_drift(desired, observed, services)
    project = desired.platform.project.name
    text = "\n".join((plan_text(made, project, verbose=True), *drift_lines(altered)))
    session.emit({**plan_document(made, project), "schema_drift": [asdict(each) for each in altered]}, text)
    report_plan(made, project)
    report_schema_drift(altered)
    return CHANGES_PENDING if made.work or altered else 0


def selection(configuration: Configuration, env: Sequence[str] | None) -> tuple[str, ...] | None:
    """The environments that were asked for. Raises ``UsageError`` for one that is not declared."""
    from neonctl.desired.preview import preview_number
    from neonctl.errors import UsageError

    if not env:
        return None
    known = configuration.desired.environments
    unknown = [name for name in env if name not in known]
    if unknown:
        number = preview_number(unknown[0])
        raise UsageError(
            "UNKNOWN_ENVIRONMENT",
            f"no environment {', '.join(unknown)} in the configuration",
            hint=f"declared are: {', '.join(known)}"
            if number is None
            else f"previews have commands of their own: neonctl preview create {number}",
        )
    return tuple(dict.fromkeys(env))


def _plan(
    session: Session,
    configuration: Configuration,
    services: Services,
    chosen: tuple[str, ...] | None,
    *,
    adopt: bool,
) -> tuple[Plan, Observed]:
    from neonctl.provision.observe import observe

    project = configuration.desired.platform.project
    where = "the embedded platform" if session.settings.local else session.settings.api_host
    session.say(
        f"Reading project {project.name} ({', '.join(chosen or configuration.desired.environments)}) on {where}"
    )
    observed = observe(configuration.desired, services, selection=chosen)
    from neonctl.plan.diff import diff  # imported meanwhile

    return diff(configuration.desired, observed, selection=chosen, adopt=adopt), observed
