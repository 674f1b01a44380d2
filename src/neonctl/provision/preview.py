"""The branch of a pull request: made, refreshed or made anew, and found again by the next run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from neonctl.desired.preview import preview_name
from neonctl.errors import NeonctlError, RetryableError, UnsafePlanError
from neonctl.neon.responses import Compute
from neonctl.plan.diff_project import compute_of
from neonctl.plan.ownership import PullRequest, preview_annotations
from neonctl.plan.preview import parent_of, require_childless, require_ours, require_parent
from neonctl.provision.observe import branch_named, find_project
from neonctl.provision.progress import Event, Progress

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.plan.observed import BranchSnapshot, ProjectSnapshot
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.services import Services

State = Literal["created", "refreshed", "recreated"]
_TRIES = 3  # a branch may expire, or be made by another run, between looking and acting


@dataclass(frozen=True)
class PreviewBranch:
    """The branch as it stands, and what was done for that."""

    project: ProjectSnapshot
    branch: BranchSnapshot
    parent: BranchSnapshot
    state: State


class PreviewSite:
    """Where previews are made: one project, seen by one run."""

    def __init__(self, desired: Desired, services: Services, *, progress: Progress, audit: AuditLog) -> None:
        self._desired = desired
        self._services = services
        self._progress = progress
        self._audit = audit

    def project(self) -> ProjectSnapshot:
        """The project. Raises ``NeonctlError`` NOT_PROVISIONED when there is none."""
        project = find_project(self._desired, self._services)
        if project is None:
            raise NeonctlError(
                "NOT_PROVISIONED",
                f"project {self._desired.platform.project.name} does not exist yet",
                hint="run `neonctl apply` first",
            )
        return project

    def ensure(self, pull_request: PullRequest, *, recreate: bool) -> PreviewBranch:
        """The branch of a pull request, with its expiry set anew; ``recreate``: without what was in it.

        Raises what ``plan.preview`` refuses with, and what Neon raises.
        """
        project = self.project()
        recreated = False
        for _ in range(_TRIES):
            branches = self._services.neon.list_branches(project.id)
            spec = self._desired.environments[preview_name(pull_request.number)]
            parent = parent_of(spec, self._desired, branches)
            there = branch_named(spec.branch.name, branches)
            if there is not None:
                require_ours(there, pull_request)
            if there is not None and recreate and not recreated:
                require_childless(there, branches)
                self.delete(project.id, there)
                recreated = True
                continue
            if there is not None:
                require_parent(there, parent, branches)
                branch, state = self._refreshed(project.id, there), "refreshed"
            else:
                branch, state = self._created(project.id, parent, branches, pull_request), "created"
            if branch is not None:
                return PreviewBranch(project, branch, parent, "recreated" if recreated else state)
        raise RetryableError(
            "PREVIEW_CHANGING",
            f"branch {preview_name(pull_request.number)} comes and goes while it is being looked at",
            hint="another run may be at work on it, or it expires just now: run again",
        )

    def _created(
        self, project_id: str, parent: BranchSnapshot, branches: Sequence[BranchSnapshot], pull_request: PullRequest
    ) -> BranchSnapshot | None:
        spec = self._desired.environments[preview_name(pull_request.number)]
        self._require_room(len(branches))
        size = compute_of(spec)
        init = spec.branch.init or "parent-data"
        name, until = spec.branch.name, self._until()
        self._tell(name, f"branch {name} from {parent.name}", "started")
        try:
            branch = self._services.neon.create_branch(
                project_id,
                name=name,
                source_id=parent.id,
                init_source=init,
                expires_at=until,
                annotations=preview_annotations(pull_request, build=init),
                compute=Compute(size.min_cu, size.max_cu, size.suspend_timeout_seconds),
            )
        except NeonctlError as error:
            if error.code == "NEON_CONFLICT":  # another run made it meanwhile, for another commit
                return None
            self._record("create", name, "failed", {})
            raise
        self._record("create", name, "done", {"source": parent.name, "until": until.isoformat()})
        # At once: it ends connections, and until then who could administer the source can administer this.
        self._services.neon.reset_password(project_id, branch.id, self._desired.platform.project.owner_role)
        self._tell(name, f"branch {name} from {parent.name}", "done")
        return branch

    def _refreshed(self, project_id: str, branch: BranchSnapshot) -> BranchSnapshot | None:
        until = self._until()
        try:
            refreshed = self._services.neon.update_branch(project_id, branch.id, expires_at=until)
        except NeonctlError as error:
            if error.code == "NEON_NOT_FOUND":  # it expired just now
                return None
            self._record("update", branch.name, "failed", {})
            raise
        self._record("update", branch.name, "done", {"until": until.isoformat()})
        self._tell(branch.name, f"branch {branch.name} kept until {until:%Y-%m-%d %H:%M} UTC", "done")
        return refreshed

    def delete(self, project_id: str, branch: BranchSnapshot) -> None:
        """Delete a branch that was judged; gone already is success. Raises what Neon raises."""
        self._tell(branch.name, f"deleting branch {branch.name}", "started")
        try:
            self._services.neon.delete_branch(project_id, branch.id)
        except NeonctlError:
            self._record("delete", branch.name, "failed", {})
            raise
        self._record("delete", branch.name, "done", {"branch_id": branch.id})
        self._tell(branch.name, f"deleting branch {branch.name}", "done")

    def _require_room(self, count: int) -> None:
        limit = self._desired.platform.neon.max_branches
        if limit is not None and count + 1 > limit:
            raise UnsafePlanError(
                "PLAN_LIMIT",
                f"there is no room for a preview: the project has {count} branches, the Neon plan allows {limit}",
                hint="`neonctl preview prune` deletes previews of closed pull requests; "
                "or raise neon.max_branches in platform.yaml after upgrading",
                details={"branches": count, "limit": limit},
            )

    def _until(self) -> datetime:
        assert self._desired.preview is not None
        assert self._desired.preview.preview is not None, "judged when the configuration was read"
        return datetime.now(UTC) + timedelta(seconds=self._desired.preview.preview.ttl_seconds)

    def _tell(self, name: str, text: str, state: Literal["started", "done"]) -> None:
        self._progress(Event(name, text, state))

    def _record(self, what: str, name: str, outcome: str, details: dict[str, str]) -> None:
        self._audit.record(f"branch.{what}", f"{name}/{name}", name, outcome, details)
