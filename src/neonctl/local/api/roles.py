"""Roles of a branch. Roles of the API join neon_superuser; those made by SQL are found in the catalogue."""

from __future__ import annotations

from dataclasses import replace

from neonctl.local.api import documents
from neonctl.local.api.clock import now
from neonctl.local.api.computes import writer_of
from neonctl.local.api.context import GONE, Api, Call, Reply
from neonctl.local.api.failures import ApiError, not_found, unprocessable
from neonctl.local.api.ids import new_password
from neonctl.local.api.names import check_role_name
from neonctl.local.api.rows import Branch, Project, Role
from neonctl.local.api.schedule import Step
from neonctl.secret import Secret


async def _branch(api: Api, call: Call) -> tuple[Project, Branch]:
    project = api.project(call)
    branch = api.branch(project, call.path["branch_id"])
    await api.clusters.sync(branch)
    return project, branch


def _find(api: Api, branch: Branch, name: str) -> Role | None:
    row = api.store.roles.get(branch.id, name)
    return row if row is not None and row.deleted_at is None else None


def _existing(api: Api, branch: Branch, name: str) -> Role:
    row = _find(api, branch, name)
    if row is None:
        raise not_found("role")
    return row


async def list_roles(api: Api, call: Call) -> Reply:
    _, branch = await _branch(api, call)
    return Reply({"roles": [documents.role(row) for row in api.store.live_roles(branch.id)]})


async def show_role(api: Api, call: Call) -> Reply:
    _, branch = await _branch(api, call)
    return Reply({"role": documents.role(_existing(api, branch, call.path["role_name"]))})


async def create_role(api: Api, call: Call) -> Reply:
    """The password is generated and shown in this answer. Sessions on the active compute are dropped."""
    project, branch = await _branch(api, call)
    wanted = call.body["role"]
    name, no_login = wanted["name"], wanted.get("no_login", False)
    check_role_name(name)
    if _find(api, branch, name) is not None:
        raise ApiError(409, f'role already exists; role_name:"{name}"')
    writer_of(branch, api.store.live_endpoints(branch.id))
    if len(api.store.live_roles(branch.id)) >= api.limits.current.roles:
        raise unprocessable("roles limit exceeded", "ROLES_LIMIT_EXCEEDED")
    api.unlocked(project)
    at = now()
    password = None if no_login else Secret(new_password())
    row = Role(branch.id, name, "api", no_login, password, None, at, at)
    with api.change(project.id) as change:
        api.store.roles.put(row)
        change.add(_step("create_role", branch, name))
    shown = documents.role(row, with_password=True)
    return Reply({"role": shown, "operations": change.documents()}, 201)


def _step(kind: str, branch: Branch, name: str) -> Step:
    return Step("apply_config", kind, branch.id, None, {"name": name})


async def delete_role(api: Api, call: Call) -> Reply:
    """204 when there is none; refused while it owns a database."""
    project, branch = await _branch(api, call)
    row = _find(api, branch, call.path["role_name"])
    if row is None:
        return GONE
    if any(database.owner_name == row.name for database in api.store.live_databases(branch.id)):
        raise unprocessable(f'role "{row.name}" owns a database and cannot be deleted')
    writer_of(branch, api.store.live_endpoints(branch.id))
    api.unlocked(project)
    with api.change(project.id) as change:
        api.store.roles.put(replace(row, deleted_at=now()))
        change.add(_step("delete_role", branch, row.name))
    return Reply({"role": documents.role(row), "operations": change.documents()})


async def reveal_password(api: Api, call: Call) -> Reply:
    """The stored password. 404 for an unknown role or password, 412 when the project stores none."""
    project, branch = await _branch(api, call)
    row = _existing(api, branch, call.path["role_name"])
    if not project.store_passwords:
        raise ApiError(412, "Storing passwords is disabled")
    if row.password is None:
        raise not_found("role password")
    return Reply({"password": row.password.reveal()})


async def reset_password(api: Api, call: Call) -> Reply:
    """A new password, in force when the operation has finished. Works for SQL roles without raising them."""
    project, branch = await _branch(api, call)
    row = _existing(api, branch, call.path["role_name"])
    writer_of(branch, api.store.live_endpoints(branch.id))
    api.unlocked(project)
    changed = replace(row, password=Secret(new_password()), previous=row.password, no_login=False, updated_at=now())
    with api.change(project.id) as change:
        api.store.roles.put(changed)
        change.add(_step("reset_password", branch, row.name))
    shown = documents.role(changed, with_password=True)
    return Reply({"role": shown, "operations": change.documents()})
