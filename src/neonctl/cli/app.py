"""The tree of commands. Each group stands in its own file and imports nothing heavy at its top."""

from __future__ import annotations

import typer

from neonctl.cli import credentials, migrate, platform, provisioning, schema
from neonctl.cli.options import help_if_alone


def build() -> typer.Typer:
    """The application."""
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
    credentials.register(app)
    platform.register(app)
    schema.register(app)
    return app
