"""What one secret holds: everything a service needs to connect as one role (product.md 4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from neonctl.errors import ServiceError
from neonctl.frozen import frozen
from neonctl.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from neonctl.plan.observed import Addresses

ENGINE = "postgres"
SSLMODE = "verify-full"

_TEXT_FIELDS = (
    "engine",
    "host",
    "username",
    "password",
    "dbname",
    "sslmode",
    "uri",
    "direct_host",
    "pooled_host",
)
_PORT_FIELDS = ("port", "direct_port", "pooled_port")


@frozen
class Credential:
    """The content of one secret. ``engine`` to ``dbname`` are named as AWS's rotation templates read them."""

    engine: str
    host: str
    port: int
    username: str
    password: Secret
    dbname: str
    sslmode: str
    uri: Secret
    direct_host: str
    direct_port: int
    pooled_host: str
    pooled_port: int

    def to_json(self) -> Secret:
        """Return the JSON document that is stored."""
        fields: dict[str, str | int | Secret] = {key: getattr(self, key) for key in (*_TEXT_FIELDS, *_PORT_FIELDS)}
        plain = {key: value.reveal() if isinstance(value, Secret) else value for key, value in fields.items()}
        return Secret(json.dumps(plain, sort_keys=True))

    @classmethod
    def from_json(cls, document: Secret, *, name: str) -> Credential:
        """Read a stored document; ``name`` is the secret's name for the error text.

        Fields that are not ours are left out: people may have added some by hand.

        Raises ``ServiceError`` ``SECRET_MALFORMED`` that names the faulty fields, never a value.
        """
        fields = _parse_object(document)
        faulty = [key for key in _TEXT_FIELDS if not isinstance(fields.get(key), str)]
        faulty += [key for key in _PORT_FIELDS if type(fields.get(key)) is not int]
        if faulty:
            raise ServiceError(
                "SECRET_MALFORMED",
                f"secret {name} is not a credential: missing or wrong {', '.join(faulty)}",
                hint="rotate this credential, or delete the secret and run apply again",
                details={"secret": name, "fields": faulty},
            )
        known = {key: fields[key] for key in (*_TEXT_FIELDS, *_PORT_FIELDS)}
        known["password"], known["uri"] = Secret(known["password"]), Secret(known["uri"])
        return cls(**known)


def make_credential(
    addresses: Addresses, *, pooled: bool, username: str, password: Secret, dbname: str, ca_file: Path | None
) -> Credential:
    """Build the credential of one role; ``pooled`` says which address is its ``host``.

    The URI demands verify-full. ``ca_file`` (the embedded platform's authority) goes into it as
    ``sslrootcert``. Without one the URI names no root: the reader stands on another machine, so a path of
    this one means nothing there, and ``sslrootcert=system`` is a word that only libpq 16 and later knows,
    that other drivers take for a file's name, and that psycopg's bundled OpenSSL cannot meet
    (security.md 0.3). Whoever connects adds the root that its driver needs.
    """
    address = addresses.pooled if pooled else addresses.direct
    return Credential(
        engine=ENGINE,
        host=address.host,
        port=address.port,
        username=username,
        password=password,
        dbname=dbname,
        sslmode=SSLMODE,
        uri=_uri(address.host, address.port, username, password, dbname, ca_file),
        direct_host=addresses.direct.host,
        direct_port=addresses.direct.port,
        pooled_host=addresses.pooled.host,
        pooled_port=addresses.pooled.port,
    )


def _uri(host: str, port: int, username: str, password: Secret, dbname: str, ca_file: Path | None) -> Secret:
    def encoded(text: str) -> str:
        return quote(text, safe="")

    query = {"sslmode": SSLMODE}
    if ca_file is not None:
        query["sslrootcert"] = str(ca_file)
    # quote_via: libpq decodes %20 but takes a plus sign for itself.
    options = urlencode(query, quote_via=quote, safe="")
    place = f"[{host}]" if ":" in host else host
    return Secret(
        f"postgresql://{encoded(username)}:{encoded(password.reveal())}@{place}:{port}/{encoded(dbname)}?{options}"
    )


def _parse_object(document: Secret) -> dict[str, Any]:
    """Parse outside of the caller's error path: the decoder's error carries the whole document."""
    try:
        parsed: object = json.loads(document.reveal())
    except ValueError:
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
