"""Names that Postgres or Neon do not allow (facts.md 5)."""

from __future__ import annotations

from typing import Final

from neonctl.local.api.failures import bad_request, unprocessable

_RESERVED_ROLES: Final = frozenset(
    ("neon_superuser", "neon_service", "cloud_admin", "zenith_admin", "public", "none", "postgres")
)
_RESERVED_PREFIXES: Final = ("pg_", "databricks_")
_RESERVED_DATABASES: Final = frozenset(("postgres", "template0", "template1"))
_MAX_BYTES: Final = 63


def check_role_name(name: str) -> None:
    """Raise when no role may be called so."""
    _check_length("role", name)
    lowered = name.lower()
    if lowered in _RESERVED_ROLES or lowered.startswith(_RESERVED_PREFIXES):
        raise unprocessable(f'role name "{name}" is reserved')


def check_database_name(name: str) -> None:
    """Raise when no database may be called so."""
    _check_length("database", name)
    if name.lower() in _RESERVED_DATABASES:
        raise unprocessable(f'database name "{name}" is reserved')


def _check_length(kind: str, name: str) -> None:
    if not name or len(name.encode()) > _MAX_BYTES or "\0" in name:
        raise bad_request(f"{kind} name must have 1 to {_MAX_BYTES} bytes")
