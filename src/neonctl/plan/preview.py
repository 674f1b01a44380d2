"""Previews: which branch may be copied, which one is ours to change or delete, and whose passwords came along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from neonctl.desired.model import Desired, EnvironmentSpec
from neonctl.errors import NeonctlError, UnsafePlanError, UsageError
from neonctl.plan.changes import ReplaceInheritedPasswords
from neonctl.plan.diff_database import managed_roles
from neonctl.plan.grants import RESERVED_ROLES
from neonctl.plan.observed import BranchSnapshot, EnvironmentSnapshot
from neonctl.plan.ownership import PullRequest, is_left_over, previewed
from neonctl.plan.refusals import data_ancestor

_SUPERUSER = "neon_superuser"


def parent_of(spec: EnvironmentSpec, desired: Desired, branches: Sequence[BranchSnapshot]) -> BranchSnapshot:
    """The branch that a preview is copied from. No other one ever takes its place.

    Raises ``NeonctlError`` NOT_PROVISIONED when it is not there, ``UnsafePlanError`` PREVIEW_PARENT when Neon or this
    program lets nothing grow from it, DATA_FLOWS_DOWN when it holds production data.
    """
    source = str(spec.branch.source)
    name = desired.environments[source].branch.name
    parent = next((branch for branch in branches if branch.name == name), None)
    if parent is None:
        raise NeonctlError(
            "NOT_PROVISIONED",
            f"branch {name}, which previews are copied from, does not exist",
            hint=f"run `neonctl apply` first; no other branch is taken in place of {name}",
        )
    wrong = [
        text
        for text, so in (
            ("is the project's default branch", parent.default),
            ("is protected", parent.protected),
            ("expires", parent.expires_at is not None),
        )
        if so
    ]
    if wrong:
        raise UnsafePlanError(
            "PREVIEW_PARENT",
            f"branch {name} {' and '.join(wrong)}: no preview is copied from it",
            hint=f"make {name} what the configuration says, by `neonctl apply`",
            details={"branch": name, "branch_id": parent.id},
        )
    production = {each.branch.name for each in desired.environments.values() if each.production_data}
    child = replace(parent, id="", parent_id=parent.id, init_source=spec.branch.init)
    ancestor = data_ancestor(child, {branch.id: branch for branch in branches}, production)
    if ancestor:
        raise UnsafePlanError(
            "DATA_FLOWS_DOWN",
            f"branch {name} holds data of {ancestor}: a preview would get it",
            hint=f"delete branch {name} (state: absent, --allow-delete {name}), then apply again",
        )
    return parent


def require_ours(branch: BranchSnapshot, pull_request: PullRequest) -> None:
    """Refuse a branch that was not made for this pull request: it is neither changed nor deleted.

    Raises ``UnsafePlanError`` PREVIEW_FOREIGN.
    """
    made_for = previewed(branch)
    if made_for is None:
        raise _foreign(branch, "neonctl did not make it for a pull request", "rename it or delete it yourself")
    if not same_repository(made_for.repository, pull_request.repository):
        raise _foreign(
            branch,
            f"it belongs to pull request {made_for.number} of {made_for.repository}",
            "give each repository its own project",
        )
    if branch.default or branch.protected:
        raise _foreign(branch, f"somebody made it {'default' if branch.default else 'protected'}", "look at it first")


def _foreign(branch: BranchSnapshot, why: str, hint: str) -> UnsafePlanError:
    return UnsafePlanError(
        "PREVIEW_FOREIGN",
        f"branch {branch.name} ({branch.id}) is not ours to touch: {why}",
        hint=hint,
        details={"branch": branch.name, "branch_id": branch.id},
    )


def require_childless(branch: BranchSnapshot, branches: Sequence[BranchSnapshot]) -> None:
    """Refuse to delete what others were made from. Raises ``UnsafePlanError`` PREVIEW_HAS_CHILDREN."""
    children = children_of(branch, branches)
    if children:
        raise UnsafePlanError(
            "PREVIEW_HAS_CHILDREN",
            f"branch {branch.name} cannot be deleted while others come from it: {', '.join(children)}",
            hint="delete those first",
            details={"branch": branch.name, "branch_id": branch.id, "children": children},
        )


def require_parent(branch: BranchSnapshot, parent: BranchSnapshot, branches: Sequence[BranchSnapshot]) -> None:
    """Refuse a preview that was made from another branch. Raises ``UnsafePlanError`` PREVIEW_OTHER_PARENT."""
    if branch.parent_id == parent.id or branch.init_source == "schema-only":  # the latter has none (facts.md 3)
        return
    other = next((each.name for each in branches if each.id == branch.parent_id), branch.parent_id or "nothing")
    raise UnsafePlanError(
        "PREVIEW_OTHER_PARENT",
        f"branch {branch.name} was made from {other}, previews are now copied from {parent.name}",
        hint=f"--recreate deletes it and starts over from {parent.name}",
        details={"branch": branch.name, "branch_id": branch.id, "parent_id": branch.parent_id},
    )


def inherited_password_changes(
    name: str, spec: EnvironmentSpec, snapshot: EnvironmentSnapshot, desired: Desired
) -> Iterator[ReplaceInheritedPasswords]:
    """What comes first on a fresh copy. That it was done shows in the marks of the databases, which come after it."""
    branch, cluster = snapshot.branch, snapshot.cluster
    if spec.kind != "preview" or branch is None or cluster is None:
        return
    if any(inside.built_for == branch.id for inside in cluster.databases.values()):
        return
    owner = desired.platform.project.owner_role
    known = managed_roles(desired) | RESERVED_ROLES | {owner}
    others = sorted(role.name for role in cluster.roles.values() if role.login and role.name not in known)
    theirs = [role for role in others if _SUPERUSER in cluster.roles[role].member_of]
    if not snapshot.owner_renewed:
        theirs.insert(0, owner)
    if not theirs and not others:
        return
    yield ReplaceInheritedPasswords(
        environment=name,
        of_the_api=tuple(theirs),
        by_sql=tuple(role for role in others if role not in theirs),
        reason="they came along from the source",
    )


def prunable(
    branches: Sequence[BranchSnapshot],
    *,
    repository: str | None,
    still_open: frozenset[int] | None,
    older_than: timedelta | None,
    now: datetime,
) -> tuple[BranchSnapshot, ...]:
    """Previews whose pull request is not in ``still_open``, or that no run has refreshed for ``older_than``.

    With ``repository`` only its own; one that was made without saying whose it is, is nobody's. Raises
    ``UsageError`` when several share the project and none is named: whose numbers are these?
    """
    recorded = (each.repository for branch in branches if (each := previewed(branch)) is not None)
    named = {each.casefold() for each in recorded if each}
    if repository is None and still_open is not None and len(named) > 1:
        raise UsageError(
            "USAGE",
            f"previews of several repositories are in this project: {', '.join(sorted(named))}",
            hint="say whose pull requests these are: --repository OWNER/NAME",
        )
    return tuple(
        branch
        for branch in branches
        if (pull_request := previewed(branch)) is not None
        and (repository is None or (pull_request.repository or "").casefold() == repository.casefold())
        and (
            (still_open is not None and pull_request.number not in still_open)
            or (older_than is not None and (at := refreshed_at(branch)) is not None and now - at > older_than)
        )
    )


def same_repository(first: str | None, second: str | None) -> bool:
    """Whether two may be the same; one that is not known may be any. GitHub does not tell capitals apart."""
    return first is None or second is None or first.casefold() == second.casefold()


def refreshed_at(branch: BranchSnapshot) -> datetime | None:
    """When a run last set the expiry; without one, when the branch was made."""
    if branch.expires_at is not None and branch.ttl_seconds is not None:
        return branch.expires_at - timedelta(seconds=branch.ttl_seconds)
    return branch.created_at


def leftovers(branches: Sequence[BranchSnapshot], now: datetime) -> tuple[BranchSnapshot, ...]:
    """Throw-away branches of proofs and rehearsals whose time is over."""
    return tuple(each for each in branches if is_left_over(each, now))


def kept_because(branch: BranchSnapshot, branches: Sequence[BranchSnapshot]) -> str | None:
    """Why a branch of ours must not be deleted; None when it may."""
    if branch.default or branch.protected:
        return f"somebody made it {'default' if branch.default else 'protected'}"
    children = children_of(branch, branches)
    return f"others come from it: {', '.join(children)}" if children else None


def children_of(branch: BranchSnapshot, branches: Sequence[BranchSnapshot]) -> list[str]:
    """The names of the branches that were made from this one."""
    return sorted(each.name for each in branches if each.parent_id == branch.id)
