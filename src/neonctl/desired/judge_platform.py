"""Rules about ``platform.yaml``: residency, databases, schemas, roles, grants, parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from neonctl.desired.model import ROLE_KINDS, DatabaseSpec, PlatformSpec, role_name
from neonctl.desired.problem import NodePath, shown
from neonctl.desired.subject import PLATFORM, Finding, Subject

REQUIRED_ROLES = ("app_user", "migrate_user", "readonly")  # MOD-103 "Role provisioning"
# facts.md 5: Neon's own and Postgres' keywords for "everyone" and "nobody".
RESERVED_NAMES = frozenset({"neon_superuser", "neon_service", "cloud_admin", "zenith_admin", "public", "none"})
RESERVED_PREFIXES = ("pg_", "databricks_")
SYSTEM_DATABASES = frozenset({"postgres", "template0", "template1"})
MAX_IDENTIFIER = 63  # bytes; Postgres cuts longer names silently

_PARAMETER = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_PARAMETER_LEVELS = 13  # SSM allows 15 levels; /bank/{stage} takes two
_KEY_ITSELF = re.compile(r"(?i)napi_|neon_api_key")


def platform_findings(subject: Subject) -> Iterator[Finding]:
    """Every broken rule of ``platform.yaml`` itself."""
    platform = subject.platform
    if platform is None:
        return
    yield from _project(platform)
    for name, database in platform.databases.items():
        path: NodePath = ("databases", name)
        yield from _database_name(name, path)
        yield from _schemas(database, path)
        yield from _roles(name, database, path)
        yield from _column_grants(database, path)
    yield from _parameters(platform)


def _project(platform: PlatformSpec) -> Iterator[Finding]:
    project, allowed = platform.project, platform.residency.allowed_regions
    if project.region not in allowed:
        yield Finding(
            PLATFORM,
            ("project", "region"),
            f"{shown(project.region)} is outside the data residency policy (residency.allowed_regions: "
            f"{', '.join(map(shown, allowed))}): use an allowed region, or change the policy on purpose",
            "RESIDENCY",
        )
    if reason := _reserved(project.owner_role):
        yield Finding(PLATFORM, ("project", "owner_role"), reason)
    made_by_sql = {role_name(database, kind) for database in platform.databases for kind in ROLE_KINDS}
    if project.owner_role in made_by_sql:
        message = "is the name of a database's role: the owner needs a name of its own"
        yield Finding(PLATFORM, ("project", "owner_role"), message)
    if platform.neon.api_key_secret and _KEY_ITSELF.match(platform.neon.api_key_secret):
        message = "looks like the API key itself: put the key into Secrets Manager and name that secret here"
        yield Finding(PLATFORM, ("neon", "api_key_secret"), message)
    sink = platform.audit.sink
    if sink != "stderr" and not (sink.startswith("file:") and len(sink) > len("file:")):
        yield Finding(PLATFORM, ("audit", "sink"), "must be `stderr` or `file:PATH`")


def _reserved(name: str) -> str | None:
    if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES):
        return f"{name} is reserved by Neon or Postgres: choose another name"
    return None


def _database_name(name: str, path: NodePath) -> Iterator[Finding]:
    if name in SYSTEM_DATABASES:
        yield Finding(PLATFORM, path, f"{name} is a system database: choose another name")
    elif reason := _reserved(name):
        yield Finding(PLATFORM, path, reason)
    longest = max((role_name(name, kind) for kind in ROLE_KINDS), key=len)
    if len(longest) > MAX_IDENTIFIER:
        room = MAX_IDENTIFIER - (len(longest) - len(name))
        yield Finding(PLATFORM, path, f"is too long: its roles' names must fit {MAX_IDENTIFIER} bytes (at most {room})")


def _schemas(database: DatabaseSpec, path: NodePath) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, schema in enumerate(database.schemas):
        where: NodePath = (*path, "schemas", index)
        if schema in seen:
            yield Finding(PLATFORM, where, f"schema {schema} stands here twice")
        seen.add(schema)
        if schema.startswith("pg_") or schema in {"information_schema", "public"}:
            yield Finding(PLATFORM, where, f"schema {schema} belongs to Postgres: choose another name")


def _roles(name: str, database: DatabaseSpec, path: NodePath) -> Iterator[Finding]:
    for kind in REQUIRED_ROLES:
        if kind not in database.roles:
            message = f"`{kind}` is missing: every database has {', '.join(REQUIRED_ROLES)} (MOD-103)"
            yield Finding(PLATFORM, (*path, "roles"), message)
    for kind, role in database.roles.items():
        if "CREATE" in role.schemas and kind != "migrate_user":
            message = f"only migrate_user may CREATE in a schema of {name} (least privilege, MOD-103)"
            yield Finding(PLATFORM, (*path, "roles", kind, "schemas"), message)
    readonly = database.roles.get("readonly")
    if readonly and set(readonly.default_privileges.tables) - {"SELECT"}:
        where: NodePath = (*path, "roles", "readonly", "default_privileges", "tables")
        yield Finding(PLATFORM, where, "readonly may only SELECT (MOD-103)")


def _column_grants(database: DatabaseSpec, path: NodePath) -> Iterator[Finding]:
    seen: set[tuple[str, str, str]] = set()
    for index, grant in enumerate(database.column_grants):
        where: NodePath = (*path, "column_grants", index)
        if grant.role not in database.roles:
            yield Finding(PLATFORM, (*where, "role"), f"{grant.role} is not a role of this database")
        schema = grant.table.partition(".")[0]
        if schema not in database.schemas:
            yield Finding(PLATFORM, (*where, "table"), f"{schema} is not a schema of this database")
        if len(set(grant.columns)) != len(grant.columns):
            yield Finding(PLATFORM, (*where, "columns"), "a column stands here twice")
        if grant.role == "readonly" and grant.privilege != "SELECT":
            yield Finding(PLATFORM, (*where, "privilege"), "readonly may only SELECT (MOD-103)")
        what = (grant.role, grant.table, grant.privilege)
        if what in seen:
            message = f"{grant.privilege} on {grant.table} for {grant.role} is given twice: put the columns in one list"
            yield Finding(PLATFORM, where, message)
        seen.add(what)


def _parameters(platform: PlatformSpec) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for name, database in platform.databases.items():
        for key, value in database.parameters.items():
            where: NodePath = ("databases", name, "parameters", key)
            if not _PARAMETER.fullmatch(key) or key.count("/") >= _PARAMETER_LEVELS:
                message = "must be a path below /bank/{stage}, like mod-002/transaction-log-table (no leading slash)"
                yield Finding(PLATFORM, where, message)
            elif key.split("/")[0] == "neon":
                yield Finding(PLATFORM, where, "paths below neon/ are written by provisioning itself")
            if not value.strip():
                yield Finding(PLATFORM, where, "must not be empty: SSM has no empty parameters")
            if key in owners:
                yield Finding(PLATFORM, where, f"{owners[key]} already has this parameter")
            owners.setdefault(key, name)
