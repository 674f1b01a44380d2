"""obr keys generate | add | revoke | list | status-key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.bank import lines
from neonctl.cli.given_files import PassphraseFile, passphrase
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session


def register(group: typer.Typer) -> None:
    """Add the group below ``obr``."""
    keys = command_group(group, "keys", "Keys of officers and the regulator: made here, registered in the database.")
    command(keys, "generate")(keys_generate)


def keys_generate(
    session: Session,
    out: Annotated[Path, typer.Option("--out", help="File for the private key; the public one gets .pub behind it")],
    kind: Annotated[
        Literal["ed25519", "p256"], typer.Option("--type", help="ed25519 for instructions, p256 also for status")
    ] = "ed25519",
    passphrase_file: PassphraseFile = None,
) -> int:
    """Make a key: FILE, for its owner alone (mode 0600), and FILE.pub. Nothing is overwritten."""
    from neonctl.banking.key_files import make_key, public_name

    secret = passphrase(session, passphrase_file)
    public = make_key(out, kind, secret)
    if secret is None:
        session.say(f"{out} has no passphrase: whoever can read it can sign")
    result = {
        "key_id": public.key_id,
        "type": kind,
        "private_key": str(out),
        "public_key": str(public_name(out)),
        "passphrase": secret is not None,
    }
    session.emit(result, lines(result))
    return 0
