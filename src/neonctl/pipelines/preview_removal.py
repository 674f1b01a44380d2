"""The end of previews: one that is closed, and all that nobody needs any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from neonctl.desired.preview import preview_name, preview_number, with_preview
from neonctl.errors import NeonctlError
from neonctl.plan.ownership import PullRequest, previewed
from neonctl.plan.preview import kept_because, leftovers, prunable, require_childless, require_ours
from neonctl.provision.observe import branch_named, find_project
from neonctl.provision.parallel import for_each
from neonctl.provision.preview import PreviewSite
from neonctl.provision.preview_traces import Traces, all_traces, remove_traces, traces_of

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.plan.observed import BranchSnapshot
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services

_AT_ONCE = 4  # Neon takes one change of a project at a time; what is beside it is AWS


@dataclass(frozen=True)
class Removal:
    """What was deleted of one preview. ``branch_id`` None: there was no branch any more."""

    environment: str
    branch_id: str | None
    traces: Traces


def delete_preview(
    pull_request: PullRequest, desired: Desired, services: Services, *, progress: Progress, audit: AuditLog
) -> Removal:
    """Branch, secrets and parameters of a preview, whatever is there of them. ``desired`` has the preview in it.

    Raises ``UnsafePlanError`` PREVIEW_FOREIGN for a branch of that name that is not this pull request's,
    PREVIEW_HAS_CHILDREN when others come from it; then nothing was deleted.
    """
    name = preview_name(pull_request.number)
    project = find_project(desired, services)
    branches = services.neon.list_branches(project.id) if project else ()
    branch = branch_named(name, branches)
    if project is not None and branch is not None:
        require_ours(branch, pull_request)
        require_childless(branch, branches)
        PreviewSite(desired, services, progress=progress, audit=audit).delete(project.id, branch)
    traces = traces_of(desired, services, name)
    remove_traces(desired, services, name, traces, audit)
    return Removal(name, branch.id if branch else None, traces)


@dataclass(frozen=True)
class Standing:
    """One preview as it stands. ``branch`` None: it expired, and its secrets or parameters are still there."""

    environment: str
    branch: BranchSnapshot | None
    pull_request: PullRequest
    traces: Traces


def standing_previews(desired: Desired, services: Services) -> tuple[Standing, ...]:
    """Every preview, and what is left of those whose branch is gone."""
    traces, branches = _look(desired, services)
    ours = {branch.name: (branch, each) for branch in branches if (each := previewed(branch)) is not None}
    taken = {branch.name for branch in branches}
    gone = [name for name in traces if name not in taken]
    found = [
        Standing(
            name,
            ours[name][0] if name in ours else None,
            ours[name][1] if name in ours else PullRequest(_number(name)),
            traces.get(name, Traces()),
        )
        for name in (*ours, *gone)
    ]
    return tuple(sorted(found, key=lambda each: each.pull_request.number))


Kind = Literal["preview", "expired", "throw-away"]


@dataclass(frozen=True)
class Prunable:
    """One thing that nobody needs any more. ``kept``: why it must not be deleted all the same."""

    name: str
    kind: Kind
    branch: BranchSnapshot | None
    traces: Traces
    kept: str | None = None


@dataclass(frozen=True)
class Pruned:
    """What became of it. ``error``: why it is still there."""

    item: Prunable
    error: NeonctlError | None = None


def find_prunable(
    desired: Desired,
    services: Services,
    *,
    repository: str | None,
    still_open: frozenset[int] | None,
    older_than: timedelta | None,
    now: datetime,
) -> tuple[Prunable, ...]:
    """What ``prune`` would delete, and what it would if it might."""
    traces, branches = _look(desired, services)
    taken = {branch.name for branch in branches}
    closed = prunable(branches, repository=repository, still_open=still_open, older_than=older_than, now=now)
    found = [
        Prunable(each.name, "preview", each, traces.get(each.name, Traces()), kept_because(each, branches))
        for each in closed
    ]
    found += [Prunable(name, "expired", None, left) for name, left in traces.items() if name not in taken]
    found += [
        Prunable(each.name, "throw-away", each, Traces(), kept_because(each, branches))
        for each in leftovers(branches, now)
    ]
    return tuple(sorted(found, key=lambda each: (each.kind, preview_number(each.name) or 0, each.name)))


def prune(
    items: Sequence[Prunable], desired: Desired, services: Services, *, progress: Progress, audit: AuditLog
) -> tuple[Pruned, ...]:
    """Delete what was found; one that fails does not keep the others. Interruption ends it between two."""

    def one(item: Prunable) -> Pruned:
        try:
            _prune(item, desired, services, progress, audit)
        except NeonctlError as error:
            return Pruned(item, error)
        return Pruned(item)

    return tuple(for_each(one, [item for item in items if item.kept is None], width=_AT_ONCE))


def _prune(item: Prunable, desired: Desired, services: Services, progress: Progress, audit: AuditLog) -> None:
    number = preview_number(item.name)
    if item.kind == "throw-away" or number is None:
        project = find_project(desired, services)
        if project is not None and item.branch is not None:
            PreviewSite(desired, services, progress=progress, audit=audit).delete(project.id, item.branch)
        return
    whole = with_preview(desired, number)
    if item.branch is not None:  # looked at again: it may be another one by now
        made_for = previewed(item.branch) or PullRequest(number)
        delete_preview(made_for, whole, services, progress=progress, audit=audit)
        return
    project = find_project(desired, services)
    branches = services.neon.list_branches(project.id) if project else ()
    if branch_named(item.name, branches) is None:  # else a run has made it anew meanwhile
        remove_traces(whole, services, item.name, traces_of(whole, services, item.name), audit)


def _look(desired: Desired, services: Services) -> tuple[Mapping[str, Traces], Sequence[BranchSnapshot]]:
    """What is at AWS first, then the branches: what a run makes meanwhile has its branch before its secrets."""
    traces = all_traces(desired, services)
    project = find_project(desired, services)
    return traces, services.neon.list_branches(project.id) if project else ()


def _number(name: str) -> int:
    number = preview_number(name)
    assert number is not None, "stages are read by that form"
    return number
