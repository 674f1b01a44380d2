"""Differences that Neon's API settles: project, branches, computes, owner role, databases."""

from __future__ import annotations

from collections.abc import Iterator

from neonctl.desired.model import Desired, EnvironmentSpec, first_database
from neonctl.plan.changes import (
    AnyChange,
    Compute,
    CreateBranch,
    CreateDatabase,
    CreateEndpoint,
    CreateOwnerRole,
    CreateProject,
    DeleteBranch,
    DropDatabase,
    FieldChange,
    RebuildDatabase,
    UpdateBranch,
    UpdateEndpoint,
    UpdateProject,
)
from neonctl.plan.observed import DatabaseSnapshot, EnvironmentSnapshot, Observed
from neonctl.plan.ownership import made_for


def compute_of(spec: EnvironmentSpec) -> Compute:
    """The compute that an environment asks for."""
    return Compute(spec.compute.min_cu, spec.compute.max_cu, spec.compute.suspend_timeout_seconds)


def production(desired: Desired) -> tuple[str, EnvironmentSpec]:
    """The environment of the default branch (``desired`` has exactly one)."""
    return next((name, spec) for name, spec in desired.environments.items() if spec.branch.default)


def project_changes(desired: Desired, observed: Observed) -> Iterator[AnyChange]:
    """The project itself."""
    wanted, project = desired.platform.project, observed.project
    default_environment, spec = production(desired)
    if project is None:
        yield CreateProject(
            project=wanted.name,
            region=wanted.region,
            postgres_version=wanted.postgres_version,
            branch=spec.branch.name,
            owner_role=wanted.owner_role,
            database=first_database(desired),
            logical_replication=wanted.logical_replication,
            history_retention_seconds=wanted.history_retention_seconds,
            compute=compute_of(spec),
            default_environment=default_environment,
            reason="logical replication cannot be switched off again" if wanted.logical_replication else "",
        )
        return
    fields: list[FieldChange] = []
    reason = ""
    if wanted.history_retention_seconds not in {None, project.history_retention_seconds}:
        fields.append(
            FieldChange(
                "history_retention_seconds",
                project.history_retention_seconds,
                wanted.history_retention_seconds,
            )
        )
    if wanted.logical_replication and not project.logical_replication:
        fields.append(FieldChange("logical_replication", False, True))
        reason = "cannot be undone; restarts every compute of the project"
    if fields:
        yield UpdateProject(project=project.name, fields=tuple(fields), reason=reason)


def branch_changes(
    name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired, observed: Observed
) -> Iterator[AnyChange]:
    """The branch of one environment, and its protection."""
    branch = snapshot.branch
    if spec.state == "absent":
        if branch is not None:
            yield DeleteBranch(environment=name, branch=branch.name, reason="state: absent")
        return
    if branch is None:
        if spec.branch.source is not None:
            yield CreateBranch(
                environment=name,
                branch=spec.branch.name,
                source=spec.branch.source,
                init=spec.branch.init or "parent-data",
                protected=bool(spec.branch.protected),
                compute=compute_of(spec),
            )
        elif spec.branch.protected and observed.project is None:
            # A project's first branch is made unprotected; Neon's API has no other way.
            yield UpdateBranch(
                environment=name, branch=spec.branch.name, fields=(FieldChange("protected", False, True),)
            )
        return
    fields: list[FieldChange] = []
    if spec.branch.protected is not None and branch.protected != spec.branch.protected:
        fields.append(FieldChange("protected", branch.protected, spec.branch.protected))
    if spec.branch.default and not branch.default:
        fields.append(FieldChange("default", False, True))
    if fields:
        yield UpdateBranch(environment=name, branch=branch.name, fields=tuple(fields))


def api_changes(
    name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired, observed: Observed
) -> Iterator[AnyChange]:
    """Compute, owner role and databases of one environment."""
    if spec.state == "absent":
        return
    created_with_project = observed.project is None and spec.branch.default
    yield from _endpoint_changes(name, spec, snapshot)
    owner = desired.platform.project.owner_role
    # A branch that is made with the project has the owner; one that is made from a source inherits it.
    inherits = snapshot.branch is None
    if owner not in snapshot.api_roles and not inherits:
        yield CreateOwnerRole(environment=name, role=owner)
    for database, wanted in desired.platform.databases.items():
        exists = database in snapshot.api_databases
        if wanted.state == "absent":
            if exists:
                yield DropDatabase(environment=name, database=database, reason="state: absent")
            continue
        if exists:
            inside = snapshot.cluster.databases.get(database) if snapshot.cluster else None
            if inside is not None and is_copied_schema(name, snapshot, inside):
                yield _rebuild(name, database, owner)
            continue
        if created_with_project and database == first_database(desired):
            continue
        if snapshot.branch is None and spec.branch.source is not None:
            source = observed.environments.get(spec.branch.source, EnvironmentSnapshot())
            copied = source.cluster.databases.get(database) if source.cluster else None
            if copied is not None and copied.tables and spec.branch.init == "schema-only":
                yield _rebuild(name, database, owner)
                continue
        yield CreateDatabase(environment=name, database=database, owner=owner)


def _rebuild(environment: str, database: str, owner: str) -> RebuildDatabase:
    return RebuildDatabase(
        environment=environment,
        database=database,
        owner=owner,
        reason="a schema-only copy has tables without their history; its migrations build it from nothing",
    )


def is_copied_schema(environment: str, snapshot: EnvironmentSnapshot, inside: DatabaseSnapshot) -> bool:
    """Whether this database is an untouched schema-only copy on a branch that we are still building.

    Dropping is allowed only here: the branch carries our annotation, the database does not yet carry this
    branch's mark, and it has tables but no history rows.
    """
    branch = snapshot.branch
    return (
        branch is not None
        and made_for(branch) == environment
        and branch.init_source == "schema-only"
        and not branch.default
        and inside.built_for != branch.id
        and bool(inside.tables)
        and not inside.history
    )


def _endpoint_changes(name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot) -> Iterator[AnyChange]:
    if snapshot.branch is None:
        return
    compute = compute_of(spec)
    endpoint = snapshot.endpoint
    if endpoint is None:
        yield CreateEndpoint(environment=name, compute=compute)
        return
    fields: list[FieldChange] = []
    if endpoint.min_cu != compute.min_cu:
        fields.append(FieldChange("min_cu", endpoint.min_cu, compute.min_cu))
    if endpoint.max_cu != compute.max_cu:
        fields.append(FieldChange("max_cu", endpoint.max_cu, compute.max_cu))
    timeout = compute.suspend_timeout_seconds
    if timeout is not None and endpoint.suspend_timeout_seconds != timeout:
        fields.append(FieldChange("suspend_timeout_seconds", endpoint.suspend_timeout_seconds, timeout))
    if fields:
        yield UpdateEndpoint(environment=name, fields=tuple(fields), compute=compute)
