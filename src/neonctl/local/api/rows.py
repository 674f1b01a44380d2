"""What the store remembers: one frozen dataclass per table. Times are aware UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from neonctl.secret import Secret

UNFINISHED = ("scheduling", "running", "error")


@dataclass(frozen=True)
class Project:
    id: str
    name: str
    region_id: str
    pg_version: int
    store_passwords: bool
    history_retention_seconds: int
    settings: dict[str, Any]
    default_endpoint_settings: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Branch:
    """``source_id`` is where the data or the schema came from; ``parent_id`` is empty for root branches."""

    id: str
    project_id: str
    parent_id: str | None
    source_id: str | None
    name: str
    state: str
    is_default: bool
    protected: bool
    init_source: str | None
    fresh_passwords: bool
    created_at: datetime
    updated_at: datetime
    state_changed_at: datetime
    expires_at: datetime | None = None
    ttl_seconds: int | None = None
    last_reset_at: datetime | None = None
    restored_from: str | None = None
    annotation: dict[str, Any] = field(default_factory=dict[str, Any])
    annotated_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Endpoint:
    """``direct_port`` and ``pooled_port`` are 0 until the engine has allotted them."""

    id: str
    project_id: str
    branch_id: str
    name: str | None
    read_only: bool
    min_cu: float
    max_cu: float
    suspend_timeout_seconds: int
    settings: dict[str, Any]
    disabled: bool
    direct_port: int
    pooled_port: int
    created_at: datetime
    updated_at: datetime
    provisioned: bool = False
    started_at: datetime | None = None
    suspended_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Role:
    """``origin`` is ``api`` (member of neon_superuser) or ``sql``; ``previous`` serves a failed reset."""

    branch_id: str
    name: str
    origin: str
    no_login: bool
    password: Secret | None
    previous: Secret | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Database:
    branch_id: str
    name: str
    id: int
    owner_name: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Operation:
    """``kind`` and ``payload`` say what is to be done; ``batch`` joins the operations of one request."""

    id: str
    seq: int
    batch: str
    project_id: str
    branch_id: str | None
    endpoint_id: str | None
    action: str
    kind: str
    payload: dict[str, Any]
    status: str
    failures_count: int
    created_at: datetime
    updated_at: datetime
    error: str | None = None
    retry_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
