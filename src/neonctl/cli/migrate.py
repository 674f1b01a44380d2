"""migrate …: the commands about SQL migrations."""

from __future__ import annotations

import typer

from neonctl.cli import migrate_files
from neonctl.cli.options import command_group


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "migrate", "SQL migrations: written, proven, rehearsed, promoted, undone.")
    migrate_files.register(group)
