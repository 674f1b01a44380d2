"""What a plan refuses outright, whatever flags: immutable settings, production data flowing down, Neon's limits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from neonctl.desired.model import Desired, EnvironmentSpec
from neonctl.errors import UnsafePlanError
from neonctl.plan.observed import BranchSnapshot, EnvironmentSnapshot, Observed
from neonctl.plan.ownership import is_ours, is_throwaway


class Refusal(NamedTuple):
    """One reason why nothing will be done."""

    code: str
    message: str
    hint: str


def refuse(refusals: Iterable[Refusal]) -> None:
    """Raise all refusals as one error, or return when there are none."""
    found = sorted(set(refusals))
    if not found:
        return
    first = found[0]
    raise UnsafePlanError(
        first.code,
        "; ".join(each.message for each in found),
        hint="; ".join(dict.fromkeys(each.hint for each in found)),
        details={"refusals": [{"code": each.code, "message": each.message, "hint": each.hint} for each in found]},
    )


def project_refusals(desired: Desired, observed: Observed, *, adopt: bool) -> list[Refusal]:
    """Region and version cannot change; a project that somebody else made is not taken over silently."""
    project, wanted = observed.project, desired.platform.project
    if project is None:
        return []
    found: list[Refusal] = []
    if project.region != wanted.region:
        found.append(
            Refusal(
                "IMMUTABLE_REGION",
                f"project {project.name} ({project.id}) is in {project.region}, the YAML says {wanted.region}: "
                "the region of a project cannot change",
                "make a new project under another name and move the data, or correct project.region",
            )
        )
    if project.postgres_version != wanted.postgres_version:
        found.append(
            Refusal(
                "IMMUTABLE_POSTGRES_VERSION",
                f"project {project.name} ({project.id}) runs Postgres {project.postgres_version}, the YAML says "
                f"{wanted.postgres_version}: the version of a project cannot change",
                "make a new project under another name and move the data, or correct project.postgres_version",
            )
        )
    if project.logical_replication and wanted.logical_replication is False:
        found.append(
            Refusal(
                "IMMUTABLE_LOGICAL_REPLICATION",
                f"project {project.name} has logical replication, which Neon cannot switch off again",
                "set project.logical_replication to true, or leave it out",
            )
        )
    if not adopt and not _ours(desired, observed):
        found.append(
            Refusal(
                "FOREIGN_PROJECT",
                f"a project named {project.name} ({project.id}) exists that neonctl did not make",
                "give project.name another value, or run again with --adopt to take this project over",
            )
        )
    return found


def _ours(desired: Desired, observed: Observed) -> bool:
    project = observed.project
    assert project is not None
    if any(branch.default and is_ours(branch) for branch in observed.branches):
        return True
    # An adopted project says so through its parameter: annotations cannot be added later.
    return any(
        observed.environments[name].parameters.get(f"/bank/{spec.stage}/neon/project-id") == project.id
        for name, spec in desired.environments.items()
        if name in observed.environments
    )


def data_refusals(desired: Desired, observed: Observed) -> list[Refusal]:
    """Production data never flows down: neither into a branch to be made, nor standing in one that is there."""
    by_id = {branch.id: branch for branch in observed.branches}
    production = {spec.branch.name for spec in desired.environments.values() if spec.production_data}
    found: list[Refusal] = []
    for name, spec in desired.environments.items():
        if spec.production_data or spec.state == "absent":
            continue
        snapshot = observed.environments.get(name)
        branch = snapshot.branch if snapshot else None
        ancestor = data_ancestor(branch, by_id, production) if branch else None
        if branch and ancestor:
            found.append(
                Refusal(
                    "DATA_FLOWS_DOWN",
                    f"branch {branch.name} ({branch.id}) of environment {name} was made from {ancestor} with its "
                    "data: production data must not be in a lower environment",
                    f"delete branch {branch.name} (state: absent, --allow-delete {branch.name}), then apply again",
                )
            )
        elif branch and (source := _restored_from(snapshot, by_id, production)):
            found.append(
                Refusal(
                    "DATA_FLOWS_DOWN",
                    f"branch {branch.name} ({branch.id}) of environment {name} was restored from {source}: its "
                    "databases carry that branch's mark and history, so they hold its data",
                    f"restore branch {branch.name} from its own past, or delete it (state: absent, "
                    f"--allow-delete {branch.name}) and apply again",
                )
            )
        if _would_copy(spec, desired):
            found.append(
                Refusal(
                    "DATA_FLOWS_DOWN",
                    f"environment {name} would be made from {spec.branch.source} with its data",
                    "set branch.init to schema-only",
                )
            )
    return found


def migration_refusals(desired: Desired, observed: Observed, chosen: Iterable[str]) -> list[Refusal]:
    """A migration file that was edited after it was applied somewhere: what runs there is not what the file says."""
    found: list[Refusal] = []
    for name in chosen:
        cluster = observed.environments[name].cluster if name in observed.environments else None
        for database, inside in sorted(cluster.databases.items()) if cluster else ():
            on_disk = {ref.version: ref for ref in desired.migrations.get(database, ())}
            found.extend(
                Refusal(
                    "MIGRATION_EDITED",
                    f"{on_disk[applied.version].script} of {database} was edited after it was applied to {name}",
                    "revert the file and write the change as a new migration",
                )
                for applied in inside.history or ()
                if applied.version in on_disk
                and applied.checksum is not None
                and applied.checksum != on_disk[applied.version].checksum
            )
    return found


def _would_copy(spec: EnvironmentSpec, desired: Desired) -> bool:
    source = desired.environments.get(spec.branch.source or "")
    return source is not None and source.production_data and spec.branch.init != "schema-only"


def _restored_from(
    snapshot: EnvironmentSnapshot | None, by_id: dict[str, BranchSnapshot], production: set[str]
) -> str | None:
    """The production branch that this environment's databases were taken from as they were, if any.

    A restore from another branch changes neither parent nor ``init_source``. It brings the source's COMMENT ON
    DATABASE, which names the source; a schema-only copy may bring that too, but no rows of the migration history.
    """
    cluster = snapshot.cluster if snapshot else None
    for inside in cluster.databases.values() if cluster else ():
        source = by_id.get(inside.built_for or "")
        if source and inside.history and (source.name in production or source.default):
            return source.name
    return None


def data_ancestor(branch: BranchSnapshot, by_id: dict[str, BranchSnapshot], production: set[str]) -> str | None:
    """The production branch whose rows this branch holds through its chain of parents, if any."""
    seen: set[str] = set()
    current = branch
    while current.parent_id and current.parent_id not in seen:
        if current.init_source in {"schema-only", "parent-schema"}:
            return None
        seen.add(current.parent_id)
        parent = by_id.get(current.parent_id)
        if parent is None:
            return None
        if parent.name in production or parent.default:
            return parent.name
        current = parent
    return None


def limit_refusals(
    desired: Desired, observed: Observed, *, new_branches: int, new_roots: int, protected: int
) -> list[Refusal]:
    """Neon's plan limits, judged before anything is made. ``protected``: how many there would be afterwards.

    Throw-away branches do not count: they are gone in a moment, and must not change what a plan says.
    """
    limits = desired.platform.neon
    lasting = [branch for branch in observed.branches if not is_throwaway(branch)]
    roots = sum(1 for branch in lasting if branch.parent_id is None)
    checks = (
        ("branches", limits.max_branches, len(lasting) + new_branches, new_branches),
        ("root branches", limits.max_root_branches, roots + new_roots, new_roots),
        ("protected branches", limits.max_protected_branches, protected, protected),
    )
    return [
        Refusal(
            "PLAN_LIMIT",
            f"the project would have {count} {what}, the Neon plan allows {limit}",
            "delete branches that are no longer needed, or raise the limit in platform.yaml after upgrading",
        )
        for what, limit, count, added in checks
        if limit is not None and added > 0 and count > limit
    ]
