"""Operations: how a request's work is written down before it is done."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neonctl.local.api.clock import now
from neonctl.local.api.rows import Operation

if TYPE_CHECKING:
    from neonctl.local.api.store import Store


@dataclass(frozen=True)
class Step:
    """One piece of work: ``action`` is Neon's word for it, ``kind`` and ``payload`` are ours."""

    action: str
    kind: str
    branch_id: str | None = None
    endpoint_id: str | None = None
    payload: dict[str, Any] = field(default_factory=dict[str, Any])


def write_down(store: Store, project_id: str, steps: list[Step]) -> list[Operation]:
    """Store one request's steps as operations that wait for the worker. Inside a transaction."""
    batch, at = str(uuid.uuid4()), now()
    operations: list[Operation] = []
    for step in steps:
        operation = Operation(
            id=str(uuid.uuid4()),
            seq=store.operations.next("seq"),
            batch=batch,
            project_id=project_id,
            branch_id=step.branch_id,
            endpoint_id=step.endpoint_id,
            action=step.action,
            kind=step.kind,
            payload=step.payload,
            status="scheduling",
            failures_count=0,
            created_at=at,
            updated_at=at,
        )
        store.operations.put(operation)
        operations.append(operation)
    return operations
