"""What every handler works with: the store, the clusters, the worker, and the questions they all ask."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neonctl.local.api import documents
from neonctl.local.api.failures import locked, not_found
from neonctl.local.api.rows import Branch, Endpoint, Operation, Project
from neonctl.local.api.schedule import Step, write_down

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from neonctl.local.api.clusters import Clusters
    from neonctl.local.api.documents import Document
    from neonctl.local.api.limits import LimitsFile
    from neonctl.local.api.store import Store
    from neonctl.local.api.worker import Worker


@dataclass(frozen=True)
class Call:
    """One request after validation. ``body`` is empty when none was sent; ``partial`` is a fault's wish."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]
    partial: bool = False


@dataclass(frozen=True)
class Reply:
    """Status and JSON body; no body for 204."""

    body: Document | list[Document] | None = None
    status: int = 200


GONE = Reply(None, 204)


@dataclass
class Change:
    """A change being written: the steps to schedule, and afterwards the operations they became."""

    steps: list[Step] = field(default_factory=list[Step])
    operations: list[Operation] = field(default_factory=list[Operation])

    def add(self, *steps: Step) -> None:
        self.steps.extend(steps)

    def documents(self) -> list[Document]:
        return [documents.operation(item) for item in self.operations]


@dataclass(frozen=True)
class Api:
    """The parts behind the handlers."""

    store: Store
    clusters: Clusters
    worker: Worker
    limits: LimitsFile
    ca_file: Path

    def project(self, call: Call) -> Project:
        """The project of the path. 404 when it is unknown or deleted."""
        row = self.store.projects.get(call.path["project_id"])
        if row is None or row.deleted_at is not None:
            raise not_found("project")
        return row

    def branch(self, project: Project, branch_id: str) -> Branch:
        """A living branch of the project. 404 otherwise."""
        row = self.store.branches.get(branch_id)
        if row is None or row.deleted_at is not None or row.project_id != project.id:
            raise not_found("branch")
        return row

    def default_branch(self, project: Project) -> Branch:
        return next(row for row in self.store.live_branches(project.id) if row.is_default)

    def endpoint(self, project: Project, endpoint_id: str) -> Endpoint:
        """A living endpoint of the project. 404 otherwise."""
        row = self.store.endpoints.get(endpoint_id)
        if row is None or row.deleted_at is not None or row.project_id != project.id:
            raise not_found("endpoint")
        return row

    def unlocked(self, project: Project) -> None:
        """Raise 423 while the project has unfinished operations."""
        if self.store.unfinished(project.id):
            raise locked()

    @contextmanager
    def change(self, project_id: str) -> Generator[Change]:
        """One transaction: what the body writes, and the operations it adds; then the worker is woken."""
        change = Change()
        with self.store.transaction():
            yield change
            change.operations = write_down(self.store, project_id, change.steps)
        if change.operations:
            self.worker.wake(project_id)

    def endpoint_document(self, row: Endpoint, project: Project) -> Document:
        """The endpoint with its state as it is now."""
        waiting = [item for item in self.store.unfinished(project.id) if item.endpoint_id == row.id]
        pending = {"start_compute": "active", "suspend_compute": "idle"}.get(waiting[-1].action) if waiting else None
        active = row.provisioned and self.clusters.engine.compute_active(row.id)
        return documents.endpoint(row, region_id=project.region_id, active=active, pending=pending)

    def branch_document(self, row: Branch) -> Document:
        """The branch with what may not be done to it."""
        restricted: list[Document] = []
        if row.protected:
            for name in ("restore", "delete-rw-endpoint"):
                restricted.append({"name": name, "reason": "branch is protected"})
        return documents.branch(row, restricted=restricted)
