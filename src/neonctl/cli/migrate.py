"""migrate …: the commands about SQL migrations."""

from __future__ import annotations

import typer

from neonctl.cli import migrate_evidence, migrate_files, migrate_record, migrate_run
from neonctl.cli.options import command_group


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "migrate", "SQL migrations: written, proven, rehearsed, promoted, undone.")
    migrate_run.register(group)
    migrate_evidence.register(group)
    migrate_record.register(group)
    migrate_files.register(group)
