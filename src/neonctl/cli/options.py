"""The options that every command has, written once and given to each (product.md 3)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from neonctl.frozen import frozen


@frozen
class Common:
    """What was given for the common options; None: not given, the environment or a default decides."""

    output: Literal["text", "json"]
    local: bool
    config: Path | None
    db: Path | None
    yes: bool
    no_input: bool
    no_color: bool
    quiet: bool
    verbose: bool
    log_format: Literal["text", "json"]
    trace_id: str | None
    actor: str | None


_PANEL = "Common options"


def _option(annotation: Any, default: Any, *names: str, help: str, **more: Any) -> tuple[Any, Any]:  # noqa: A002
    return Annotated[annotation, typer.Option(*names, help=help, rich_help_panel=_PANEL, **more)], default


_COMMON: dict[str, tuple[Any, Any]] = {
    "output": _option(Literal["text", "json"], "text", "--output", "-o", help="Format of the result on stdout"),
    "local": _option(bool, False, "--local", help="Use the embedded platform (NEONCTL_TARGET=local)"),
    "config": _option(Path | None, None, "--config", help="Folder of the YAML [config] (NEONCTL_CONFIG_DIR)"),
    "db": _option(Path | None, None, "--db", help="Folder of the migrations [db] (NEONCTL_DB_DIR)"),
    "yes": _option(bool, False, "--yes", "-y", help="Do not ask"),
    "no_input": _option(bool, False, "--no-input", help="Never ask: refuse instead"),
    "no_color": _option(bool, False, "--no-color", help="No colour (NO_COLOR)"),
    "quiet": _option(bool, False, "--quiet", "-q", help="No progress, only the result"),
    "verbose": _option(bool, False, "--verbose", "-v", help="Say more; tracebacks on errors"),
    "log_format": _option(Literal["text", "json"], "text", "--log-format", help="Format of messages on stderr"),
    "trace_id": _option(str | None, None, "--trace-id", help="Trace id for records and logs"),
    "actor": _option(str | None, None, "--actor", help="Who does this, in audit records (NEONCTL_ACTOR)"),
}


USAGE = 64


def help_if_alone(context: typer.Context) -> None:
    """A program or group without a command: its help on stderr, and wrong usage as the exit code."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)


def command_group(app: typer.Typer, name: str, help: str) -> typer.Typer:  # noqa: A002
    """Add a group of commands, such as ``local``."""
    group = typer.Typer(rich_markup_mode=None, help=help)
    group.callback(invoke_without_command=True)(help_if_alone)
    app.add_typer(group, name=name)
    return group


def command(group: typer.Typer, name: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a command whose function takes a ``Session`` first; common options become part of its signature."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(
            function, locals={"Session": object}, eval_str=True
        )  # known to type checkers only
        own = [each for each in signature.parameters.values() if each.name != "session"]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, (annotation, default) in _COMMON.items()
        ]

        def run(**values: Any) -> Any:
            from neonctl.cli.session import Session

            given = Common(**{key: values.pop(key) for key in _COMMON})
            with Session(given) as session:
                return function(session, **values)

        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own] + common
        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        group.command(name, **settings)(run)
        return function

    return register
