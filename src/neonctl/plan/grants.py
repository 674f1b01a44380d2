"""Which privileges should be there: pure rules of product.md 4 over the YAML.

Database, schema and default privileges come from the YAML. Privileges on tables, columns, sequences and functions
belong to migrations; their desired state is the committed ``privileges.txt`` of each database.
"""

from __future__ import annotations

from collections.abc import Iterable

from neonctl.desired.model import DatabaseSpec, role_name
from neonctl.plan.observed import DatabaseSnapshot, Grant

PUBLIC = "PUBLIC"
OBJECT_KINDS = frozenset({"table", "column", "sequence", "function"})
# Neon's own roles, and the bootstrap ones: never ours to grant to or take from.
RESERVED_ROLES = frozenset({"neon_superuser", "cloud_admin", "zenith_admin", "neon_service"})
_DEFAULT_KINDS = ("tables", "sequences", "functions")


def structural_grants(database: str, spec: DatabaseSpec) -> frozenset[Grant]:
    """Privileges on the database, its schemas, and on objects still to come.

    PUBLIC gets nothing: not CONNECT, not the public schema, not EXECUTE on new functions (security.md 4).
    """
    migrator = role_name(database, "migrate_user")
    grants: set[Grant] = set()
    for kind, role in spec.roles.items():
        grantee = role_name(database, kind)
        grants.add(Grant("database", database, grantee, "CONNECT"))
        if kind == "migrate_user":
            # The history table stands in public, as Flyway has it; its own schemas it owns.
            grants |= {Grant("schema", "public", grantee, right) for right in ("USAGE", "CREATE")}
            continue
        for schema in spec.schemas:
            grants |= {Grant("schema", schema, grantee, right) for right in role.schemas}
            for objects in _DEFAULT_KINDS:
                rights: Iterable[str] = getattr(role.default_privileges, objects)
                grants |= {Grant("default", f"{migrator}/{schema}/{objects}", grantee, right) for right in rights}
    return frozenset(grants)


def fresh_database(name: str, owner: str) -> DatabaseSnapshot:
    """A database as ``CREATE DATABASE`` leaves it on Neon: open to PUBLIC."""
    return DatabaseSnapshot(
        name=name,
        owner=owner,
        schemas={"public": owner},
        grants=frozenset(
            {
                Grant("database", name, PUBLIC, "CONNECT"),
                Grant("database", name, PUBLIC, "TEMPORARY"),
                Grant("schema", "public", PUBLIC, "USAGE"),
            }
        ),
    )


def is_structural(grant: Grant, schemas: Iterable[str], migrator: str) -> bool:
    """Whether a privilege is one that ``structural_grants`` decides about."""
    match grant.kind:
        case "database":
            return True
        case "schema":
            return grant.object == "public" or grant.object in schemas
        case "default":
            return grant.object.startswith(f"{migrator}/")
        case _:
            return False


def implied_default(migrator: str) -> Grant:
    """What Postgres gives to everyone on functions of a role that has not said otherwise."""
    return Grant("default", f"{migrator}/*/functions", PUBLIC, "EXECUTE")
