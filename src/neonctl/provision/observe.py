"""Reading everything in parallel into snapshots. Nothing here changes anything, and no secret's value is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from neonctl.desired.model import Desired, EnvironmentSpec, first_database, secret_name
from neonctl.errors import ServiceError, UnsafePlanError
from neonctl.neon.responses import USABLE
from neonctl.plan.observed import (
    Addresses,
    BranchSnapshot,
    ClusterSnapshot,
    DatabaseSnapshot,
    EndpointSnapshot,
    EnvironmentSnapshot,
    Observed,
    ProjectSnapshot,
)
from neonctl.plan.ownership import is_throwaway
from neonctl.provision.parallel import by_key, meanwhile, pair
from neonctl.provision.services import OwnerAccess, Services

if TYPE_CHECKING:
    from neonctl.neon.connection import ConnectionTarget


def observe(
    desired: Desired,
    services: Services,
    *,
    selection: Sequence[str] | None = None,
    project: ProjectSnapshot | None = None,
    aws: Mapping[str, EnvironmentSnapshot] | None = None,
) -> Observed:
    """Everything that planning needs, of the chosen environments and, at Neon, of those that they are made from.

    Neon and AWS are read side by side; within Neon: project → branches and computes → databases, roles and
    addresses → the insides of every database. ``project`` and ``aws`` (from ``observe_aws``): what has been read.
    """
    _ = services.neon  # a missing key is said before anybody else is asked anything
    names = with_sources(desired, selection)
    chosen = tuple(desired.environments) if selection is None else tuple(selection)
    if aws is None:
        neon_side, aws_side = pair(
            lambda: _observe_neon(desired, services, names, chosen, project),
            lambda: observe_aws(desired, services, chosen),  # a job for dev has no business in prod's account
        )
    else:
        neon_side, aws_side = _observe_neon(desired, services, names, chosen, project), aws
    found_project, branches, environments = neon_side
    merged = {
        name: replace(
            environments[name],
            account_id=found.account_id,
            secrets=found.secrets,
            parameters=found.parameters,
        )
        for name, found in ((name, aws_side.get(name, EnvironmentSnapshot())) for name in names)
    }
    return Observed(project=found_project, branches=branches, environments=merged)


def with_sources(desired: Desired, selection: Sequence[str] | None) -> tuple[str, ...]:
    """The chosen environments, those that they come from, and the default branch's: in the YAML's order."""
    if selection is None:
        return tuple(desired.environments)
    wanted = set(selection)
    wanted |= {name for name, spec in desired.environments.items() if spec.branch.default}
    for name in tuple(wanted):
        source = desired.environments[name].branch.source
        while source is not None and source not in wanted:
            wanted.add(source)
            source = desired.environments[source].branch.source
    return tuple(name for name in desired.environments if name in wanted)


# --- Neon and Postgres --------------------------------------------------------------------------------------

_NeonSide = tuple[ProjectSnapshot | None, tuple[BranchSnapshot, ...], Mapping[str, EnvironmentSnapshot]]


def find_project(desired: Desired, services: Services) -> ProjectSnapshot | None:
    """The project by its exact name. Raises when there are several: names are not unique at Neon."""
    name = desired.platform.project.name
    found = services.neon.find_projects(name)
    if len(found) > 1:
        ids = ", ".join(project.id for project in found)
        raise UnsafePlanError(
            "AMBIGUOUS_PROJECT",
            f"{len(found)} projects are named {name}: {ids}",
            hint="rename or delete the ones that are not meant; neonctl does not guess",
            details={"projects": [project.id for project in found]},
        )
    return found[0] if found else None


def _observe_neon(
    desired: Desired,
    services: Services,
    names: Sequence[str],
    chosen: Sequence[str],
    known: ProjectSnapshot | None,
) -> _NeonSide:
    project = known or find_project(desired, services)
    if project is None:
        return None, (), {name: EnvironmentSnapshot() for name in names}
    previews = all(desired.environments[name].kind == "preview" for name in chosen)
    with meanwhile(_import_the_rest):
        if previews:
            ours = [desired.environments[name].branch.name for name in chosen]
            branches, endpoints = _settled_branches(services, project.id, ours)
        else:
            branches, endpoints = _settled(services, project.id)

        def one(name: str) -> EnvironmentSnapshot:
            branch = branch_named(desired.environments[name].branch.name, branches)
            if previews and name not in chosen:  # a preview is judged by itself; of its source it is enough to know it
                return EnvironmentSnapshot(branch=branch)
            return observe_environment(desired, services, project, branch, endpoints)

        environments = by_key(one, names)
    return project, branches, environments


def _import_the_rest() -> None:
    """The driver, and what judges. Not earlier: the import of AWS's client, for the other side, goes first."""
    from neonctl.plan import diff
    from neonctl.postgres import connect, inspect

    _ = connect, inspect, diff


def _settled(services: Services, project_id: str) -> tuple[tuple[BranchSnapshot, ...], tuple[EndpointSnapshot, ...]]:
    """Branches and computes while nothing of the project is under way.

    A run that was killed leaves work behind that Neon goes on with: until that is done, the API tells of databases
    and roles that Postgres does not have yet.
    """
    while True:
        waited, (branches, endpoints) = pair(
            lambda: services.neon.settle(project_id),
            lambda: pair(
                lambda: services.neon.list_branches(project_id), lambda: services.neon.list_endpoints(project_id)
            ),
        )
        # A throw-away branch is nothing to plan on, and may be gone while it is waited for.
        unready = [branch.id for branch in branches if branch.state not in USABLE and not is_throwaway(branch)]
        for branch_id in unready:
            services.neon.wait_for_branch(project_id, branch_id)
        if not waited and not unready:
            return branches, endpoints


def _settled_branches(
    services: Services, project_id: str, names: Sequence[str]
) -> tuple[tuple[BranchSnapshot, ...], tuple[EndpointSnapshot, ...]]:
    """Branches and computes while nothing of these branches is under way: many previews are made at the same time."""
    while True:
        busy, (branches, endpoints) = pair(
            lambda: services.neon.busy_branches(project_id),
            lambda: pair(
                lambda: services.neon.list_branches(project_id), lambda: services.neon.list_endpoints(project_id)
            ),
        )
        unfinished = [
            branch.id
            for branch in branches
            if branch.name in names and (branch.id in busy or branch.state not in USABLE)
        ]
        for branch_id in unfinished:
            services.neon.settle_branch(project_id, branch_id)
            services.neon.wait_for_branch(project_id, branch_id)
        if not unfinished:
            return branches, endpoints


def branch_named(name: str, branches: Sequence[BranchSnapshot]) -> BranchSnapshot | None:
    """A branch by its exact name (unique within a project)."""
    return next((branch for branch in branches if branch.name == name), None)


def observe_environment(
    desired: Desired,
    services: Services,
    project: ProjectSnapshot,
    branch: BranchSnapshot | None,
    endpoints: Sequence[EndpointSnapshot],
) -> EnvironmentSnapshot:
    """One branch: what the API says of it, and what its Postgres holds."""
    if branch is None:
        return EnvironmentSnapshot()
    endpoint = next((each for each in endpoints if each.branch_id == branch.id and each.type == "read_write"), None)

    def owner(*, pooled: bool) -> ConnectionTarget | None:
        return _owner_target(desired, services, project.id, branch.id, pooled=pooled) if endpoint else None

    def inside() -> tuple[Mapping[str, str], ConnectionTarget | None, ClusterSnapshot]:
        databases, direct = pair(
            lambda: services.neon.list_databases(project.id, branch.id), lambda: owner(pooled=False)
        )
        # At once: the connections take longest, and need no other answer.
        found = observe_cluster(desired, services, direct, databases) if direct else ClusterSnapshot()
        return databases, direct, found

    (databases, direct, cluster), (roles, pooled) = pair(
        inside,
        lambda: pair(lambda: services.neon.list_roles(project.id, branch.id), lambda: owner(pooled=True)),
    )
    snapshot = EnvironmentSnapshot(branch=branch, endpoint=endpoint, api_roles=roles, api_databases=databases)
    if direct is None or pooled is None:
        return snapshot
    return replace(snapshot, addresses=addresses_of(OwnerAccess(direct, pooled), services), cluster=cluster)


def addresses_of(access: OwnerAccess, services: Services) -> Addresses:
    """Where the two ways to a branch lead."""
    return Addresses(access.direct.address, access.pooled.address, services.ca_file)


def owner_access(desired: Desired, services: Services, project_id: str, branch_id: str) -> OwnerAccess | None:
    """The owner role's ways in, or None while that role or the first database is missing."""
    direct, pooled = pair(
        lambda: _owner_target(desired, services, project_id, branch_id, pooled=False),
        lambda: _owner_target(desired, services, project_id, branch_id, pooled=True),
    )
    return OwnerAccess(direct, pooled) if direct and pooled else None


def _owner_target(
    desired: Desired, services: Services, project_id: str, branch_id: str, *, pooled: bool
) -> ConnectionTarget | None:
    database, role = first_database(desired), desired.platform.project.owner_role
    try:
        return services.owner_way(project_id, branch_id, database=database, role=role, pooled=pooled)
    except ServiceError as error:
        if error.code == "NEON_NOT_FOUND":
            return None
        raise


def observe_cluster(
    desired: Desired, services: Services, direct: ConnectionTarget, databases: Mapping[str, str]
) -> ClusterSnapshot:
    """Roles of the branch, and each declared database from inside."""
    from neonctl.postgres.inspect import read_both, read_database

    inside = [name for name in desired.platform.databases if name in databases]
    if not inside:
        return ClusterSnapshot()

    def database(name: str) -> tuple[ClusterSnapshot, DatabaseSnapshot]:
        with services.connect_directly(direct, name) as connection:
            # Roles are of the whole branch: one of the connections asks for them too.
            return read_both(connection) if name == inside[0] else (ClusterSnapshot(), read_database(connection))

    found = by_key(database, inside)
    cluster, _ = found[inside[0]]
    return replace(cluster, databases={name: snapshot for name, (_, snapshot) in found.items()})


# --- AWS ----------------------------------------------------------------------------------------------------


def observe_aws(desired: Desired, services: Services, names: Sequence[str]) -> Mapping[str, EnvironmentSnapshot]:
    """The AWS side alone: accounts, secrets without their values, parameters."""
    return by_key(lambda name: _observe_account(desired, services, desired.environments[name]), names)


def _observe_account(desired: Desired, services: Services, spec: EnvironmentSpec) -> EnvironmentSnapshot:
    access = services.aws(spec.aws)
    caller = access.caller()
    secrets, parameters = pair(
        lambda: access.secrets().describe(secret_names(desired, spec)),
        lambda: access.parameters().read(parameter_names(desired, spec)),
    )
    secrets = access.keys().as_wanted(secrets, spec.aws.kms_key_id)
    return EnvironmentSnapshot(account_id=caller.account_id, secrets=secrets, parameters=parameters)


def secret_names(desired: Desired, spec: EnvironmentSpec) -> tuple[str, ...]:
    """The secrets of one environment."""
    return tuple(
        secret_name(spec.stage, database, kind)
        for database, wanted in desired.platform.databases.items()
        for kind in wanted.roles
    )


def parameter_names(desired: Desired, spec: EnvironmentSpec) -> tuple[str, ...]:
    """The SSM parameters of one environment."""
    own = ("project-id", "branch-id", "direct-host", "pooled-host")
    return (
        *(f"/bank/{spec.stage}/neon/{name}" for name in own),
        *(f"/bank/{spec.stage}/{path}" for wanted in desired.platform.databases.values() for path in wanted.parameters),
    )
