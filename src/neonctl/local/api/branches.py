"""Branches: list, count, create, show, change, delete, make default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neonctl.local.api import documents
from neonctl.local.api.branching import (
    check_expiry,
    check_new_protection,
    check_room,
    name_taken,
    new_branch,
    schedule_delete,
)
from neonctl.local.api.clock import now
from neonctl.local.api.computes import check_endpoint_types, new_endpoint, start_step
from neonctl.local.api.context import GONE, Api, Call, Change, Reply
from neonctl.local.api.failures import bad_request, unprocessable
from neonctl.local.api.ids import new_password
from neonctl.local.api.schedule import Step
from neonctl.local.api.uris import connection_details
from neonctl.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neonctl.local.api.documents import Document
    from neonctl.local.api.rows import Branch, Endpoint, Project


async def list_branches(api: Api, call: Call) -> Reply:
    """Sorted pages; ``pagination.next`` is there as long as more follow."""
    project = api.project(call)
    sort_by, order = call.query.get("sort_by", "updated_at"), call.query.get("sort_order", "desc")
    rows = _searched(api, project, call.query)
    rows.sort(key=lambda row: (getattr(row, sort_by), row.id), reverse=order == "desc")
    start = _start_of_page(call.query.get("cursor", ""))
    end = start + call.query.get("limit", 10_000)
    page = rows[start:end]
    pagination: Document = {"sort_by": sort_by, "sort_order": order}
    if end < len(rows):
        pagination["next"] = f"o{end}"
    return Reply(
        {
            "branches": [api.branch_document(row) for row in page],
            "annotations": {row.id: documents.annotation(row) for row in page if row.annotation},
            "pagination": pagination,
        }
    )


def _start_of_page(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.startswith("o") and cursor[1:].isdecimal() and len(cursor) < 12):
        raise bad_request("cursor is not one that this API gave")
    return int(cursor[1:])


def _searched(api: Api, project: Project, query: Mapping[str, Any]) -> list[Branch]:
    search = query.get("search", "").lower()
    rows = api.store.live_branches(project.id)
    return [row for row in rows if search in row.name.lower() or search in row.id]


async def count_branches(api: Api, call: Call) -> Reply:
    return Reply({"count": len(_searched(api, api.project(call), call.query))})


async def show_branch(api: Api, call: Call) -> Reply:
    row = api.branch(api.project(call), call.path["branch_id"])
    return Reply({"branch": api.branch_document(row), "annotation": documents.annotation(row)})


async def create_branch(api: Api, call: Call) -> Reply:
    """A child with the parent's data, roles and passwords, or a root branch with a schema (facts.md 3)."""
    project, wanted = api.project(call), call.body.get("branch", {})
    parent_id = wanted.get("parent_id")
    parent = api.branch(project, parent_id) if parent_id else api.default_branch(project)
    api.unlocked(project)
    branch = new_branch(api, project, parent, wanted, call.body.get("annotation_value", {}))
    endpoints = [new_endpoint(project, branch.id, item) for item in call.body.get("endpoints", [])]
    if branch.parent_id is None and sum(not row.read_only for row in endpoints) != 1:
        raise bad_request("a schema-only branch needs exactly one read-write endpoint")
    check_endpoint_types([], endpoints)
    await api.clusters.sync(parent)
    endpoints = [api.clusters.with_ports(row) for row in endpoints]
    api.unlocked(project)
    check_room(api, project, branch)
    with api.change(project.id) as change:
        _write_branch(api, change, branch, parent, endpoints)
    return Reply(
        {
            "branch": api.branch_document(branch),
            "endpoints": [api.endpoint_document(row, project) for row in endpoints],
            "operations": change.documents(),
            "roles": [documents.role(row) for row in api.store.live_roles(branch.id)],
            "databases": [documents.database(row) for row in api.store.live_databases(branch.id)],
            **await _single_uri(api, branch, endpoints),
        },
        201,
    )


def _write_branch(api: Api, change: Change, branch: Branch, parent: Branch, endpoints: list[Endpoint]) -> None:
    store = api.store
    store.branches.put(branch)
    store.copy_contents(parent.id, branch.id)
    if branch.fresh_passwords:
        for role in store.live_roles(branch.id):
            fresh = None if role.no_login else Secret(new_password())
            store.roles.put(replace(role, password=fresh, updated_at=branch.created_at))
    schema_only = branch.init_source == "schema-only"
    if schema_only:
        change.add(Step("create_timeline", "nothing", branch.id))
    action = "apply_schema_from_branch" if schema_only else "create_branch"
    change.add(Step(action, "create_branch", branch.id))
    for row in endpoints:
        store.endpoints.put(row)
        change.add(start_step(row))


async def _single_uri(api: Api, branch: Branch, endpoints: list[Endpoint]) -> Document:
    """A connection URI only when there is one endpoint, one role and one database to choose from."""
    roles = [row for row in api.store.live_roles(branch.id) if not row.no_login]
    databases = api.store.live_databases(branch.id)
    if len(endpoints) != 1 or len(roles) != 1 or len(databases) != 1 or roles[0].password is None:
        return {}
    details = connection_details(
        endpoints[0],
        role=roles[0].name,
        password=roles[0].password,
        database=databases[0].name,
        ca_file=api.ca_file,
    )
    return {"connection_uris": [details]}


async def update_branch(api: Api, call: Call) -> Reply:
    """Name, protection, expiry. None of these needs an operation."""
    project = api.project(call)
    row, wanted = api.branch(project, call.path["branch_id"]), call.body["branch"]
    changed = row
    if "name" in wanted:
        changed = _renamed(api, changed, wanted["name"])
    if wanted.get("protected", row.protected) != row.protected:
        changed = replace(changed, protected=wanted["protected"])
    if "expires_at" in wanted:
        expires_at = wanted["expires_at"]
        seconds = int((expires_at - now()).total_seconds()) if expires_at else None
        changed = replace(changed, expires_at=expires_at, ttl_seconds=seconds)
        if expires_at is not None:
            check_expiry(changed, has_children=bool(api.store.children(row.id)))
    if changed.protected and not row.protected:
        check_new_protection(api, project, changed)
    if changed != row:
        changed = replace(changed, updated_at=now())
        with api.change(project.id):
            api.store.branches.put(changed)
    return Reply({"branch": api.branch_document(changed), "operations": []})


def _renamed(api: Api, row: Branch, name: str) -> Branch:
    if name == row.name:
        raise bad_request("cannot set branch to the same name")
    if any(other.name == name for other in api.store.live_branches(row.project_id)):
        raise name_taken(name)
    return replace(row, name=name)


async def delete_branch(api: Api, call: Call) -> Reply:
    """204 when there is no such branch; refused for root, default, parent and protected branches."""
    project = api.project(call)
    row = api.store.branches.get(call.path["branch_id"])
    if row is None or row.deleted_at is not None or row.project_id != project.id:
        return GONE
    if row.is_default:
        raise unprocessable("cannot delete the default branch of a project")
    if row.protected:
        raise unprocessable("cannot delete a protected branch")
    if api.store.children(row.id):
        raise unprocessable("cannot delete a branch that has children")
    if row.parent_id is None and row.init_source != "schema-only":
        raise unprocessable("cannot delete the root branch of a project")
    api.unlocked(project)
    with api.change(project.id) as change:
        deleted = schedule_delete(api.store, change, row)
    return Reply({"branch": api.branch_document(deleted), "operations": change.documents()})


async def set_default(api: Api, call: Call) -> Reply:
    """Make the branch the project's default one."""
    project = api.project(call)
    row = api.branch(project, call.path["branch_id"])
    if row.expires_at is not None:
        raise unprocessable("a branch with an expiration cannot be the default branch")
    changed = replace(row, is_default=True, updated_at=row.updated_at if row.is_default else now())
    with api.change(project.id):
        for other in api.store.live_branches(project.id):
            if other.is_default and other.id != row.id:
                api.store.branches.put(replace(other, is_default=False, updated_at=now()))
        api.store.branches.put(changed)
    return Reply({"branch": api.branch_document(changed), "operations": []})
