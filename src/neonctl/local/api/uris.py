"""Connection URIs. Locally: a port of its own per compute and pooler, and the platform's own authority.

``channel_binding`` is left out: what ends TLS before Postgres cannot offer it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from neonctl.local.api.documents import Document, host

if TYPE_CHECKING:
    from pathlib import Path

    from neonctl.local.api.rows import Endpoint
    from neonctl.secret import Secret


def connection_uri(
    endpoint: Endpoint, *, role: str, password: Secret, database: str, ca_file: Path, pooled: bool
) -> str:
    """``postgresql://…?sslmode=verify-full&sslrootcert=…`` over the direct or the pooled port."""
    port = endpoint.pooled_port if pooled else endpoint.direct_port
    user = f"{quote(role, safe='')}:{quote(password.reveal(), safe='')}"
    certificate = quote(str(ca_file), safe="/")
    return f"postgresql://{user}@{host(port)}/{quote(database, safe='')}?sslmode=verify-full&sslrootcert={certificate}"


def connection_details(endpoint: Endpoint, *, role: str, password: Secret, database: str, ca_file: Path) -> Document:
    """URI and its parts, as creation answers carry them."""
    uri = connection_uri(endpoint, role=role, password=password, database=database, ca_file=ca_file, pooled=False)
    return {
        "connection_uri": uri,
        "connection_parameters": {
            "database": database,
            "password": password.reveal(),
            "role": role,
            "host": host(endpoint.direct_port),
            "pooler_host": host(endpoint.pooled_port),
        },
    }
