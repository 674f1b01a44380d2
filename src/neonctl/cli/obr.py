"""obr: Open Bank Resolution (MOD-143). Each part of the group stands in its own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neonctl.cli import obr_act, obr_drill, obr_events, obr_keys, obr_sign, obr_status
from neonctl.cli.options import command_group

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "obr", "Open Bank Resolution: partition every account, release, unwind, and prove it.")
    obr_status.register(group)
    obr_act.register(group)
    obr_events.register(group)
    obr_sign.register(group)
    obr_drill.register(group)
    obr_keys.register(group)
