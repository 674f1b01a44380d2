"""A connection URI → its parts. Nothing else in the program takes a URI apart."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from neonctl.frozen import frozen
from neonctl.plan.observed import Address
from neonctl.secret import Secret

DEFAULT_PORT = 5432


@frozen
class ConnectionTarget:
    """Where and as whom to log in."""

    address: Address
    username: str
    password: Secret
    dbname: str


def parse_connection_uri(uri: Secret) -> ConnectionTarget:
    """``postgresql://role:password@host[:port]/database?…`` in parts, percent-decoded; port 5432 if none.

    Raises ValueError that names the part at fault and quotes nothing.
    """
    try:
        parts = urlsplit(uri.reveal())
        port = parts.port
        username, password = _text(parts.username), _text(parts.password)
        dbname = _text(parts.path.removeprefix("/"))
        # `hostname` lowercases, which is right for names; brackets of IPv6 are gone, as libpq wants it.
        host = _text(parts.hostname)
        scheme = parts.scheme
    except ValueError:  # its text quotes the URI, password included
        scheme = host = username = password = dbname = ""
        port = None
    if scheme not in ("postgres", "postgresql"):
        raise ValueError("it is not a postgresql:// URI")
    missing = [
        name
        for name, value in (("host", host), ("role", username), ("password", password), ("database", dbname))
        if not value
    ]
    if missing:
        raise ValueError(f"the connection URI has no {' and no '.join(missing)}")
    return ConnectionTarget(Address(host, port or DEFAULT_PORT), username, Secret(password), dbname)


def _text(part: str | None) -> str:
    """Percent-decoding as in RFC 3986: ``+`` stays, what is not UTF-8 is an error."""
    return unquote(part, errors="strict") if part else ""
