"""Values at rest: AES-256-GCM under a key file that only its owner can read."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from neonctl.errors import NeonctlError

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Sealer:
    """Seals bytes for one place.

    ``place`` is authenticated, so a value copied to another row does not open.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, place: str, plain: bytes) -> bytes:
        """Return nonce and ciphertext of ``plain``."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, place.encode())

    def open(self, place: str, sealed: bytes) -> bytes:
        """Return what was sealed at ``place``. Raises NeonctlError(LOCAL_AWS_SEAL_BROKEN)."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise NeonctlError(
                "LOCAL_AWS_SEAL_BROKEN",
                f"A stored value does not open with this key ({place.split(':', 1)[0]})",
                hint="The key file belongs to other data; put it back or run `neonctl local reset`",
            ) from None


def load_key(key_file: Path, *, create: bool) -> bytes:
    """Read the key, or make it when ``create``. Raises NeonctlError(LOCAL_AWS_KEY_MISSING | _KEY_INVALID).

    A new key is complete on disk before its name exists, so that a crash never leaves half a key behind.
    """
    if not key_file.exists():
        if not create:
            raise NeonctlError(
                "LOCAL_AWS_KEY_MISSING",
                f"The stored secrets cannot be opened: {key_file} is missing",
                hint="Put the key file back, or run `neonctl local reset` to start from nothing",
            )
        _write_new(key_file)
    key = key_file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise NeonctlError(
            "LOCAL_AWS_KEY_INVALID",
            f"{key_file} is not a key: {len(key)} bytes instead of {_KEY_BYTES}",
            hint="Put the key file back, or run `neonctl local reset` to start from nothing",
        )
    return key


def _write_new(key_file: Path) -> None:
    temporary = key_file.with_name(f".{key_file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(key_file)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(key_file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
