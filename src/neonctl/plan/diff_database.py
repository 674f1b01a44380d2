"""Differences inside Postgres: roles, schemas, privileges, publications, migrations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from neonctl.desired.model import DatabaseSpec, Desired, EnvironmentSpec, RoleKind, RoleLimits, role_name
from neonctl.plan.changes import (
    AnyChange,
    ClaimDatabase,
    CreateRole,
    CreateSchema,
    GrantMembership,
    GrantPrivileges,
    Report,
    RevokeMembership,
    RevokePrivileges,
    RunMigrations,
    SetPublication,
    UpdateRole,
    UpdateSchemaOwner,
)
from neonctl.plan.grants import (
    OBJECT_KINDS,
    PUBLIC,
    RESERVED_ROLES,
    implied_default,
    is_structural,
    structural_grants,
)
from neonctl.plan.observed import ClusterSnapshot, DatabaseSnapshot, Grant
from neonctl.plan.privileges import described_version, parse
from neonctl.plan.roles import role_differences, wanted_role


def managed_roles(desired: Desired) -> frozenset[str]:
    """Every role name that the YAML declares."""
    return frozenset(
        role_name(database, kind) for database, spec in desired.platform.databases.items() for kind in spec.roles
    )


def role_changes(
    environment: str, spec: EnvironmentSpec, cluster: ClusterSnapshot, desired: Desired
) -> Iterator[AnyChange]:
    """Roles of the whole branch, their attributes and their memberships."""
    owner = desired.platform.project.owner_role
    for database, database_spec in desired.platform.databases.items():
        if database_spec.state == "absent":
            continue
        for kind in database_spec.roles:
            yield from _role_change(environment, spec, cluster, database, kind)
        migrator = role_name(database, "migrate_user")
        holder = cluster.roles.get(owner)
        if holder is None or migrator not in holder.member_of:
            yield GrantMembership(
                environment=environment,
                role=migrator,
                member=owner,
                reason="to set default privileges and publications for it",
            )
    managed = managed_roles(desired)
    for role in sorted(cluster.roles.values(), key=lambda each: each.name):
        for group in sorted(role.member_of):
            if role.name in managed:
                yield RevokeMembership(
                    environment=environment, role=group, member=role.name, reason="not in the configuration"
                )
            elif group in managed and role.name != owner and role.name not in RESERVED_ROLES:
                yield Report(
                    environment=environment,
                    subject=f"{role.name} in {group}",
                    reason="a role that is not declared is a member of one that is; left alone",
                )
        if role.name not in managed and role.name != owner and role.name not in RESERVED_ROLES:
            yield Report(
                environment=environment,
                subject=role.name,
                reason="role is not in the configuration; left alone",
            )


def _role_change(
    environment: str, spec: EnvironmentSpec, cluster: ClusterSnapshot, database: str, kind: RoleKind
) -> Iterator[AnyChange]:
    wanted = wanted_role(database, kind, spec)
    found = cluster.roles.get(wanted.name)
    if found is None:
        yield CreateRole(environment=environment, database=database, role=wanted)
        return
    limit_managed = spec.roles.get(kind, RoleLimits()).connection_limit is not None
    if not limit_managed:
        wanted = replace(wanted, connection_limit=found.connection_limit)  # unset in the YAML: left as it is
    fields = role_differences(wanted, found, limit_managed=limit_managed)
    if fields:
        overridden = tuple(sorted(name for name, own in found.overrides.items() if own.keys() & wanted.settings.keys()))
        yield UpdateRole(
            environment=environment, database=database, wanted=wanted, fields=fields, overridden=overridden
        )


def database_changes(
    environment: str,
    spec: EnvironmentSpec,
    database: str,
    found: DatabaseSnapshot,
    desired: Desired,
    branch_id: str | None,
) -> Iterator[AnyChange]:
    """Schemas, mark, privileges, pending migrations and publication of one database."""
    wanted = desired.platform.databases[database]
    migrator = role_name(database, "migrate_user")
    for schema in wanted.schemas:
        owner = found.schemas.get(schema)
        if owner is None:
            yield CreateSchema(environment=environment, database=database, schema=schema, owner=migrator)
        elif owner != migrator:
            yield UpdateSchemaOwner(
                environment=environment, database=database, schema=schema, owner_before=owner, owner=migrator
            )
    for schema in sorted(found.schemas.keys() - set(wanted.schemas) - {"public"}):
        yield Report(
            environment=environment,
            subject=f"{database}/{schema}",
            reason="schema is not in the configuration; left alone",
        )
    if branch_id is None or found.built_for != branch_id:
        yield ClaimDatabase(environment=environment, database=database)
    yield from _structural_changes(environment, database, wanted, found, desired)
    versions, repeatables = pending_versions(desired, database, found), pending_repeatables(desired, database, found)
    if versions or repeatables:
        yield RunMigrations(environment=environment, database=database, versions=versions, repeatables=repeatables)
    else:
        yield from settled_changes(environment, spec, database, found, desired)


def pending_versions(desired: Desired, database: str, found: DatabaseSnapshot) -> tuple[str, ...]:
    """Versions on disk that the history does not have, and that no baseline covers."""
    applied = {each.version for each in found.history or ()}
    baseline = max((_number(each.version) for each in found.history or () if each.baseline), default=())
    return tuple(
        each.version
        for each in desired.migrations.get(database, ())
        if each.version not in applied and _number(each.version) > baseline
    )


def _number(version: str) -> tuple[int, ...]:
    """``"003"`` → (3,); Flyway's baselines may read ``1.2``."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def pending_repeatables(desired: Desired, database: str, found: DatabaseSnapshot) -> tuple[str, ...]:
    """Repeatable files that never ran, or not as they are now."""
    return tuple(
        script
        for script, checksum in desired.repeatables.get(database, {}).items()
        if found.repeatables.get(script) != checksum
    )


def settled_changes(
    environment: str, spec: EnvironmentSpec, database: str, found: DatabaseSnapshot, desired: Desired
) -> Iterator[AnyChange]:
    """What can be judged only when every migration has run: privileges on objects, and the publication."""
    on_disk = {each.version for each in desired.migrations.get(database, ())}
    if _out_of_date(desired, database):
        yield Report(
            environment=environment,
            subject=f"{database}/privileges.txt",
            reason="was generated before the newest migration: write it again with verify --write-privileges",
        )
    if all(
        each.version in on_disk or each.baseline for each in found.history or ()
    ):  # else the database is ahead of these files
        declared = {*desired.platform.databases[database].schemas, "public"}
        present = frozenset(
            grant
            for grant in found.grants
            if grant.kind in OBJECT_KINDS and grant.object.split(".", 1)[0] in declared  # other schemas: left alone
        )
        wanted = wanted_object_grants(desired, database, found)
        yield from _grant_changes(environment, database, wanted, present, desired)
    if spec.cdc:
        yield from _publication_changes(environment, database, found, desired)


def _out_of_date(desired: Desired, database: str) -> bool:
    """Whether the committed privileges describe another version than the newest file: then they judge nothing."""
    committed = desired.privileges.get(database)
    files = desired.migrations.get(database, ())
    return committed is not None and bool(files) and described_version(committed) != files[-1].version


def wanted_object_grants(desired: Desired, database: str, found: DatabaseSnapshot) -> frozenset[Grant]:
    """Privileges on tables, columns, sequences and functions as they should be.

    The committed ``privileges.txt`` says so; without one, or with an old one, what migrations left is taken as it
    is. The YAML's column grants win over both: the role named there sees those columns of the table and no others.
    """
    committed = None if _out_of_date(desired, database) else desired.privileges.get(database)
    declared = {*desired.platform.databases[database].schemas, "public"}
    left = {g for g in found.grants if g.kind in OBJECT_KINDS and g.object.split(".", 1)[0] in declared}
    wanted = left if committed is None else set(parse(committed))
    # A function that the file does not know, from a repeatable file say: without its owner's own EXECUTE nothing that
    # runs as the owner could call it any more.
    known, migrator = {grant.object for grant in wanted}, role_name(database, "migrate_user")
    wanted |= {g for g in left if g.kind == "function" and g.grantee == migrator and g.object not in known}
    for rule in desired.platform.databases[database].column_grants:
        if rule.table not in found.tables:
            continue
        role = role_name(database, rule.role)
        wanted = {
            grant
            for grant in wanted
            if not (
                grant.grantee == role
                and grant.privilege == rule.privilege
                and (
                    (grant.kind == "table" and grant.object == rule.table)
                    or (grant.kind == "column" and grant.object.startswith(f"{rule.table}."))
                )
            )
        }
        wanted |= {Grant("column", f"{rule.table}.{column}", role, rule.privilege) for column in rule.columns}
    return frozenset(wanted)


def _structural_changes(
    environment: str, database: str, wanted: DatabaseSpec, found: DatabaseSnapshot, desired: Desired
) -> Iterator[AnyChange]:
    migrator = role_name(database, "migrate_user")
    present = {grant for grant in found.grants if is_structural(grant, wanted.schemas, migrator)}
    if migrator not in found.schemas.values():  # its defaults are not visible before it owns something
        present.add(implied_default(migrator))
    yield from _grant_changes(environment, database, structural_grants(database, wanted), frozenset(present), desired)


def _grant_changes(
    environment: str, database: str, wanted: frozenset[Grant], present: frozenset[Grant], desired: Desired
) -> Iterator[AnyChange]:
    managed = managed_roles(desired) | {PUBLIC}
    ignored = RESERVED_ROLES | {desired.platform.project.owner_role}
    for grantee, grants in _by_grantee(wanted - present):
        yield GrantPrivileges(environment=environment, database=database, grantee=grantee, grants=grants)
    for grantee, grants in _by_grantee(present - wanted):
        if grantee in managed:
            yield RevokePrivileges(
                environment=environment,
                database=database,
                grantee=grantee,
                grants=grants,
                reason="more than the configuration gives",
            )
        elif grantee not in ignored:
            yield Report(
                environment=environment,
                subject=f"{database}/{grantee}",
                reason="privileges of a role that is not in the configuration; left alone",
            )


def _by_grantee(grants: Iterable[Grant]) -> Iterator[tuple[str, tuple[Grant, ...]]]:
    grouped: dict[str, list[Grant]] = {}
    for grant in sorted(grants):
        grouped.setdefault(grant.grantee, []).append(grant)
    for grantee in sorted(grouped):
        yield grantee, tuple(grouped[grantee])


def _publication_changes(
    environment: str, database: str, found: DatabaseSnapshot, desired: Desired
) -> Iterator[AnyChange]:
    name = f"{database}_cdc"
    owner = role_name(database, "migrate_user")
    schemas = desired.platform.databases[database].schemas
    tables = tuple(sorted(table for table in found.tables if table.split(".", 1)[0] in schemas))
    keyless = sorted(found.tables_without_key & set(tables))
    for table in keyless:
        yield Report(
            environment=environment,
            subject=f"{database}/{table}",
            reason="table has no primary key: UPDATE and DELETE on it cannot be replicated",
        )
    current = found.publications.get(name)
    if not tables:
        return
    if current is None or current.owner != owner or tuple(sorted(current.tables)) != tables or not current.whole:
        yield SetPublication(
            environment=environment,
            database=database,
            publication=name,
            owner=owner,
            old_tables=None if current is None else tuple(sorted(current.tables)),
            tables=tables,
            was_whole=current is None or current.whole,
        )
    for other in sorted(found.publications.keys() - {name}):
        yield Report(
            environment=environment,
            subject=f"{database}/{other}",
            reason="publication is not in the configuration; left alone",
        )
