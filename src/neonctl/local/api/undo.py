"""What a failed operation takes back: the rows say again what is really there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from neonctl.local.api.clusters import Clusters
    from neonctl.local.api.rows import Operation
    from neonctl.local.api.store import Store


async def take_back(store: Store, clusters: Clusters, batch: list[Operation]) -> None:
    """Undo one request's operations that were not done, the last one first."""
    for operation in reversed(batch):
        if operation.kind == "create_branch" and operation.branch_id is not None:
            for endpoint in store.endpoints.select("branch_id = ?", (operation.branch_id,)):
                await clusters.unexpose(endpoint.id)
            await clusters.engine.delete_branch(operation.branch_id)
        with store.transaction():
            _creation(store, operation)
            _change(store, operation)
            _deletion(store, operation)


def _creation(store: Store, operation: Operation) -> None:
    branch_id, name = operation.branch_id or "", cast("str", operation.payload.get("name", ""))
    match operation.kind:
        case "create_branch":
            store.forget_branch(branch_id)
            if operation.payload.get("root_of_project"):
                store.projects.delete("id = ?", (operation.project_id,))
        case "create_role":
            store.roles.delete("branch_id = ? AND name = ?", (branch_id, name))
        case "create_database":
            store.databases.delete("branch_id = ? AND name = ?", (branch_id, name))
        case _:
            pass


def _change(store: Store, operation: Operation) -> None:
    branch_id, payload = operation.branch_id or "", operation.payload
    name = cast("str", payload.get("name", ""))
    match operation.kind:
        case "reset_password":
            if (role := store.roles.get(branch_id, name)) is not None:
                store.roles.put(replace(role, password=role.previous, previous=None))
        case "update_database":
            if (row := store.databases.get(branch_id, name)) is not None:
                store.databases.delete("branch_id = ? AND name = ?", (branch_id, name))
                store.databases.put(replace(row, name=payload["old_name"], owner_name=payload["old_owner"]))
        case "reset_branch":
            if (branch := store.branches.get(branch_id)) is not None:
                store.branches.put(replace(branch, state="ready"))
        case "reconfigure":
            _settings(store, operation.project_id, operation.endpoint_id, payload)
        case _:
            pass


def _settings(store: Store, project_id: str, endpoint_id: str | None, payload: dict[str, Any]) -> None:
    endpoint, project = store.endpoints.get(endpoint_id), store.projects.get(project_id)
    if endpoint is not None and "endpoint_before" in payload:
        store.endpoints.put(replace(endpoint, **payload["endpoint_before"]))
    if project is not None and "settings_before" in payload:
        store.projects.put(replace(project, settings=payload["settings_before"]))


def _deletion(store: Store, operation: Operation) -> None:
    branch_id, name = operation.branch_id, operation.payload.get("name")
    match operation.kind:
        case "delete_branch":
            if (branch := store.branches.get(branch_id)) is not None:
                store.branches.put(replace(branch, deleted_at=None))
            for endpoint in store.endpoints.select("branch_id = ?", (branch_id,)):
                store.endpoints.put(replace(endpoint, deleted_at=None))
            project = store.projects.get(operation.project_id)
            if project is not None and project.deleted_at is not None:
                store.projects.put(replace(project, deleted_at=None))
        case "delete_endpoint":
            if (row := store.endpoints.get(operation.endpoint_id)) is not None:
                store.endpoints.put(replace(row, deleted_at=None))
        case "delete_role":
            if (role := store.roles.get(branch_id, name)) is not None:
                store.roles.put(replace(role, deleted_at=None))
        case "delete_database":
            if (database := store.databases.get(branch_id, name)) is not None:
                store.databases.put(replace(database, deleted_at=None))
        case _:
            pass
