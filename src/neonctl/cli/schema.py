"""schema: the JSON Schema of the YAML, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.options import command

if TYPE_CHECKING:
    from neonctl.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "schema")(schema)


def schema(
    session: Session,
    file: Annotated[
        Literal["platform", "environment"], typer.Argument(help="Which file's schema: platform or environment")
    ] = "platform",
) -> int:
    """Print the JSON Schema of platform.yaml or of environments/*.yaml."""
    import json
    import sys

    from neonctl.desired.schema import json_schema

    del session
    sys.stdout.write(json.dumps(json_schema(file), indent=2) + "\n")
    return 0
