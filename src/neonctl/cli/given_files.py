"""What the commands that sign share: the passphrase, which is never an argument, and files of text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neonctl.cli.session import Session
    from neonctl.secret import Secret

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="File with the key's passphrase (or NEONCTL_KEY_PASSPHRASE) [default: none]"
    ),
]


def passphrase(session: Session, file: Path | None) -> Secret | None:
    """The passphrase in ``file``, its first line, else that of the environment. Raises ``UsageError``."""
    from neonctl.errors import UsageError
    from neonctl.secret import Secret

    if file is None:
        return session.key_passphrase
    found = text_of(file).partition("\n")[0].rstrip("\r")
    if not found:
        raise UsageError("KEY_PASSPHRASE_MISSING", f"{file} is empty", hint="its first line is the passphrase")
    return Secret(found)


def text_of(file: Path) -> str:
    """The text of a file. Raises ``UsageError`` FILE_UNREADABLE."""
    from neonctl.errors import UsageError

    try:
        return bytes_of(file).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("FILE_UNREADABLE", f"{file} cannot be read: it is not UTF-8") from None


def bytes_of(file: Path) -> bytes:
    """What is in a file. Raises ``UsageError`` FILE_UNREADABLE."""
    from neonctl.errors import UsageError

    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError("FILE_UNREADABLE", f"{file} cannot be read: {error.strerror}") from None
