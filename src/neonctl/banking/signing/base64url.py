"""base64url without padding (RFC 7515 2), one text for each value."""

from __future__ import annotations

import base64
import binascii


def encoded(value: bytes) -> str:
    """``value`` as text."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The bytes that ``text`` stands for.

    Raises ``ValueError`` unless it is the one text that ``encoded`` gives: no padding, no other alphabet, no bits
    left over.
    """
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if encoded(value) != text:
        raise ValueError("not base64url")
    return value
