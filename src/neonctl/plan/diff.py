"""Desired and observed → a plan. Pure: no network, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neonctl.desired.model import Desired, EnvironmentSpec, role_name, secret_name
from neonctl.plan.changes import (
    AnyChange,
    DeleteParameter,
    DeleteSecret,
    DropRole,
    PutParameter,
    Report,
    StoreSecret,
    UpdateSecretMetadata,
)
from neonctl.plan.credentials import credential_work, metadata_differences
from neonctl.plan.diff_database import database_changes, role_changes
from neonctl.plan.diff_project import (
    api_changes,
    branch_changes,
    is_copied_schema,
    production,
    project_changes,
)
from neonctl.plan.grants import fresh_database
from neonctl.plan.observed import ClusterSnapshot, EnvironmentSnapshot, Observed, RoleSnapshot
from neonctl.plan.ownership import is_ours
from neonctl.plan.plan import Plan
from neonctl.plan.preview import inherited_password_changes
from neonctl.plan.refusals import Refusal, data_refusals, limit_refusals, migration_refusals, project_refusals, refuse


def diff(desired: Desired, observed: Observed, *, selection: Sequence[str] | None = None, adopt: bool = False) -> Plan:
    """What has to change so that ``observed`` becomes ``desired``.

    ``selection`` names the environments to look at (None: all persistent ones). Raises ``UnsafePlanError`` with
    every refusal at once; a deletion is part of the plan and is refused later by ``plan.safety`` without its flag.
    """
    chosen = tuple(selection) if selection is not None else tuple(desired.environments)
    refuse(_refusals(desired, observed, chosen, adopt=adopt))
    # What restarts every compute, production's too, belongs to whoever answers for production.
    changes: list[AnyChange] = list(project_changes(desired, observed)) if production(desired)[0] in chosen else []
    for name in chosen:
        spec = desired.environments[name]
        snapshot = observed.environments.get(name, EnvironmentSnapshot())
        changes.extend(branch_changes(name, spec, snapshot, desired, observed))
        changes.extend(api_changes(name, spec, snapshot, desired, observed))
        changes.extend(removals(name, spec, snapshot, desired))
        if spec.state == "present":
            changes.extend(inherited_password_changes(name, spec, snapshot, desired))
            changes.extend(_inside(name, spec, snapshot, desired))
            changes.extend(credential_changes(name, spec, snapshot, desired))
            changes.extend(parameter_changes(name, spec, snapshot, desired, observed))
    if selection is None:
        changes.extend(_unmanaged(desired, observed))
    return Plan.of(changes)


def _refusals(desired: Desired, observed: Observed, chosen: Sequence[str], *, adopt: bool) -> Iterator[Refusal]:
    yield from project_refusals(desired, observed, adopt=adopt)
    yield from data_refusals(desired, observed)
    yield from migration_refusals(desired, observed, chosen)
    default_name, default_spec = production(desired)
    if observed.project is not None and observed.environments.get(default_name, EnvironmentSnapshot()).branch is None:
        yield Refusal(
            "DEFAULT_BRANCH_MISSING",
            f"project {observed.project.name} has no branch {default_spec.branch.name}",
            f"rename the project's default branch to {default_spec.branch.name}, or correct branch.name",
        )
    if observed.project is None and default_name not in chosen:
        yield Refusal(
            "PROJECT_MISSING",
            f"project {desired.platform.project.name} does not exist, and its default branch belongs to "
            f"environment {default_name}, which was not chosen",
            f"run with --env {default_name} too, or without --env",
        )
    new = [
        desired.environments[name]
        for name in chosen
        if desired.environments[name].state == "present"
        and observed.environments.get(name, EnvironmentSnapshot()).branch is None
    ]
    existing = {branch.name for branch in observed.branches}
    to_protect = {
        spec.branch.name
        for spec in (desired.environments[name] for name in chosen)
        if spec.branch.protected and spec.state == "present"
    }
    protected_now = {branch.name for branch in observed.branches if branch.protected}
    added = to_protect - protected_now
    yield from limit_refusals(
        desired,
        observed,
        new_branches=len([spec for spec in new if spec.branch.name not in existing]),
        new_roots=len([spec for spec in new if spec.branch.init == "schema-only" or spec.branch.source is None]),
        protected=len(protected_now | to_protect) if added else 0,
    )


def _inside(name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired) -> Iterator[AnyChange]:
    cluster = snapshot.cluster or ClusterSnapshot()
    yield from role_changes(name, spec, cluster, desired)
    owner = desired.platform.project.owner_role
    for database, wanted in desired.platform.databases.items():
        if wanted.state == "absent":
            continue
        found = cluster.databases.get(database)
        # A copy that is to be rebuilt (a run was killed after making its branch): what it holds goes with it.
        if found is None or is_copied_schema(name, snapshot, found):
            found = fresh_database(database, owner)
        branch_id = snapshot.branch.id if snapshot.branch else None
        yield from database_changes(name, spec, database, found, desired, branch_id)


def credential_changes(
    name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired
) -> Iterator[AnyChange]:
    """Passwords and secrets of one environment."""
    roles = (snapshot.cluster or ClusterSnapshot()).roles
    for database, wanted in desired.platform.databases.items():
        if wanted.state == "absent":
            continue
        for kind in wanted.roles:
            secret = secret_name(spec.stage, database, kind)
            found = snapshot.secrets.get(secret)
            role: RoleSnapshot | None = roles.get(role_name(database, kind))
            work = credential_work(
                branch_id=snapshot.branch.id if snapshot.branch else None,
                role=role,
                secret=found,
                addresses=snapshot.addresses,
            )
            if work is not None:
                yield StoreSecret(
                    environment=name,
                    database=database,
                    role_kind=kind,
                    secret=secret,
                    work=work,
                    reason=_CREDENTIAL_REASON[work],
                )
            if found is not None and not found.deleted:  # a deleted one is made anew, with key and tags
                fields = metadata_differences(found, kms_key_id=spec.aws.kms_key_id, tags=spec.aws.tags)
                if fields:
                    yield UpdateSecretMetadata(
                        environment=name, database=database, role_kind=kind, secret=secret, fields=fields
                    )


_CREDENTIAL_REASON = {
    "create": "",
    "replace": "the password belongs to another branch",
    "repair": "an earlier run did not finish, or the password was set by hand",
    "readdress": "the compute's address changed",
    "restore": "the secret was scheduled for deletion",
}


def parameter_changes(
    name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired, observed: Observed
) -> Iterator[AnyChange]:
    """SSM parameters: where Neon is, and the names of tables that exist."""
    wanted: dict[str, str | None] = {
        f"/bank/{spec.stage}/neon/project-id": observed.project.id if observed.project else None,
        f"/bank/{spec.stage}/neon/branch-id": snapshot.branch.id if snapshot.branch else None,
        f"/bank/{spec.stage}/neon/direct-host": str(snapshot.addresses.direct) if snapshot.addresses else None,
        f"/bank/{spec.stage}/neon/pooled-host": str(snapshot.addresses.pooled) if snapshot.addresses else None,
    }
    wanted.update(table_parameters(spec, snapshot, desired))
    for parameter, value in wanted.items():
        old = snapshot.parameters.get(parameter)
        if value is None or old != value:
            yield PutParameter(environment=name, parameter=parameter, old=old, value=value)


def table_parameters(spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired) -> dict[str, str]:
    """Parameters of the databases. One that names a table waits until a migration has made the table."""
    found: dict[str, str] = {}
    for database, wanted in desired.platform.databases.items():
        inside = snapshot.cluster.databases.get(database) if snapshot.cluster else None
        for path, value in wanted.parameters.items() if wanted.state == "present" else ():
            schema, dot, _ = value.partition(".")
            names_table = bool(dot) and schema in wanted.schemas
            if not names_table or (inside is not None and value in inside.tables):
                found[f"/bank/{spec.stage}/{path}"] = value
    return found


def removals(name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired) -> Iterator[AnyChange]:
    """What goes with a branch or a database that is ``state: absent``."""
    gone = spec.state == "absent"
    own = [f"/bank/{spec.stage}/neon/{each}" for each in ("project-id", "branch-id", "direct-host", "pooled-host")]
    for parameter in own if gone else ():
        if parameter in snapshot.parameters:
            yield DeleteParameter(environment=name, parameter=parameter, parent=spec.branch.name)
    roles = (snapshot.cluster or ClusterSnapshot()).roles
    for database, wanted in desired.platform.databases.items():
        if not gone and wanted.state == "present":
            continue
        parent = spec.branch.name if gone else database
        for kind in wanted.roles:
            found = snapshot.secrets.get(secret_name(spec.stage, database, kind))
            if found is not None and not found.deleted:
                yield DeleteSecret(environment=name, secret=found.name, parent=parent)
            if not gone and role_name(database, kind) in roles:
                yield DropRole(environment=name, database=database, role=role_name(database, kind))
        for path in wanted.parameters:
            if f"/bank/{spec.stage}/{path}" in snapshot.parameters:
                yield DeleteParameter(environment=name, parameter=f"/bank/{spec.stage}/{path}", parent=parent)


def _unmanaged(desired: Desired, observed: Observed) -> Iterator[AnyChange]:
    """Branches and databases that exist and are not declared: said, and left alone."""
    declared = {spec.branch.name for spec in desired.environments.values()}
    for branch in observed.branches:
        if branch.name not in declared and not is_ours(branch):
            yield Report(subject=f"branch {branch.name}", reason="not in the configuration; left alone")
    for name, snapshot in sorted(observed.environments.items()):
        for database in sorted(snapshot.api_databases.keys() - desired.platform.databases.keys()):
            yield Report(environment=name, subject=database, reason="database is not in the configuration; left alone")
