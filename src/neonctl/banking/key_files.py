"""Files with keys and signed documents: a private key is its owner's alone, and no file is ever overwritten.

FILE_EXISTS        64  there is one of this name
KEY_FILE_EXPOSED   64  others may read a private key
FILE_UNREADABLE    64
OUTPUT_UNWRITABLE  64
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from neonctl.banking.signing.keys import KeyType, PublicKey, Signer, generate, private_pem, read_private, read_public
from neonctl.banking.signing.keys import signer_of as signer_of_key
from neonctl.errors import UsageError

if TYPE_CHECKING:
    from neonctl.secret import Secret

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def public_name(file: Path) -> Path:
    """Where the public half of a key file lies."""
    return file.with_name(f"{file.name}.pub")


def make_key(file: Path, kind: KeyType, passphrase: Secret | None) -> PublicKey:
    """Make a key: ``file`` (mode 0600, PKCS#8) and ``file``.pub. Both or neither, and nothing is overwritten.

    Raises ``UsageError`` FILE_EXISTS, OUTPUT_UNWRITABLE.
    """
    private = generate(kind)
    public = signer_of_key(private).public
    write_new(file, private_pem(private, passphrase), PRIVATE_MODE)
    try:
        write_new(public_name(file), public.pem(), PUBLIC_MODE)
    except BaseException:
        file.unlink()
        raise
    return public


def kept_key(file: Path) -> Signer:
    """Who signs with the P-256 key in ``file``, which is made when there is none: for the embedded platform.

    Raises what ``make_key`` and ``read_signer`` raise.
    """
    if not file.exists():
        try:
            write_new(file, private_pem(generate("p256"), None), PRIVATE_MODE)
        except UsageError as error:
            if error.code != "FILE_EXISTS":  # somebody else was first: his is as good
                raise
    return read_signer(file, None)


def read_signer(file: Path, passphrase: Secret | None) -> Signer:
    """Who signs with the private key in ``file``.

    Raises ``UsageError`` FILE_UNREADABLE, KEY_FILE_EXPOSED, and what ``signing.keys.read_private`` raises.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            pem = opened.read()
    except OSError as error:
        raise _unreadable(file, error) from None
    if mode & _OTHERS:
        raise UsageError(
            "KEY_FILE_EXPOSED",
            f"{file} can be read by others than its owner (mode {stat.S_IMODE(mode):04o})",
            hint=f"chmod 600 {file}, and think about who may have read it",
        )
    return signer_of_key(read_private(pem, passphrase, name=str(file)))


def read_public_key(file: Path) -> PublicKey:
    """The public key in ``file``. Raises ``UsageError`` FILE_UNREADABLE, KEY_INVALID."""
    try:
        return read_public(file.read_bytes(), name=str(file))
    except OSError as error:
        raise _unreadable(file, error) from None


def write_new(file: Path, text: bytes, mode: int = PUBLIC_MODE) -> None:
    """Write a file that appears whole or not at all, and only where there is none.

    Raises ``UsageError`` FILE_EXISTS, OUTPUT_UNWRITABLE.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        _write(part, text, mode)
        try:
            file.hardlink_to(part)  # unlike a rename this never replaces anything
        except FileExistsError:
            hint = "nothing is overwritten: choose another name, or move the old one away"
            raise UsageError("FILE_EXISTS", f"{file} is there already", hint=hint) from None
    except OSError as error:
        raise UsageError("OUTPUT_UNWRITABLE", f"{file} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _write(file: Path, text: bytes, mode: int) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())


def _unreadable(file: Path, error: OSError) -> UsageError:
    return UsageError("FILE_UNREADABLE", f"{file} cannot be read: {error.strerror}")
