"""Who signs what the bank says about its resolution, as the options and the YAML name him."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.given_files import passphrase

if TYPE_CHECKING:
    from neonctl.banking.signing.keys import Signer
    from neonctl.cli.bank import Desk

StatusKey = Annotated[
    Path | None,
    typer.Option("--key", help="File with the P-256 key that signs [default: the KMS key of resolution.status_key_id]"),
]


def signer_of(desk: Desk, key: Path | None, passphrase_file: Path | None) -> Signer:
    """The key file that was given, else KMS, else the embedded platform's own. Raises what ``status_signer`` raises."""
    from neonctl.local.layout import Layout
    from neonctl.pipelines.status_signer import status_signer

    session = desk.session
    return status_signer(
        desk.environment,
        desired=desk.desired,
        services=desk.services,
        key_file=key,
        passphrase=passphrase(session, passphrase_file) if key is not None else None,
        local_key=Layout(session.local_dir).status_key,
    )
