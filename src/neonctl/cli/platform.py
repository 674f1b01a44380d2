"""local up | down | status | reset | faults: the embedded platform on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.options import command

if TYPE_CHECKING:
    from neonctl.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="The embedded platform: a Neon-compatible API over real PostgreSQL, and AWS endpoints.",
    )
    command(group, "up")(up)
    command(group, "down")(down)
    command(group, "status")(status)
    command(group, "reset")(reset)
    command(group, "faults")(faults)
    app.add_typer(group, name="local")


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
    from neonctl.cli.platform_text import status_text
    from neonctl.local.platform import branches, running

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
            "branches": found,
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
    add: Annotated[
        list[str] | None,
        typer.Option("--add", help='A fault as JSON, for example {"action": "429", "match": "POST /projects"}'),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove every fault")] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the random ones: the same seed, the same run")
    ] = None,
) -> int:
    """Show or set the faults that the platform injects: latency, 423, 429, 500, 503, cut connections, failing work."""
    from neonctl.cli.platform_text import faults_text
    from neonctl.local.faults_client import change_faults
    from neonctl.local.platform import ensure_running

    platform = ensure_running(session.local_dir, progress=session.say)
    rules = change_faults(platform, add=add or (), clear=clear, seed=seed)
    session.emit({"faults": rules}, faults_text(rules))
    return 0
