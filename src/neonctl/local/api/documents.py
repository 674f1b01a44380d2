"""Rows as Neon's JSON. Every field that the document requires is filled, deprecated ones included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neonctl.local.api.rows import Branch, Database, Endpoint, Operation, Project, Role

ORG_ID = "org-local-bank-00000001"
USER_ID = "00000000-0000-4000-8000-000000000001"
EMAIL = "local@example.com"
PROVISIONER = "k8s-neonvm"
PROXY_HOST = "localhost"
Document = dict[str, Any]


def stamp(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _filled(**optional: object) -> Document:
    """Only what has a value; datetimes become text."""
    return {
        name: stamp(value) if isinstance(value, datetime) else value
        for name, value in optional.items()
        if value is not None
    }


def project_list_item(row: Project) -> Document:
    return {
        "id": row.id,
        "platform_id": row.region_id.split("-", 1)[0],
        "region_id": row.region_id,
        "name": row.name,
        "provisioner": PROVISIONER,
        "default_endpoint_settings": row.default_endpoint_settings,
        "settings": row.settings,
        "pg_version": row.pg_version,
        "proxy_host": PROXY_HOST,
        "branch_logical_size_limit": 0,
        "branch_logical_size_limit_bytes": 0,
        "store_passwords": row.store_passwords,
        "active_time": 0,
        "cpu_used_sec": 0,
        "creation_source": "console",
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "synthetic_storage_size": 0,
        "owner_id": ORG_ID,
        "org_id": ORG_ID,
        "history_retention_seconds": row.history_retention_seconds,
        **_filled(
            deleted_at=row.deleted_at,
            recoverable_until=row.deleted_at and row.deleted_at + timedelta(days=7),
        ),
    }


def project(row: Project) -> Document:
    month = row.updated_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    shared = project_list_item(row)
    for name in ("active_time", "deleted_at", "recoverable_until"):
        shared.pop(name, None)
    return {
        **shared,
        "data_storage_bytes_hour": 0,
        "data_transfer_bytes": 0,
        "written_data_bytes": 0,
        "compute_time_seconds": 0,
        "active_time_seconds": 0,
        "consumption_period_start": stamp(month),
        "consumption_period_end": stamp((month + timedelta(days=32)).replace(day=1)),
        "owner": {
            "email": EMAIL,
            "name": "Local",
            "branches_limit": -1,
            "subscription_type": "scale_v3",
        },
    }


def branch(row: Branch, *, restricted: list[Document] | None = None) -> Document:
    return {
        "id": row.id,
        "project_id": row.project_id,
        "name": row.name,
        "current_state": row.state,
        "state_changed_at": stamp(row.state_changed_at),
        "logical_size": 0,
        "creation_source": "console",
        "primary": row.is_default,
        "default": row.is_default,
        "protected": row.protected,
        "cpu_used_sec": 0,
        "compute_time_seconds": 0,
        "active_time_seconds": 0,
        "written_data_bytes": 0,
        "data_transfer_bytes": 0,
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "created_by": {"name": "Local", "image": ""},
        **_filled(
            parent_id=row.parent_id,
            parent_timestamp=row.created_at if row.parent_id else None,
            parent_lsn="0/0" if row.parent_id else None,
            pending_state="ready" if row.state != "ready" else None,
            init_source=row.init_source,
            expires_at=row.expires_at,
            ttl_interval_seconds=row.ttl_seconds,
            last_reset_at=row.last_reset_at,
            restored_from=row.restored_from,
            restricted_actions=restricted,
        ),
    }


def annotation(row: Branch) -> Document:
    return {
        "object": {"type": "console/branch", "id": row.id},
        "value": row.annotation,
        **_filled(created_at=row.annotated_at, updated_at=row.annotated_at),
    }


def endpoint(row: Endpoint, *, region_id: str, active: bool, pending: str | None) -> Document:
    """``host`` carries the port: locally each compute has its own on localhost."""
    state = "init" if not row.provisioned else "active" if active else "idle"
    return {
        "host": host(row.direct_port),
        "id": row.id,
        "project_id": row.project_id,
        "branch_id": row.branch_id,
        "autoscaling_limit_min_cu": row.min_cu,
        "autoscaling_limit_max_cu": row.max_cu,
        "region_id": region_id,
        "type": "read_only" if row.read_only else "read_write",
        "current_state": state,
        "settings": row.settings,
        "pooler_enabled": False,
        "pooler_mode": "transaction",
        "disabled": row.disabled,
        "passwordless_access": True,
        "creation_source": "console",
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "proxy_host": PROXY_HOST,
        "suspend_timeout_seconds": row.suspend_timeout_seconds,
        "provisioner": PROVISIONER,
        **_filled(
            name=row.name,
            pending_state=pending if pending != state else None,
            started_at=row.started_at,
            suspended_at=row.suspended_at,
            last_active=row.started_at,
        ),
    }


def host(port: int) -> str:
    return f"localhost:{port}"


def role(row: Role, *, with_password: bool = False) -> Document:
    shown = row.password.reveal() if with_password and row.password is not None else None
    return {
        "branch_id": row.branch_id,
        "name": row.name,
        "protected": False,
        "authentication_method": "no_login" if row.no_login else "password",
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        **_filled(password=shown),
    }


def database(row: Database) -> Document:
    return {
        "id": row.id,
        "branch_id": row.branch_id,
        "name": row.name,
        "owner_name": row.owner_name,
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
    }


def operation(row: Operation) -> Document:
    took = (row.finished_at - row.created_at) if row.finished_at else timedelta()
    return {
        "id": row.id,
        "project_id": row.project_id,
        "action": row.action,
        "status": row.status,
        "failures_count": row.failures_count,
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "total_duration_ms": int(took / timedelta(milliseconds=1)),
        **_filled(branch_id=row.branch_id, endpoint_id=row.endpoint_id, error=row.error, retry_at=row.retry_at),
    }
