"""Databases of a branch. Those made by SQL are found in the catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neonctl.local.api import documents
from neonctl.local.api.clock import now
from neonctl.local.api.computes import writer_of
from neonctl.local.api.context import GONE, Api, Call, Change, Reply
from neonctl.local.api.failures import ApiError, not_found, unprocessable
from neonctl.local.api.names import check_database_name
from neonctl.local.api.rows import Branch, Database, Project
from neonctl.local.api.schedule import Step


async def _branch(api: Api, call: Call) -> tuple[Project, Branch]:
    project = api.project(call)
    branch = api.branch(project, call.path["branch_id"])
    await api.clusters.sync(branch)
    return project, branch


def _find(api: Api, branch: Branch, name: str) -> Database | None:
    row = api.store.databases.get(branch.id, name)
    return row if row is not None and row.deleted_at is None else None


def _existing(api: Api, branch: Branch, name: str) -> Database:
    row = _find(api, branch, name)
    if row is None:
        raise not_found("database")
    return row


async def list_databases(api: Api, call: Call) -> Reply:
    _, branch = await _branch(api, call)
    return Reply({"databases": [documents.database(row) for row in api.store.live_databases(branch.id)]})


async def show_database(api: Api, call: Call) -> Reply:
    _, branch = await _branch(api, call)
    return Reply({"database": documents.database(_existing(api, branch, call.path["database_name"]))})


def _check_owner(api: Api, branch: Branch, name: str) -> None:
    row = api.store.roles.get(branch.id, name)
    if row is None or row.deleted_at is not None:
        raise not_found("role")


def _reply(row: Database, change: Change | None, status: int = 200) -> Reply:
    operations = change.documents() if change else []
    return Reply({"database": documents.database(row), "operations": operations}, status)


async def create_database(api: Api, call: Call) -> Reply:
    project, branch = await _branch(api, call)
    wanted = call.body["database"]
    name, owner = wanted["name"], wanted["owner_name"]
    check_database_name(name)
    if _find(api, branch, name) is not None:
        raise ApiError(409, f'database already exists; database_name:"{name}"')
    _check_owner(api, branch, owner)
    writer_of(branch, api.store.live_endpoints(branch.id))
    api.unlocked(project)
    at = now()
    row = Database(branch.id, name, api.store.databases.next("id"), owner, at, at)
    with api.change(project.id) as change:
        api.store.databases.put(row)
        change.add(_step("create_database", branch, name))
    return _reply(row, change, 201)


def _step(kind: str, branch: Branch, name: str, **payload: Any) -> Step:
    return Step("apply_config", kind, branch.id, None, {"name": name, **payload})


async def update_database(api: Api, call: Call) -> Reply:
    """Rename or give to another owner."""
    project, branch = await _branch(api, call)
    row = _existing(api, branch, call.path["database_name"])
    wanted = call.body["database"]
    name, owner = wanted.get("name", row.name), wanted.get("owner_name", row.owner_name)
    if (name, owner) == (row.name, row.owner_name):
        return _reply(row, None)
    check_database_name(name)
    _check_owner(api, branch, owner)
    if name != row.name and _find(api, branch, name) is not None:
        raise ApiError(409, f'database already exists; database_name:"{name}"')
    writer_of(branch, api.store.live_endpoints(branch.id))
    api.unlocked(project)
    changed = replace(row, name=name, owner_name=owner, updated_at=now())
    with api.change(project.id) as change:
        api.store.databases.delete("branch_id = ? AND name = ?", (branch.id, row.name))
        api.store.databases.put(changed)
        change.add(_step("update_database", branch, name, old_name=row.name, old_owner=row.owner_name))
    return _reply(changed, change)


async def delete_database(api: Api, call: Call) -> Reply:
    """204 when there is none."""
    project, branch = await _branch(api, call)
    row = _find(api, branch, call.path["database_name"])
    if row is None:
        return GONE
    if not api.store.live_endpoints(branch.id):
        raise unprocessable(f"branch {branch.id} has no read-write endpoint; create one first")
    api.unlocked(project)
    with api.change(project.id) as change:
        api.store.databases.put(replace(row, deleted_at=now()))
        change.add(_step("delete_database", branch, row.name))
    return _reply(row, change)
