"""jobs run --due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from neonctl.cli.bank import Desk, Environment, document, plain
from neonctl.cli.events import log_event
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session
    from neonctl.pipelines.jobs import JobResult


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "jobs", "What a scheduler must run, every few minutes.")
    command(group, "run")(jobs_run)


def jobs_run(
    session: Session,
    env: Environment,
    due: Annotated[bool, typer.Option("--due", help="Everything that is due now")] = False,
) -> int:
    """Run what is due: snapshots, expired holds, daily reconciliation, relay, pruning. Safe to run at any time."""
    from neonctl.errors import UsageError
    from neonctl.pipelines.jobs import Heard, run_due_jobs

    if not due:
        raise UsageError("USAGE", "say what to run: --due", hint=f"neonctl jobs run --due --env {env}")
    desk = Desk(session, env, "jobs run")
    heard = Heard(
        event=lambda event, wrong: log_event(desk, event, wrong),
        expired=lambda hold: desk.log("hold_expired", **document(hold)),
        snapshot=lambda taken: desk.log("eod_snapshot_completed", **document(taken)),
        reconciled=lambda event: desk.log("obr_partition_reconciled", differences=event.differences),
    )
    with desk.changing("jobs.run", f"{env}/bank_core") as change:
        results = run_due_jobs(
            change.conn, env, desired=desk.desired, services=desk.services, trace=desk.trace, heard=heard
        )
        change.noted.update({result.job: result.outcome for result in results})
    session.emit({"jobs": [_document(result) for result in results]}, "\n".join(_line(result) for result in results))
    failed = [result.error for result in results if result.error is not None]
    if not failed:
        return 0
    return 75 if all(error.retryable for error in failed) else 1


def _document(result: JobResult) -> dict[str, Any]:
    shown: dict[str, Any] = {"job": result.job, "outcome": result.outcome, **plain(result.facts)}
    if result.error is not None:
        shown["error"] = {
            "code": result.error.code,
            "message": result.error.message,
            "hint": result.error.hint,
            "retryable": result.error.retryable,
        }
    return shown


def _line(result: JobResult) -> str:
    if result.error is not None:
        return f"{result.job:<11}  failed   {result.error.code}: {result.error.message}"
    facts = (
        ", ".join(f"{key} {_said(value)}" for key, value in plain(result.facts).items())
        if result.outcome == "done"
        else ""
    )
    return f"{result.job:<11}  {result.outcome:<7}  {facts}".rstrip()


def _said(value: object) -> str:
    return " and ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
