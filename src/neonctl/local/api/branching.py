"""The rules of branches: what may be made from what, protection, expiry, limits (facts.md 3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from neonctl.local.api.clock import now
from neonctl.local.api.failures import ApiError, bad_request, unprocessable
from neonctl.local.api.ids import new_id
from neonctl.local.api.rows import Branch, Project
from neonctl.local.api.schedule import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neonctl.local.api.context import Api, Change
    from neonctl.local.api.store import Store

_MAX_EXPIRY: Final = timedelta(days=30)
_INIT_SOURCES: Final = ("parent-data", "schema-only")


def new_branch(
    api: Api, project: Project, parent: Branch, wanted: Mapping[str, Any], annotation: Mapping[str, str]
) -> Branch:
    """The branch that a request describes, checked against every rule but the plan's room."""
    init_source = wanted.get("init_source") or "parent-data"
    if init_source not in _INIT_SOURCES:
        raise unprocessable(f"init_source must be one of {', '.join(_INIT_SOURCES)} on the local platform")
    if wanted.get("parent_lsn") or wanted.get("parent_timestamp"):
        raise unprocessable("the local platform keeps no history: branch from the parent's present state")
    if wanted.get("archived"):
        raise unprocessable("the local platform does not archive branches")
    if parent.state != "ready":
        raise unprocessable("branch not ready yet")
    if parent.expires_at is not None and init_source != "schema-only":
        raise unprocessable("cannot create a child of a branch that has an expiration")
    branch_id, at = new_id("br-"), now()
    schema_only = init_source == "schema-only"
    expires_at = wanted.get("expires_at")
    row = Branch(
        id=branch_id,
        project_id=project.id,
        parent_id=None if schema_only else parent.id,
        source_id=parent.id,
        name=wanted.get("name", branch_id),
        state="init",
        is_default=False,
        protected=wanted.get("protected", False),
        init_source=init_source,
        fresh_passwords=parent.protected,
        created_at=at,
        updated_at=at,
        state_changed_at=at,
        expires_at=expires_at,
        ttl_seconds=int((expires_at - at).total_seconds()) if expires_at else None,
        annotation=dict(annotation),
        annotated_at=at if annotation else None,
    )
    if any(other.name == row.name for other in api.store.live_branches(project.id)):
        raise name_taken(row.name)
    if expires_at is not None:
        check_expiry(row, has_children=False)
    return row


def name_taken(name: str) -> ApiError:
    """Neon's own code and text for a second branch of a name (facts.md 3)."""
    return ApiError(409, f'branch already exists; branch_name:"{name}"', code="BRANCH_ALREADY_EXISTS")


def check_expiry(row: Branch, *, has_children: bool) -> None:
    """Expiry lies ahead, by 30 days at most, and never on protected, default or parent branches."""
    at = now()
    if row.expires_at is None or row.expires_at <= at:
        raise bad_request("expires_at must be in the future")
    if row.expires_at > at + _MAX_EXPIRY:
        raise bad_request("expires_at must be at most 30 days in the future")
    if row.protected:
        raise unprocessable("cannot set an expiration on a protected branch")
    if row.is_default:
        raise unprocessable("cannot set an expiration on the default branch")
    if has_children:
        raise unprocessable("cannot set an expiration on a branch that has children")


def check_new_protection(api: Api, project: Project, row: Branch) -> None:
    """A branch that becomes protected must not expire, and the plan must allow one more."""
    if row.expires_at is not None:
        raise unprocessable("cannot protect a branch that has an expiration")
    count = sum(other.protected for other in api.store.live_branches(project.id) if other.id != row.id)
    if count >= api.limits.current.protected_branches:
        raise unprocessable("protected branches limit exceeded", "PROTECTED_BRANCHES_LIMIT_EXCEEDED")


def check_room(api: Api, project: Project, row: Branch) -> None:
    """The plan's limits and the name, looked at once more just before the branch is written."""
    others, limits = api.store.live_branches(project.id), api.limits.current
    if any(other.name == row.name for other in others):
        raise name_taken(row.name)
    if len(others) >= limits.branches:
        raise unprocessable("branches limit exceeded", "BRANCHES_LIMIT_EXCEEDED")
    roots = sum(other.parent_id is None for other in others)
    if row.parent_id is None and roots >= limits.root_branches:
        raise unprocessable("root branches limit exceeded", "ROOT_BRANCHES_LIMIT_EXCEEDED")
    if row.protected:
        check_new_protection(api, project, row)


def schedule_delete(store: Store, change: Change, row: Branch) -> Branch:
    """Hide the branch and its computes at once and schedule their removal. Inside a transaction."""
    at = now()
    deleted = replace(row, deleted_at=at, updated_at=at)
    store.branches.put(deleted)
    for endpoint in store.live_endpoints(row.id):
        store.endpoints.put(replace(endpoint, deleted_at=at))
        change.add(Step("suspend_compute", "suspend", row.id, endpoint.id))
    change.add(Step("delete_timeline", "delete_branch", row.id))
    return deleted
