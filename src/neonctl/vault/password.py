"""New passwords."""

from __future__ import annotations

import secrets
import string

from neonctl.secret import Secret

LENGTH = 32
ALPHABET = string.ascii_letters + string.digits
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)


def generate_password() -> Secret:
    """Return 32 characters of ``[A-Za-z0-9]`` (190 bits) with at least one of each class.

    Letters and digits only: they survive URIs, JSON inside JSON and shells unescaped, so redaction can find
    them everywhere (security.md 0.4); the classes satisfy rules that count them. Drawing again until they are
    all there keeps every allowed password equally likely.
    """
    while True:
        drawn = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        if all(any(character in members for character in drawn) for members in _CLASSES):
            return Secret(drawn)
