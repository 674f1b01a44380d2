"""What is served: method, path template, handler, and the rules for query and body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from neonctl.local.api import (
    account,
    branches,
    databases,
    endpoints,
    operations,
    projects,
    requests,
    restore,
    roles,
)
from neonctl.local.api.context import Api, Call, Reply
from neonctl.local.api.validation import Rule

Handler = Callable[[Api, Call], Awaitable[Reply]]


@dataclass(frozen=True)
class Route:
    """``body`` empty: none is read. ``optional_body``: it may be missing."""

    method: str
    path: str
    handler: Handler
    body: Rule | None = None
    optional_body: bool = False
    query: Mapping[str, Rule] = field(default_factory=dict[str, Rule])


_PROJECT: Final = "/projects/{project_id}"
_BRANCH: Final = _PROJECT + "/branches/{branch_id}"
_ENDPOINT: Final = _PROJECT + "/endpoints/{endpoint_id}"
_DATABASE: Final = _BRANCH + "/databases/{database_name}"
_ROLE: Final = _BRANCH + "/roles/{role_name}"

ROUTES: Final = (
    Route("GET", "/auth", account.show_auth),
    Route("GET", "/users/me", account.show_user),
    Route("GET", "/users/me/organizations", account.list_organizations),
    Route("GET", "/organizations/{org_id}", account.show_organization),
    Route("GET", "/regions", account.list_regions, query=requests.REGION_LIST_QUERY),
    Route("GET", "/api_keys", account.list_api_keys),
    Route("GET", "/projects", projects.list_projects, query=requests.PROJECT_LIST_QUERY),
    Route("POST", "/projects", projects.create_project, requests.PROJECT_CREATE),
    Route("GET", _PROJECT, projects.show_project),
    Route("PATCH", _PROJECT, projects.update_project, requests.PROJECT_UPDATE),
    Route("DELETE", _PROJECT, projects.delete_project),
    Route(
        "GET",
        _PROJECT + "/connection_uri",
        operations.show_connection_uri,
        query=requests.CONNECTION_URI_QUERY,
    ),
    Route("GET", _PROJECT + "/operations", operations.list_operations, query=requests.OPERATION_LIST_QUERY),
    Route("GET", _PROJECT + "/operations/{operation_id}", operations.show_operation),
    Route("GET", _PROJECT + "/branches", branches.list_branches, query=requests.BRANCH_LIST_QUERY),
    Route("POST", _PROJECT + "/branches", branches.create_branch, requests.BRANCH_CREATE, optional_body=True),
    Route("GET", _PROJECT + "/branches/count", branches.count_branches, query=requests.BRANCH_COUNT_QUERY),
    Route("GET", _BRANCH, branches.show_branch),
    Route("PATCH", _BRANCH, branches.update_branch, requests.BRANCH_UPDATE),
    Route("DELETE", _BRANCH, branches.delete_branch, query=requests.BRANCH_DELETE_QUERY),
    Route("POST", _BRANCH + "/restore", restore.restore_branch, requests.BRANCH_RESTORE),
    Route("POST", _BRANCH + "/set_as_default", branches.set_default),
    Route("GET", _BRANCH + "/endpoints", endpoints.list_endpoints),
    Route("GET", _PROJECT + "/endpoints", endpoints.list_endpoints),
    Route("POST", _PROJECT + "/endpoints", endpoints.create_endpoint, requests.ENDPOINT_CREATE),
    Route("GET", _ENDPOINT, endpoints.show_endpoint),
    Route("PATCH", _ENDPOINT, endpoints.update_endpoint, requests.ENDPOINT_UPDATE),
    Route("DELETE", _ENDPOINT, endpoints.delete_endpoint),
    Route("POST", _ENDPOINT + "/start", endpoints.start_endpoint),
    Route("POST", _ENDPOINT + "/suspend", endpoints.suspend_endpoint),
    Route("POST", _ENDPOINT + "/restart", endpoints.restart_endpoint),
    Route("GET", _BRANCH + "/databases", databases.list_databases),
    Route("POST", _BRANCH + "/databases", databases.create_database, requests.DATABASE_CREATE),
    Route("GET", _DATABASE, databases.show_database),
    Route("PATCH", _DATABASE, databases.update_database, requests.DATABASE_UPDATE),
    Route("DELETE", _DATABASE, databases.delete_database),
    Route("GET", _BRANCH + "/roles", roles.list_roles),
    Route("POST", _BRANCH + "/roles", roles.create_role, requests.ROLE_CREATE),
    Route("GET", _ROLE, roles.show_role),
    Route("DELETE", _ROLE, roles.delete_role),
    Route("GET", _ROLE + "/reveal_password", roles.reveal_password),
    Route("POST", _ROLE + "/reset_password", roles.reset_password),
)
