"""The tree of commands. Each group stands in its own file and imports nothing heavy at its top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from neonctl.cli import (
    account,
    balance,
    credentials,
    events,
    hold,
    jobs,
    ledger,
    migrate,
    obr,
    platform,
    preview,
    provisioning,
    schema,
    snapshot,
)
from neonctl.cli.options import help_if_alone

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    provisioning.register(app)
    migrate.register(app)
    preview.register(app)
    credentials.register(app)
    account.register(app)
    ledger.register(app)
    balance.register(app)
    hold.register(app)
    snapshot.register(app)
    jobs.register(app)
    events.register(app)
    obr.register(app)
    platform.register(app)
    schema.register(app)
    _keep_only(app, arguments)
    return app


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
