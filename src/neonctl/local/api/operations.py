"""Operations and connection URIs: what a client asks for while it waits, and afterwards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from neonctl.local.api import documents
from neonctl.local.api.context import Api, Call, Reply
from neonctl.local.api.failures import ApiError, bad_request, not_found
from neonctl.local.api.uris import connection_uri

if TYPE_CHECKING:
    from neonctl.local.api.documents import Document
    from neonctl.local.api.rows import Branch, Endpoint

_UUID: Final = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_DEFAULT_LIMIT: Final = 1000


async def show_operation(api: Api, call: Call) -> Reply:
    """By id an operation is visible from the moment it was scheduled."""
    operation_id = call.path["operation_id"]
    if not _UUID.match(operation_id):
        raise bad_request("operation_id must be a UUID")
    row = api.store.operations.get(operation_id.lower())
    if row is None or row.project_id != call.path["project_id"]:
        raise not_found("operation")
    return Reply({"operation": documents.operation(row)})


async def list_operations(api: Api, call: Call) -> Reply:
    """Newest first. As on Neon the list lags: what has not started yet is missing (facts.md 6)."""
    project = api.project(call)
    cursor = call.query.get("cursor", "")
    if cursor and not cursor.isdecimal():
        raise bad_request("cursor is not one that this API gave")
    limit = call.query.get("limit", _DEFAULT_LIMIT)
    rows = api.store.operations.select(
        "project_id = ? AND started_at IS NOT NULL AND seq < ? ORDER BY seq DESC LIMIT ?",
        (project.id, int(cursor or 2**62), limit),
    )
    body: Document = {"operations": [documents.operation(row) for row in rows]}
    if rows:
        body["pagination"] = {"cursor": str(rows[-1].seq)}
    return Reply(body)


def _endpoint_of(api: Api, branch: Branch, endpoint_id: str | None) -> Endpoint:
    rows = api.store.live_endpoints(branch.id)
    if endpoint_id is not None:
        rows = [row for row in rows if row.id == endpoint_id]
    writers = [row for row in rows if not row.read_only] or rows
    if not writers:
        raise not_found("endpoint")
    return writers[0]


async def show_connection_uri(api: Api, call: Call) -> Reply:
    """The URI for one database and role, over the direct or the pooled port."""
    project, query = api.project(call), call.query
    for name in ("database_name", "role_name"):
        if not query.get(name):
            raise bad_request(f"{name} is required")
    branch_id, endpoint_id = query.get("branch_id"), query.get("endpoint_id")
    if branch_id is None and endpoint_id is not None:
        branch_id = api.endpoint(project, endpoint_id).branch_id
    branch = api.branch(project, branch_id) if branch_id else api.default_branch(project)
    endpoint = _endpoint_of(api, branch, endpoint_id)
    await api.clusters.sync(branch)
    role = api.store.roles.get(branch.id, query["role_name"])
    database = api.store.databases.get(branch.id, query["database_name"])
    if role is None or role.deleted_at is not None:
        raise not_found("role")
    if database is None or database.deleted_at is not None:
        raise not_found("database")
    if not project.store_passwords:
        raise ApiError(412, "Storing passwords is disabled")
    if role.password is None:
        raise not_found("role password")
    uri = connection_uri(
        endpoint,
        role=role.name,
        password=role.password,
        database=database.name,
        ca_file=api.ca_file,
        pooled=bool(query.get("pooled")),
    )
    return Reply({"uri": uri})
