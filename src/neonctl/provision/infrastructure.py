"""Handlers of what Neon's API makes: project, branches, computes, the owner role, databases.

Neon allows one conflicting operation per project at a time (facts.md 6), so these run one after another, in the
order in which branches come from each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from neonctl.errors import UnsafePlanError
from neonctl.neon.responses import Compute as EndpointSize
from neonctl.plan.changes import (
    AnyChange,
    ClaimDatabase,
    Compute,
    CreateBranch,
    CreateDatabase,
    CreateEndpoint,
    CreateOwnerRole,
    CreateProject,
    CreateRole,
    CreateSchema,
    DeleteBranch,
    DeleteParameter,
    DeleteSecret,
    DropDatabase,
    DropRole,
    GrantMembership,
    GrantPrivileges,
    PutParameter,
    RebuildDatabase,
    ReplaceInheritedPasswords,
    Report,
    RevokeMembership,
    RevokePrivileges,
    RunMigrations,
    SetPublication,
    StoreSecret,
    UpdateBranch,
    UpdateEndpoint,
    UpdateProject,
    UpdateRole,
    UpdateSchemaOwner,
    UpdateSecretMetadata,
)
from neonctl.plan.ownership import branch_annotations, made_for
from neonctl.postgres.inspect import read_database
from neonctl.postgres.roles import set_passwords
from neonctl.vault.password import generate_password

if TYPE_CHECKING:
    from neonctl.provision.services import Services
    from neonctl.provision.world import World


def apply_infrastructure(change: AnyChange, world: World, services: Services, *, owner_role: str) -> None:
    """Carry out one change through Neon's API; others are not for this handler."""
    match change:
        case CreateProject():
            _create_project(change, world, services)
        case UpdateProject():
            fields = {field.name: field.after for field in change.fields}
            retention = fields.get("history_retention_seconds")
            world.set_project(
                services.neon.update_project(
                    world.project.id,
                    history_retention_seconds=int(retention) if retention is not None else None,
                    logical_replication=True if fields.get("logical_replication") else None,
                )
            )
        case CreateBranch():
            _create_branch(change, world, services, owner_role)
        case UpdateBranch():
            _update_branch(change, world, services)
        case DeleteBranch():
            services.neon.delete_branch(world.project.id, world.branch(change.environment).id)
        case CreateEndpoint():
            services.neon.create_endpoint(
                world.project.id,
                world.branch(change.environment).id,
                _size(change.compute),
            )
        case UpdateEndpoint():
            _update_endpoint(change, world, services)
        case CreateOwnerRole():
            services.neon.create_role(world.project.id, world.branch(change.environment).id, change.role)
        case ReplaceInheritedPasswords():
            _replace_passwords(change, world, services)
        case CreateDatabase():
            _ensure_database(change.environment, change.database, change.owner, world, services)
        case RebuildDatabase():
            _rebuild_database(change, world, services)
        case DropDatabase():
            services.neon.delete_database(world.project.id, world.branch(change.environment).id, change.database)
        case (
            ClaimDatabase()
            | CreateRole()
            | CreateSchema()
            | DeleteParameter()
            | DeleteSecret()
            | DropRole()
            | GrantMembership()
            | GrantPrivileges()
            | PutParameter()
            | Report()
            | RevokeMembership()
            | RevokePrivileges()
            | RunMigrations()
            | SetPublication()
            | StoreSecret()
            | UpdateRole()
            | UpdateSchemaOwner()
            | UpdateSecretMetadata()
        ):
            pass
        case _:
            assert_never(change)


def _create_project(change: CreateProject, world: World, services: Services) -> None:
    project = services.neon.create_project(
        name=change.project,
        region=change.region,
        postgres_version=change.postgres_version,
        branch_name=change.branch,
        owner_role=change.owner_role,
        database=change.database,
        logical_replication=change.logical_replication,
        history_retention_seconds=change.history_retention_seconds,
        min_cu=change.compute.min_cu,
        max_cu=change.compute.max_cu,
        suspend_timeout_seconds=change.compute.suspend_timeout_seconds,
        annotations=branch_annotations(change.default_environment, build="empty"),
    )
    world.set_project(project)
    world.add_database(change.default_environment, change.database, first=True)


def _create_branch(change: CreateBranch, world: World, services: Services, owner_role: str) -> None:
    branch = services.neon.create_branch(
        world.project.id,
        name=change.branch,
        source_id=world.branch(change.source).id,
        init_source=change.init,
        protected=change.protected,
        annotations=branch_annotations(change.environment, build=change.init),
        compute=_size(change.compute),
    )
    world.set_branch(change.environment, branch)
    # A child has its source's roles; whether a schema-only root always brings the owner along is not documented.
    if owner_role not in services.neon.list_roles(world.project.id, branch.id):
        services.neon.create_role(world.project.id, branch.id, owner_role)


def _update_branch(change: UpdateBranch, world: World, services: Services) -> None:
    fields = {field.name: field.after for field in change.fields}
    branch = world.branch(change.environment)
    if fields.get("default"):
        services.neon.set_default_branch(world.project.id, branch.id)
    if "protected" in fields:
        services.neon.update_branch(world.project.id, branch.id, protected=bool(fields["protected"]))


def _update_endpoint(change: UpdateEndpoint, world: World, services: Services) -> None:
    branch = world.branch(change.environment)
    endpoint = next(
        each
        for each in services.neon.list_endpoints(world.project.id)
        if each.branch_id == branch.id and each.type == "read_write"
    )
    services.neon.update_endpoint(
        world.project.id,
        endpoint.id,
        _size(change.compute),
    )


def _replace_passwords(change: ReplaceInheritedPasswords, world: World, services: Services) -> None:
    """Nobody keeps the new ones: the owner's is read from Neon when it is needed, the others' are nobody's."""
    branch = world.branch(change.environment)
    for role in change.of_the_api:
        services.neon.reset_password(world.project.id, branch.id, role)
    world.forget_access(change.environment)
    if change.by_sql:
        access = world.access(change.environment)
        with services.connect_as_owner(access, access.direct.dbname) as connection:
            set_passwords(connection, {role: generate_password() for role in change.by_sql})


def _ensure_database(environment: str, database: str, owner: str, world: World, services: Services) -> None:
    """Make it unless the branch brought it along from its source."""
    if database not in world.databases(environment):
        services.neon.create_database(world.project.id, world.branch(environment).id, database, owner)
        world.add_database(environment, database)


def _rebuild_database(change: RebuildDatabase, world: World, services: Services) -> None:
    """Drop a schema-only copy and make it anew. Judged again at this moment: it must be ours, unmarked, rowless."""
    branch = world.branch(change.environment)
    present = services.neon.list_databases(world.project.id, branch.id)
    if change.database in present:
        with services.connect_as_owner(world.access(change.environment), change.database) as connection:
            inside = read_database(connection)
        if inside.built_for == branch.id:
            return
        ours = made_for(branch) == change.environment and branch.init_source == "schema-only"
        if not ours or branch.default or inside.history:
            raise UnsafePlanError(
                "NOT_A_COPY",
                f"database {change.database} on branch {branch.name} is not an untouched schema-only copy: not dropped",
                hint="look at it; if it may go, drop it yourself and apply again",
            )
        if not inside.tables:
            return
        services.neon.delete_database(world.project.id, branch.id, change.database)
    services.neon.create_database(world.project.id, branch.id, change.database, change.owner)


def _size(compute: Compute) -> EndpointSize:
    return EndpointSize(compute.min_cu, compute.max_cu, compute.suspend_timeout_seconds)
