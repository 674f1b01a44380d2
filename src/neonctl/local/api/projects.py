"""Projects: list, create, show, change, delete."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neonctl.local.api import documents
from neonctl.local.api.account import DEFAULT_REGION, REGIONS
from neonctl.local.api.clock import now
from neonctl.local.api.computes import default_endpoint_settings, new_endpoint, start_step
from neonctl.local.api.context import Api, Call, Change, Reply
from neonctl.local.api.documents import ORG_ID
from neonctl.local.api.failures import bad_request, not_found, unprocessable
from neonctl.local.api.ids import new_id, new_password
from neonctl.local.api.names import check_database_name, check_role_name
from neonctl.local.api.rows import Branch, Database, Endpoint, Project, Role
from neonctl.local.api.schedule import Step
from neonctl.local.api.uris import connection_details
from neonctl.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

PG_VERSION = 18
_MAX_HISTORY_S = 2_592_000


def _check_org(org_id: str | None) -> None:
    """A personal key may belong to several organisations, so the call must name one (facts.md 1)."""
    if not org_id:
        raise bad_request("org_id is required, you can find it on your organization settings page")
    if org_id != ORG_ID:
        raise not_found("organization")


async def list_projects(api: Api, call: Call) -> Reply:
    """Oldest first; a cursor comes with every page that is not empty, the last one too."""
    _check_org(call.query.get("org_id"))
    deleted = bool(call.query.get("recoverable"))
    rows = [] if deleted else api.store.projects.select("deleted_at IS NULL ORDER BY id")
    search, cursor = call.query.get("search", "").lower(), call.query.get("cursor", "")
    found = [row for row in rows if search in row.name.lower() or search in row.id]
    page = [row for row in found if row.id > cursor][: call.query.get("limit", 10)]
    body: documents.Document = {
        "projects": [documents.project_list_item(row) for row in page],
        "applications": {},
        "integrations": {},
    }
    if call.partial:
        body |= {"projects": [], "unavailable_project_ids": [row.id for row in page]}
    if page:
        body["pagination"] = {"cursor": page[-1].id}
    return Reply(body)


def _new_project(wanted: Mapping[str, Any]) -> Project:
    region_id = wanted.get("region_id", DEFAULT_REGION)
    if region_id not in REGIONS:
        raise unprocessable(f'region "{region_id}" not found')
    version = wanted.get("pg_version", PG_VERSION)
    if version != PG_VERSION:
        raise unprocessable(f"the local platform runs Postgres {PG_VERSION} only; pg_version {version} was asked for")
    older = {name: wanted[name] for name in wanted if name.startswith("autoscaling_limit_")}
    project_id, at = new_id(), now()
    return Project(
        id=project_id,
        name=wanted.get("name", project_id),
        region_id=region_id,
        pg_version=version,
        store_passwords=wanted.get("store_passwords", True),
        history_retention_seconds=wanted.get("history_retention_seconds", 86_400),
        settings=_merged_settings({}, wanted.get("settings", {})),
        default_endpoint_settings=default_endpoint_settings({**older, **wanted.get("default_endpoint_settings", {})}),
        created_at=at,
        updated_at=at,
    )


def _merged_settings(old: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """New settings over old ones. Logical replication is for good."""
    if old.get("enable_logical_replication") and wanted.get("enable_logical_replication") is False:
        raise unprocessable("logical replication cannot be disabled once it has been enabled")
    return {"enable_logical_replication": False, **old, **wanted}


async def create_project(api: Api, call: Call) -> Reply:
    """A project with its default branch, an owner role, a database and a read_write compute."""
    wanted = call.body["project"]
    _check_org(wanted.get("org_id"))
    first = wanted.get("branch", {})
    database_name = first.get("database_name") or "neondb"
    role_name = first.get("role_name") or f"{database_name}_owner"
    check_database_name(database_name)
    check_role_name(role_name)
    project = _new_project(wanted)
    at = project.created_at
    annotation = first.get("annotations", {})
    branch = Branch(
        id=new_id("br-"),
        project_id=project.id,
        parent_id=None,
        source_id=None,
        name=first.get("name", "main"),
        state="init",
        is_default=True,
        protected=False,
        init_source=None,
        fresh_passwords=False,
        created_at=at,
        updated_at=at,
        state_changed_at=at,
        annotation=annotation,
        annotated_at=at if annotation else None,
    )
    endpoint = new_endpoint(project, branch.id, {"type": "read_write"})
    endpoint = api.clusters.with_ports(endpoint)
    password = Secret(new_password())
    role = Role(branch.id, role_name, "api", False, password, None, at, at)
    database = Database(branch.id, database_name, api.store.databases.next("id"), role_name, at, at)
    with api.change(project.id) as change:
        api.store.projects.put(project)
        api.store.branches.put(branch)
        api.store.endpoints.put(endpoint)
        api.store.roles.put(role)
        api.store.databases.put(database)
        change.add(
            Step("create_timeline", "create_branch", branch.id, payload={"root_of_project": True}),
            start_step(endpoint),
        )
    details = connection_details(
        endpoint, role=role_name, password=password, database=database_name, ca_file=api.ca_file
    )
    return Reply(
        {
            "project": documents.project(project),
            "connection_uris": [details],
            "roles": [documents.role(role, with_password=True)],
            "databases": [documents.database(database)],
            "operations": change.documents(),
            "branch": api.branch_document(branch),
            "endpoints": [api.endpoint_document(endpoint, project)],
        },
        201,
    )


async def show_project(api: Api, call: Call) -> Reply:
    return Reply({"project": documents.project(api.project(call))})


async def update_project(api: Api, call: Call) -> Reply:
    """Name, settings, defaults, history. Turning logical replication on reconfigures all computes."""
    project, wanted = api.project(call), call.body["project"]
    defaults = {**project.default_endpoint_settings, **wanted.get("default_endpoint_settings", {})}
    changed = replace(
        project,
        name=wanted.get("name", project.name),
        settings=_merged_settings(project.settings, wanted.get("settings", {})),
        default_endpoint_settings=default_endpoint_settings(defaults),
        history_retention_seconds=wanted.get("history_retention_seconds", project.history_retention_seconds),
    )
    if changed == project:
        return Reply({"project": documents.project(project), "operations": []})
    changed = replace(changed, updated_at=now())
    logical = "enable_logical_replication"
    switched = changed.settings[logical] and not project.settings.get(logical)
    if switched:
        api.unlocked(project)
    with api.change(project.id) as change:
        api.store.projects.put(changed)
        if switched:
            _reconfigure_all(api, change, project)
    return Reply({"project": documents.project(changed), "operations": change.documents()})


def _reconfigure_all(api: Api, change: Change, project: Project) -> None:
    """Every compute gets the project's new settings; active ones are suspended and wake with them."""
    rows: list[Endpoint] = []
    for branch in api.store.live_branches(project.id):
        rows.extend(api.store.live_endpoints(branch.id))
    for row in rows:
        payload = {"settings_before": project.settings}
        change.add(Step("apply_config", "reconfigure", row.branch_id, row.id, payload))
        if row.provisioned and api.clusters.engine.compute_active(row.id):
            change.add(Step("suspend_compute", "suspend", row.branch_id, row.id))


async def delete_project(api: Api, call: Call) -> Reply:
    """The project with all branches. Refused while one of them is protected."""
    project = api.project(call)
    branches = api.store.live_branches(project.id)
    if any(row.protected for row in branches):
        raise unprocessable("project has protected branches and cannot be deleted")
    api.unlocked(project)
    at = now()
    with api.change(project.id) as change:
        api.store.projects.put(replace(project, deleted_at=at, updated_at=at))
        for branch in reversed(branches):
            api.store.branches.put(replace(branch, deleted_at=at))
            change.add(Step("delete_timeline", "delete_branch", branch.id))
    return Reply({"project": documents.project(project)})
