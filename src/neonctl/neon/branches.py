"""Branches: list, create, change, delete."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from neonctl.errors import NeonctlError, ServiceError
from neonctl.neon import responses
from neonctl.neon.changes import Calls, Change
from neonctl.neon.failures import Doing
from neonctl.neon.responses import USABLE, Compute, items, reading, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from neonctl.neon.transport import Body
    from neonctl.plan.observed import BranchSnapshot

_PAGE = 1000


class Unchanged(Enum):
    """The type of ``UNCHANGED``: leave a field as it is, where None already means "remove"."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class BranchCalls(Calls):
    """The branch side of the client."""

    def list_branches(self, project_id: str) -> tuple[BranchSnapshot, ...]:
        """Every branch with its annotations, sorted by name. Raises ServiceError; never a partial list."""
        doing = Doing(f"branches of project `{project_id}`", "listed")
        found: dict[str, BranchSnapshot] = {}
        for page in self._branch_pages(project_id, doing):
            with reading(doing):
                annotations: Mapping[str, Body] = page["annotations"]
                for item in items(page, "branches"):
                    found[item["id"]] = responses.branch(item, annotations.get(item["id"]))
        return tuple(sorted(found.values(), key=lambda branch: branch.name))

    def get_branch(self, project_id: str, branch_id: str) -> BranchSnapshot:
        """One branch. Raises ServiceError (NEON_NOT_FOUND)."""
        doing = Doing(f"branch `{branch_id}`", "read")
        body = self._transport.get(f"/projects/{project_id}/branches/{branch_id}", doing)
        with reading(doing):
            return responses.branch(body["branch"], body.get("annotation"))

    def settle(self, project_id: str) -> bool:
        """Wait for work that somebody began and did not wait for: a killed run, or another one beside this.

        True: there was some, so what was read before is stale. Neon's list of operations lags behind (facts.md 6):
        the states of branches tell more. Raises ServiceError.
        """
        doing = Doing(f"project `{project_id}`", "read")
        if not self._operations.busy(project_id, doing):
            return False
        self._operations.settle(project_id, doing)
        return True

    def busy_branches(self, project_id: str) -> frozenset[str]:
        """The ids of branches on which something is under way, as far as Neon lists it. Raises ServiceError."""
        return self._operations.busy_branches(project_id, Doing(f"project `{project_id}`", "read"))

    def settle_branch(self, project_id: str, branch_id: str) -> None:
        """Wait for work on one branch, however busy the others are. Raises ServiceError."""
        doing = Doing(f"branch `{branch_id}`", "read")
        self._operations.settle(project_id, doing, branch_id=branch_id)

    def wait_for_branch(self, project_id: str, branch_id: str) -> BranchSnapshot:
        """Wait until a branch takes queries. Raises ServiceError."""
        return self._ready(project_id, branch_id, Doing(f"branch `{branch_id}`", "read"))

    def create_branch(
        self,
        project_id: str,
        *,
        name: str,
        source_id: str | None = None,
        init_source: str | None = None,
        protected: bool = False,
        expires_at: datetime | None = None,
        annotations: Mapping[str, str] | None = None,
        compute: Compute | None = None,
    ) -> BranchSnapshot:
        """Create a branch and wait until it is ready. ``source_id`` None: the default branch.

        ``compute`` None: no compute. A branch of that name which is there already is taken for ours when its
        source, kind and annotations are those asked for; otherwise NEON_CONFLICT. Raises ServiceError.
        """
        doing = Doing(f"branch `{name}`", "created")
        branch: dict[str, Any] = {"name": name}
        if source_id is not None:
            branch["parent_id"] = source_id
        if init_source is not None:
            branch["init_source"] = init_source
        if protected:
            branch["protected"] = True
        if expires_at is not None:
            branch["expires_at"] = rfc3339(expires_at)
        body: dict[str, Any] = {"branch": branch}
        if compute is not None:
            body["endpoints"] = [{"type": "read_write", **compute.as_json()}]
        if annotations:
            body["annotation_value"] = dict(annotations)

        def look() -> BranchSnapshot | None:
            there = next((b for b in self.list_branches(project_id) if b.name == name), None)
            if there is None:
                return None
            _refuse_other(there, doing, source_id, init_source, annotations or {})
            return self._ready(project_id, there.id, doing)

        def answer(body: Body | None) -> BranchSnapshot:
            return self._ready(project_id, (body or {})["branch"]["id"], doing)

        path = f"/projects/{project_id}/branches"
        return self._change(project_id, Change(doing, "POST", path, answer, look, body))

    def update_branch(
        self,
        project_id: str,
        branch_id: str,
        *,
        name: str | None = None,
        protected: bool | None = None,
        expires_at: datetime | Unchanged | None = UNCHANGED,
    ) -> BranchSnapshot:
        """Change what is given; ``expires_at=None`` takes the expiry away. Raises ServiceError."""
        doing = Doing(f"branch `{name or branch_id}`", "updated")
        change: dict[str, Any] = {}
        if name is not None:
            change["name"] = name
        if protected is not None:
            change["protected"] = protected
        if not isinstance(expires_at, Unchanged):
            change["expires_at"] = rfc3339(expires_at) if expires_at else None

        def look() -> BranchSnapshot | None:
            now = self.get_branch(project_id, branch_id)
            there = {
                "name": now.name,
                "protected": now.protected,
                "expires_at": rfc3339(now.expires_at) if now.expires_at else None,
            }
            return now if all(there[field] == wanted for field, wanted in change.items()) else None

        return self._change(
            project_id,
            Change(
                doing,
                "PATCH",
                f"/projects/{project_id}/branches/{branch_id}",
                lambda _: self.get_branch(project_id, branch_id),
                look,
                {"branch": change},
                # Renaming to the name it has is refused with 400 (facts.md 3).
                look_after=frozenset({"NEON_CONFLICT", "NEON_REFUSED"}),
            ),
        )

    def set_default_branch(self, project_id: str, branch_id: str) -> BranchSnapshot:
        """Make a branch the default one. Raises ServiceError."""

        def look() -> BranchSnapshot | None:
            now = self.get_branch(project_id, branch_id)
            return now if now.default else None

        return self._change(
            project_id,
            Change(
                Doing(f"branch `{branch_id}`", "made the default"),
                "POST",
                f"/projects/{project_id}/branches/{branch_id}/set_as_default",
                lambda _: self.get_branch(project_id, branch_id),
                look,
            ),
        )

    def delete_branch(self, project_id: str, branch_id: str) -> bool:
        """Delete a branch with its computes. False: it was gone already. Raises ServiceError."""
        return self._delete(
            project_id,
            Doing(f"branch `{branch_id}`", "deleted"),
            f"/projects/{project_id}/branches/{branch_id}",
            lambda: all(branch.id != branch_id for branch in self.list_branches(project_id)),
        )

    def _branch_pages(self, project_id: str, doing: Doing) -> Iterator[Body]:
        # By creation: the usual order, by last update, moves while pages are read.
        params: dict[str, str | int | bool] = {"limit": _PAGE, "sort_by": "created_at", "sort_order": "asc"}
        seen: set[str] = set()
        while True:
            page = self._transport.get(f"/projects/{project_id}/branches", doing, params)
            yield page
            with reading(doing):
                cursor = responses.cursor(page, "next")
            if not cursor or cursor in seen:
                return
            seen.add(cursor)
            params["cursor"] = cursor

    def _ready(self, project_id: str, branch_id: str, doing: Doing) -> BranchSnapshot:
        """Wait until the branch takes queries; archived ones do so too, slowly."""
        pauses = self._operations.pauses(doing, "the branch to be ready")
        while True:
            branch = self.get_branch(project_id, branch_id)
            if branch.state in USABLE:
                return branch
            next(pauses)


def _refuse_other(
    there: BranchSnapshot,
    doing: Doing,
    source_id: str | None,
    init_source: str | None,
    annotations: Mapping[str, str],
) -> None:
    """A branch of the same name that somebody else made, or made otherwise, is never taken over."""
    root = init_source == "schema-only"  # such a branch has no parent (facts.md 3)
    differs = [
        what
        for what, same in (
            ("source", source_id is None or there.parent_id == (None if root else source_id)),
            ("kind", init_source is None or there.init_source in (None, init_source)),
            ("annotations", all(there.annotations.get(key) == value for key, value in annotations.items())),
        )
        if not same
    ]
    if differs:
        raise _other(there, doing, differs)


def _other(there: BranchSnapshot, doing: Doing, differs: list[str]) -> NeonctlError:
    return ServiceError(
        "NEON_CONFLICT",
        f"{doing}: a branch of that name exists ({there.id}) with other {' and '.join(differs)}",
        hint="rename or delete that branch, or choose another name in the YAML",
        details={"branch_id": there.id, "differs": differs},
    )
