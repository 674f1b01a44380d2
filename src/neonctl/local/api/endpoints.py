"""Computes: list, create, show, change, delete, start, suspend, restart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neonctl.local.api.capacity import check_size, check_suspend_timeout
from neonctl.local.api.clock import now
from neonctl.local.api.computes import check_endpoint_types, kept_settings, new_endpoint, start_step
from neonctl.local.api.context import GONE, Api, Call, Reply
from neonctl.local.api.failures import bad_request, unprocessable
from neonctl.local.api.schedule import Step

if TYPE_CHECKING:
    from neonctl.local.api.rows import Endpoint, Project


async def list_endpoints(api: Api, call: Call) -> Reply:
    """All of the project, or those of one branch."""
    project = api.project(call)
    if "branch_id" in call.path:
        branches = [api.branch(project, call.path["branch_id"])]
    else:
        branches = api.store.live_branches(project.id)
    rows = [row for branch in branches for row in api.store.live_endpoints(branch.id)]
    return Reply({"endpoints": [api.endpoint_document(row, project) for row in rows]})


async def show_endpoint(api: Api, call: Call) -> Reply:
    project = api.project(call)
    row = api.endpoint(project, call.path["endpoint_id"])
    return Reply({"endpoint": api.endpoint_document(row, project)})


def _reply(api: Api, project: Project, row: Endpoint, operations: list[dict[str, Any]], status: int = 200) -> Reply:
    return Reply({"endpoint": api.endpoint_document(row, project), "operations": operations}, status)


async def create_endpoint(api: Api, call: Call) -> Reply:
    """A compute for a branch: one read_write at most, several read_only."""
    project, wanted = api.project(call), call.body["endpoint"]
    branch = api.branch(project, wanted["branch_id"])
    if wanted.get("region_id", project.region_id) != project.region_id:
        raise bad_request("region_id must be the project's region")
    row = new_endpoint(project, branch.id, wanted)
    check_endpoint_types(api.store.live_endpoints(branch.id), [row])
    api.unlocked(project)
    row = api.clusters.with_ports(row)
    api.unlocked(project)
    with api.change(project.id) as change:
        api.store.endpoints.put(row)
        change.add(start_step(row))
    return _reply(api, project, row, change.documents(), 201)


async def update_endpoint(api: Api, call: Call) -> Reply:
    """Size, suspend timeout, settings, name. A change of what runs is an operation; none answers ``[]``."""
    project, wanted = api.project(call), call.body["endpoint"]
    row = api.endpoint(project, call.path["endpoint_id"])
    if wanted.get("branch_id", row.branch_id) != row.branch_id:
        raise bad_request("moving an endpoint to another branch is not supported")
    changed = replace(
        row,
        name=wanted.get("name", row.name),
        min_cu=wanted.get("autoscaling_limit_min_cu", row.min_cu),
        max_cu=wanted.get("autoscaling_limit_max_cu", row.max_cu),
        suspend_timeout_seconds=wanted.get("suspend_timeout_seconds", row.suspend_timeout_seconds),
        disabled=wanted.get("disabled", row.disabled),
        settings={**row.settings, **kept_settings(wanted["settings"])} if "settings" in wanted else row.settings,
    )
    check_size(changed.min_cu, changed.max_cu)
    check_suspend_timeout(changed.suspend_timeout_seconds)
    if changed == row:
        return _reply(api, project, row, [])
    renamed_only = replace(changed, name=row.name) == row
    if not renamed_only:
        api.unlocked(project)
    changed = replace(changed, updated_at=now())
    with api.change(project.id) as change:
        api.store.endpoints.put(changed)
        if not renamed_only:
            payload = {"endpoint_before": _before(row), "restart": changed.max_cu != row.max_cu}
            change.add(Step("apply_config", "reconfigure", row.branch_id, row.id, payload))
            if changed.disabled and not row.disabled:
                change.add(Step("suspend_compute", "suspend", row.branch_id, row.id))
    return _reply(api, project, changed, change.documents())


def _before(row: Endpoint) -> dict[str, Any]:
    """What a failed change puts back."""
    names = ("name", "min_cu", "max_cu", "suspend_timeout_seconds", "settings", "disabled")
    return {name: getattr(row, name) for name in names}


async def delete_endpoint(api: Api, call: Call) -> Reply:
    """204 when there is none; refused for the compute of a protected branch."""
    project = api.project(call)
    row = api.store.endpoints.get(call.path["endpoint_id"])
    if row is None or row.deleted_at is not None or row.project_id != project.id:
        return GONE
    if api.branch(project, row.branch_id).protected:
        raise unprocessable("cannot delete an endpoint of a protected branch")
    api.unlocked(project)
    deleted = replace(row, deleted_at=now(), updated_at=now())
    with api.change(project.id) as change:
        api.store.endpoints.put(deleted)
        change.add(Step("suspend_compute", "delete_endpoint", row.branch_id, row.id))
    return _reply(api, project, deleted, change.documents())


async def start_endpoint(api: Api, call: Call) -> Reply:
    project = api.project(call)
    row = api.endpoint(project, call.path["endpoint_id"])
    if row.disabled:
        raise unprocessable("endpoint is disabled")
    return _run(api, project, row, [start_step(row)])


async def suspend_endpoint(api: Api, call: Call) -> Reply:
    project = api.project(call)
    row = api.endpoint(project, call.path["endpoint_id"])
    return _run(api, project, row, [Step("suspend_compute", "suspend", row.branch_id, row.id)])


async def restart_endpoint(api: Api, call: Call) -> Reply:
    project = api.project(call)
    row = api.endpoint(project, call.path["endpoint_id"])
    suspend = Step("suspend_compute", "suspend", row.branch_id, row.id)
    return _run(api, project, row, [suspend, start_step(row)])


def _run(api: Api, project: Project, row: Endpoint, steps: list[Step]) -> Reply:
    api.unlocked(project)
    with api.change(project.id) as change:
        change.add(*steps)
    return _reply(api, project, row, change.documents())
