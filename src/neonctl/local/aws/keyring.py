"""Whose keys those are: static ones, which anybody may make up, and temporary ones that AssumeRole gives out.

A session token is the sealed description of its session, so temporary credentials need no table, survive
restarts, and can be neither forged nor altered: only this store's key opens them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import string
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from neonctl.errors import NeonctlError
from neonctl.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from neonctl.local.aws.sealing import Sealer

_TOKEN_PLACE = "session"  # noqa: S105 (where it is sealed)
_TEMPORARY = "ASIA"
_ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)
_KEY_ID_ALPHABET = string.ascii_uppercase + "234567"

OWN_ACCOUNT_ID = "000000000000"
"""The account of whoever names none."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as GetCallerIdentity says it. ``chained``: by a role, which limits the next one to an hour."""

    account_id: str
    arn: str
    user_id: str
    chained: bool = False


@dataclass(frozen=True, slots=True)
class TemporaryKeys:
    """What AssumeRole hands out. ``expires_at``: seconds since the epoch."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expires_at: int


@dataclass(frozen=True, slots=True)
class Held:
    """A key that was found: whose it is, how its signatures are checked (None: not at all), when it ends."""

    caller: Caller
    secret: Secret | None = None
    expires_at: int | None = None


class Keyring:
    """Finds who holds an access key, and issues temporary ones."""

    def __init__(self, sealer: Sealer, clock: Callable[[], float]) -> None:
        self._sealer = sealer
        self._clock = clock
        self._opened = lru_cache(maxsize=64)(self._open)  # a run makes dozens of calls with one key

    def find(self, access_key_id: str, session_token: str | None) -> Held | None:
        """The holder of a key, expired or not; None for a temporary key that is not ours.

        Twelve digits are the key of that account's user, any other static key is of the platform's own account.
        A token beside a static key says nothing, as it is left over in many an environment.
        """
        if access_key_id.startswith(_TEMPORARY):
            return self._opened(access_key_id, session_token or "")
        account_id = access_key_id if _ACCOUNT_ID.fullmatch(access_key_id) else OWN_ACCOUNT_ID
        return Held(Caller(account_id, f"arn:aws:iam::{account_id}:user/local", "AIDALOCAL"))

    def is_over(self, held: Held) -> bool:
        """Whether the key has expired."""
        return held.expires_at is not None and self._clock() >= held.expires_at

    def issue(self, caller: Caller, duration_s: int) -> TemporaryKeys:
        """New keys for ``caller``."""
        key_id = _TEMPORARY + "".join(secrets.choice(_KEY_ID_ALPHABET) for _ in range(16))
        secret = secrets.token_urlsafe(30)
        expires_at = int(self._clock()) + duration_s
        session = {
            "key_id": key_id,
            "secret": secret,
            "expires_at": expires_at,
            "account_id": caller.account_id,
            "arn": caller.arn,
            "user_id": caller.user_id,
        }
        sealed = self._sealer.seal(_TOKEN_PLACE, json.dumps(session).encode())
        return TemporaryKeys(key_id, Secret(secret), Secret(base64.b64encode(sealed).decode()), expires_at)

    def _open(self, access_key_id: str, session_token: str) -> Held | None:
        try:
            sealed = base64.b64decode(session_token, validate=True)
            session = json.loads(self._sealer.open(_TOKEN_PLACE, sealed))
        except (binascii.Error, ValueError, NeonctlError):
            return None
        if session["key_id"] != access_key_id:
            return None
        caller = Caller(session["account_id"], session["arn"], session["user_id"], chained=True)
        return Held(caller, Secret(session["secret"]), session["expires_at"])
