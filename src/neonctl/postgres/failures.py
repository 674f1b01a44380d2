"""Postgres errors as neonctl errors. Only the server's primary message is repeated, never the statement.

POSTGRES_LOCKED        75   lock not available, deadlock, serialization failure, concurrent catalogue change
POSTGRES_BUSY          75   no connection left, or Neon's control plane is occupied
POSTGRES_UNREACHABLE    5   no connection, or it broke
POSTGRES_AUTH_FAILED    5   wrong password or role
POSTGRES_TLS_FAILED     5   the server could not prove who it is
POSTGRES_REFUSED        5   everything else the server said no to
"""

from __future__ import annotations

import re

import psycopg

from neonctl.errors import RetryableError, ServiceError

_LOCKED = {"55P03", "40P01", "40001"}
_BUSY = {"53300", "57P03"}
_BROKEN = {"57P01", "57P02"}
_NO_DATABASE = "3D000"
_AUTH = {"28P01", "28000"}
_CONTROL_PLANE_BUSY = re.compile(r"HTTP code (423|429|5\d\d) from control plane")

#: What is wrong with the server's identity. A handshake that breaks off ("unexpected eof") is a cold start instead.
_TLS = re.compile(r"certificate|does not match host name|does not support SSL|SSL error: (?!unexpected eof)")
#: Also as PgBouncer says it.
_AUTH_TEXT = re.compile(
    r"(password|SASL) authentication failed|no password supplied|role \".*\" does not exist"
    r"|is not permitted to log in|no pg_hba\.conf entry|bouncer config error"
)
_MISSING_TEXT = re.compile(r"database \".*\" does not exist|no such database")
_REFUSED_TEXT = re.compile(
    r"permission denied (for database|to start WAL sender)|endpoint .*disabled|exceeded the .* quota"
)
_BUSY_TEXT = re.compile(r"too many clients|remaining connection slots|too many connections for")
_FATAL = re.compile(r"(?:FATAL|ERROR):\s+(.*)")


def translate(error: psycopg.Error, doing: str) -> ServiceError | RetryableError:
    """The neonctl error for ``error``, met while ``doing`` (``"granting privileges in bank_core"``).

    Raise the result outside the ``except`` block, or ``from None``, where the statement holds a secret.
    """
    state = error.sqlstate
    if state is None and not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return ServiceError("POSTGRES_REFUSED", f"{doing}: the driver refused a value ({type(error).__name__})")
    if state is None or state.startswith("08"):
        return ServiceError("POSTGRES_UNREACHABLE", f"{doing}: the connection to Postgres broke", hint=_AGAIN)
    said = error.diag.message_primary or type(error).__name__
    details: dict[str, object] = {"sqlstate": state}
    if state in _LOCKED or (state == "XX000" and "concurrently" in said):
        return RetryableError("POSTGRES_LOCKED", f"{doing}: {said}", hint=_AGAIN, details=details)
    if state in _BUSY or _CONTROL_PLANE_BUSY.search(said):
        return RetryableError("POSTGRES_BUSY", f"{doing}: {said}", hint=_AGAIN, details=details)
    if state in _BROKEN:
        return ServiceError("POSTGRES_UNREACHABLE", f"{doing}: {said}", hint=_AGAIN, details=details)
    if state in _AUTH:
        return ServiceError("POSTGRES_AUTH_FAILED", f"{doing}: {said}", hint=_LOGIN, details=details)
    return ServiceError("POSTGRES_REFUSED", f"{doing}: {said}", details=details)


def connect_failure(error: psycopg.Error, doing: str) -> ServiceError | RetryableError:
    """The neonctl error for a connection that was not made: libpq gives its reason as text only."""
    said = _reason(error)
    if _BUSY_TEXT.search(said):
        return RetryableError("POSTGRES_BUSY", f"{doing}: {said}", hint=_AGAIN)
    if _AUTH_TEXT.search(said):
        return ServiceError("POSTGRES_AUTH_FAILED", f"{doing}: {said}", hint=_LOGIN)
    if _MISSING_TEXT.search(said):
        return ServiceError("POSTGRES_REFUSED", f"{doing}: {said}", details={"sqlstate": _NO_DATABASE})
    if _REFUSED_TEXT.search(said):
        return ServiceError("POSTGRES_REFUSED", f"{doing}: {said}")
    if _TLS.search(said):
        return ServiceError(
            "POSTGRES_TLS_FAILED",
            f"{doing}: {said}",
            hint="the server's certificate must be valid for this host name and signed by the expected authority",
        )
    return ServiceError("POSTGRES_UNREACHABLE", f"{doing}: {said}", hint=_AGAIN)


def worth_waiting(failure: ServiceError | RetryableError, *, fresh: bool) -> bool:
    """Whether the same connection may succeed in a moment: a cold start, or what was made a moment ago."""
    if failure.code in ("POSTGRES_UNREACHABLE", "POSTGRES_BUSY"):
        return True
    missing = failure.details.get("sqlstate") == _NO_DATABASE
    return fresh and (missing or failure.code == "POSTGRES_AUTH_FAILED")


_AGAIN = "run the same command again"
_LOGIN = "run `neonctl apply`: it repairs credentials that the database does not know"


def _reason(error: psycopg.Error) -> str:
    """The last thing said, in one line: several addresses of one host give several reasons."""
    text = str(error)
    said = _FATAL.findall(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return str(said[-1]) if said else (lines[0] if lines else type(error).__name__)
