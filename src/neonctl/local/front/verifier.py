"""Does a plain password produce a stored verifier? And is it strong enough for Neon?"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import unicodedata
from collections import Counter

_SCRAM = re.compile(r"^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$")
_CLASSES = ((r"[a-z]", 26), (r"[A-Z]", 26), (r"[0-9]", 10), (r"[^a-zA-Z0-9]", 33))
_MINIMUM_BITS = 60  # facts.md 5
_MINIMUM_LENGTH = 12


def matches(password: str, verifier: str, role: str) -> bool:
    """Whether ``verifier``, as pg_authid holds it, was made from this plain password. Costs milliseconds."""
    if verifier.startswith("md5"):
        digest = hashlib.md5((password + role).encode(errors="surrogateescape"), usedforsecurity=False)
        return hmac.compare_digest(verifier, "md5" + digest.hexdigest())
    scram = _SCRAM.match(verifier)
    if scram is None:
        return False
    try:
        salt, stored = base64.b64decode(scram[2]), base64.b64decode(scram[3])
    except binascii.Error:
        return False
    return any(hmac.compare_digest(stored, _stored_key(form, salt, int(scram[1]))) for form in _prepared(password))


def _stored_key(password: bytes, salt: bytes, iterations: int) -> bytes:
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    return hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()


def _prepared(password: str) -> set[bytes]:
    # PostgreSQL applies SASLprep where it can; for what people type that is Unicode's NFKC.
    raw = password.encode(errors="surrogateescape")
    return {raw} if password.isascii() else {raw, unicodedata.normalize("NFKC", password).encode(errors="replace")}


def is_weak(password: str) -> bool:
    """Fewer than 12 characters or 60 bits: Neon refuses such passwords.

    From its third time on a character counts one bit.
    """
    alphabet = sum(size for pattern, size in _CLASSES if re.search(pattern, password))
    telling = sum(min(count, 2) for count in Counter(password).values())
    bits = telling * math.log2(max(alphabet, 2)) + (len(password) - telling)
    return len(password) < _MINIMUM_LENGTH or bits < _MINIMUM_BITS
