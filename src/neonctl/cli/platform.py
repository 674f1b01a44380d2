"""local up | down | status | reset | faults: the embedded platform on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(
        app, "local", "The embedded platform: a Neon-compatible API over real PostgreSQL, and AWS endpoints."
    )
    command(group, "up")(up)
    command(group, "down")(down)
    command(group, "status")(status)
    command(group, "reset")(reset)
    command(group, "faults")(faults)


def up(session: Session) -> int:
    """Start the platform, if it is not running."""
    from neonctl.local.platform import ensure_running

    ensure_running(session.local_dir, progress=session.say)
    return status(session)


def down(session: Session) -> int:
    """Stop the platform. Its state stays."""
    from neonctl.local.platform import stop

    stopped = stop(session.local_dir)
    text = "stopped; its state is kept, the next command starts it again" if stopped else "it was not running"
    session.emit({"stopped": stopped, "data_dir": str(session.local_dir)}, text)
    return 0


def status(session: Session) -> int:
    """Say what runs, where, and whether the pooled ports go through PgBouncer."""
    from dataclasses import asdict

    from neonctl.cli.platform_text import status_text
    from neonctl.local.platform import running
    from neonctl.local.state import branches

    platform = running(session.local_dir)
    if platform is None:
        session.emit(
            {"running": False, "data_dir": str(session.local_dir)},
            f"not running; state in {session.local_dir}\n\nhint: neonctl local up, or any command with --local",
        )
        return 0
    found = branches(platform)
    session.emit(
        {
            "running": True,
            "api_url": platform.api_url,
            "api_key": platform.api_key.reveal(),  # a key to this machine only; scripts need it (product.md 7)
            "aws_endpoint_url": platform.aws_endpoint_url,
            "ca_file": str(platform.ca_file),
            "data_dir": str(platform.data_dir),
            "pooler": platform.pooler,
            "branches": [asdict(branch) for branch in found],
        },
        status_text(platform, found),
    )
    return 0


def reset(session: Session) -> int:
    """Delete the platform with everything in it, after asking."""
    from neonctl.local.platform import reset as delete

    session.confirm(f"Delete the embedded platform in {session.local_dir}, with every database in it?")
    delete(session.local_dir)
    session.emit({"deleted": True, "data_dir": str(session.local_dir)}, "deleted")
    return 0


def faults(
    session: Session,
    clear: Annotated[bool, typer.Option("--clear", help="Remove every fault first")] = False,
    target: Annotated[
        Literal["neon", "aws", "operation"],
        typer.Option("--on", help="What is struck: API calls, AWS calls, operations"),
    ] = "neon",
    method: Annotated[str, typer.Option("--method", help="Neon: HTTP method (regular expression)")] = "",
    path: Annotated[str, typer.Option("--path", help="Neon: path without /api/v2 (regular expression)")] = "",
    service: Annotated[str, typer.Option("--service", help="AWS: secretsmanager, ssm, events, kms or sts")] = "",
    operation: Annotated[str, typer.Option("--operation", help="AWS: for example PutSecretValue")] = "",
    action: Annotated[str, typer.Option("--action", help="Operation: for example create_branch")] = "",
    every: Annotated[int, typer.Option("--every", min=1, help="Strike each n-th matching call")] = 1,
    nth: Annotated[int | None, typer.Option("--nth", min=1, help="Strike the n-th matching call only")] = None,
    probability: Annotated[float, typer.Option("--probability", min=0, max=1, help="Strike at random")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of --probability: the same seed, the same run")] = 0,
    count: Annotated[int | None, typer.Option("--count", min=1, help="Strike at most so often")] = None,
    latency_ms: Annotated[int, typer.Option("--latency-ms", min=0, help="Delay the answer, or the operation")] = 0,
    http_status: Annotated[int | None, typer.Option("--status", help="Answer 423, 429, 500 or 503")] = None,
    retry_after: Annotated[int | None, typer.Option("--retry-after", help="Seconds, with --status 429")] = None,
    cut: Annotated[
        Literal["before", "after"] | None, typer.Option("--cut", help="Cut the connection before or after the work")
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Let the operation fail")] = False,
) -> int:
    """Show, add or clear faults that the platform injects, on demand and reproducibly."""
    from neonctl.cli.platform_text import faults_text
    from neonctl.local import state
    from neonctl.local.platform import ensure_running

    platform = ensure_running(session.local_dir, progress=session.say)
    rules = [] if clear else state.faults(platform)
    effect = {"latency_ms": latency_ms, "status": http_status, "retry_after": retry_after, "cut": cut, "fail": fail}
    if any(effect.values()):
        match = {"method": method, "path": path, "service": service, "operation": operation, "action": action}
        when = {"every": every, "nth": nth, "probability": probability, "seed": seed, "count": count}
        rules = [
            *rules,
            {"target": target, **{k: v for k, v in {**match, **when, **effect}.items() if v or k == "seed"}},
        ]
    if clear or any(effect.values()):
        rules = state.set_faults(platform, rules)
    session.emit({"faults": rules}, faults_text(rules))
    return 0
