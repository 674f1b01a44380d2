"""New endpoints: sizes and settings with their defaults, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neonctl.local.api.capacity import check_size, check_suspend_timeout
from neonctl.local.api.clock import now
from neonctl.local.api.failures import unprocessable
from neonctl.local.api.ids import new_id
from neonctl.local.api.rows import Branch, Endpoint, Project
from neonctl.local.api.schedule import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MIN_CU = 0.25
DEFAULT_MAX_CU = 2.0


def new_endpoint(project: Project, branch_id: str, wanted: Mapping[str, Any]) -> Endpoint:
    """An endpoint as the request wants it; what it leaves open comes from the project's defaults."""
    defaults = project.default_endpoint_settings
    max_cu = wanted.get("autoscaling_limit_max_cu")
    min_cu = wanted.get("autoscaling_limit_min_cu", min(defaults["autoscaling_limit_min_cu"], max_cu or 1e9))
    max_cu = max_cu if max_cu is not None else max(defaults["autoscaling_limit_max_cu"], min_cu)
    timeout = wanted.get("suspend_timeout_seconds", defaults["suspend_timeout_seconds"])
    check_size(min_cu, max_cu)
    check_suspend_timeout(timeout)
    at = now()
    return Endpoint(
        id=new_id("ep-"),
        project_id=project.id,
        branch_id=branch_id,
        name=wanted.get("name"),
        read_only=wanted.get("type") == "read_only",
        min_cu=min_cu,
        max_cu=max_cu,
        suspend_timeout_seconds=timeout,
        settings=kept_settings(wanted.get("settings", {})),
        disabled=wanted.get("disabled", False),
        direct_port=0,
        pooled_port=0,
        created_at=at,
        updated_at=at,
    )


def kept_settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Endpoint settings; the pooler's are not the user's to choose (facts.md 4)."""
    return {
        "pg_settings": {},
        **{name: value for name, value in wanted.items() if name != "pgbouncer_settings"},
    }


def default_endpoint_settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A project's defaults for its endpoints, filled up and checked."""
    min_cu = wanted.get("autoscaling_limit_min_cu", min(DEFAULT_MIN_CU, wanted.get("autoscaling_limit_max_cu", 1)))
    filled = {
        "autoscaling_limit_min_cu": min_cu,
        "autoscaling_limit_max_cu": wanted.get("autoscaling_limit_max_cu", max(DEFAULT_MAX_CU, min_cu)),
        "suspend_timeout_seconds": wanted.get("suspend_timeout_seconds", 0),
    }
    check_size(filled["autoscaling_limit_min_cu"], filled["autoscaling_limit_max_cu"])
    check_suspend_timeout(filled["suspend_timeout_seconds"])
    if "pg_settings" in wanted:
        filled["pg_settings"] = wanted["pg_settings"]
    return filled


def check_endpoint_types(existing: list[Endpoint], wanted: list[Endpoint]) -> None:
    """One read_write endpoint per branch, any number of read_only ones."""
    writers = sum(not row.read_only for row in (*existing, *wanted))
    if writers > 1:
        raise unprocessable("read-write endpoint already exists for the branch")


def writer_of(branch: Branch, endpoints: list[Endpoint]) -> Endpoint:
    """The branch's read_write endpoint: roles and databases are changed through it."""
    for row in endpoints:
        if not row.read_only:
            return row
    raise unprocessable(f"branch {branch.id} has no read-write endpoint; create one first")


def start_step(row: Endpoint) -> Step:
    return Step("start_compute", "start", row.branch_id, row.id)
