"""The tree of commands. Each group stands in its own file and imports nothing heavy at its top."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

import typer

from neonctl.cli.options import help_if_alone

if TYPE_CHECKING:
    from collections.abc import Sequence

# Which file of this folder registers which commands and groups, in the order in which help lists them.
FILES: Final = {
    "provisioning": ("plan", "apply", "verify", "drift"),
    "migrate": ("migrate",),
    "preview": ("preview",),
    "credentials": ("secrets", "connection-string"),
    "account": ("account",),
    "ledger": ("ledger",),
    "balance": ("balance",),
    "hold": ("hold",),
    "snapshot": ("snapshot",),
    "jobs": ("jobs",),
    "events": ("events",),
    "obr": ("obr",),
    "platform": ("local",),
    "schema": ("schema",),
}


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """The application; of its commands only the one that ``arguments`` start with, when they start with one."""
    app = typer.Typer(
        add_completion=True,
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
        rich_markup_mode=None,
        help="Provision, migrate and run the Postgres side of a bank on Neon (not Neon's own CLI of the same name).",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def root(
        context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version")
    ) -> None:
        if version:
            from neonctl import __version__

            typer.echo(f"neonctl {__version__}")
            raise typer.Exit
        help_if_alone(context)

    app.callback(invoke_without_command=True)(root)
    for file in _files(arguments):
        import_module(f"neonctl.cli.{file}").register(app)
    _keep_only(app, arguments)
    return app


def _files(arguments: Sequence[str]) -> Sequence[str]:
    """The file of the command that is asked for; all of them when that is an option, no word of ours, or nothing."""
    asked = [file for file, commands in FILES.items() if arguments and arguments[0] in commands]
    return asked or tuple(FILES)


def _keep_only(group: typer.Typer, arguments: Sequence[str]) -> None:
    """Typer makes a parser of every command it knows, however long that takes: leave it the one that is asked for."""
    first = arguments[0] if arguments else None
    commands = [each for each in group.registered_commands if each.name == first]
    groups = [each for each in group.registered_groups if each.name == first]
    if not commands and not groups:  # an option, a word that is none of ours, or nothing
        return
    group.registered_commands, group.registered_groups = commands, groups
    for each in groups:
        if each.typer_instance is not None:
            _keep_only(each.typer_instance, arguments[1:])
