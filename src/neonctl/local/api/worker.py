"""Does the scheduled operations: one after another within a project, projects side by side.

An operation is repeated after a kill, so its work must be idempotent. A failed one takes the rest of its
request with it, and what the request had promised is taken back.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from neonctl.local.api.clock import now
from neonctl.local.faults import Fault, Faults

if TYPE_CHECKING:
    from neonctl.local.api.rows import Operation
    from neonctl.local.api.store import Store

log = logging.getLogger(__name__)
_ATTEMPTS: Final = 3
_BACKOFF_S: Final = 0.3
_AGAIN_S: Final = 2.0
_CLOSE_WAIT_S: Final = 10


class Actions(Protocol):
    """What operations do."""

    async def run(self, operation: Operation) -> None: ...

    def complete(self, operation: Operation) -> None: ...

    async def undo(self, batch: list[Operation]) -> None: ...


class InjectedFailureError(Exception):
    """A fault rule made the operation fail."""


class Worker:
    """Owns one task per project with work."""

    def __init__(self, store: Store, actions: Actions, faults: Faults) -> None:
        self._store = store
        self._actions = actions
        self._faults = faults
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    def resume(self) -> None:
        """Take up what was unfinished when the platform stopped."""
        for project_id in self._store.projects_with_work():
            self.wake(project_id)

    def wake(self, project_id: str) -> None:
        """See to it that the project's operations are done."""
        if self._closing or project_id in self._tasks:
            return
        task = asyncio.create_task(self._work_off(project_id), name=f"operations of {project_id}")
        self._tasks[project_id] = task
        task.add_done_callback(lambda done: self._ended(project_id, done))

    async def close(self) -> None:
        """Let running operations end; what takes too long is broken off and resumed at the next start."""
        self._closing = True
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_CLOSE_WAIT_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, project_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(project_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the operations of %s stopped; trying again", project_id, exc_info=error)
            asyncio.get_running_loop().call_later(_AGAIN_S, self.wake, project_id)
        elif not self._closing and self._store.unfinished(project_id):
            self.wake(project_id)

    async def _work_off(self, project_id: str) -> None:
        while not self._closing and (waiting := self._store.unfinished(project_id)):
            await self._one(waiting[0])

    async def _one(self, operation: Operation) -> None:
        operation = self._note(operation, status="running", started_at=operation.started_at or now())
        fault = self._faults.operation(operation.action) or Fault()
        try:
            await self._suffer(fault)
            await self._actions.run(operation)
        except Exception as error:
            log.warning("operation %s (%s) failed", operation.id, operation.kind, exc_info=error)
            await self._failed(operation, error)
        else:
            with self._store.transaction():
                self._actions.complete(operation)
                at = now()
                done = replace(operation, status="finished", error=None, retry_at=None)
                self._store.operations.put(replace(done, updated_at=at, finished_at=at))

    async def _suffer(self, fault: Fault) -> None:
        await asyncio.sleep(fault.latency_ms / 1000)
        if fault.fail:
            raise InjectedFailureError("a fault rule made this operation fail")

    async def _failed(self, operation: Operation, error: Exception) -> None:
        failures = operation.failures_count + 1
        reason = f"{type(error).__name__}: the local platform's log has the details"
        if failures < _ATTEMPTS and not isinstance(error, InjectedFailureError):
            delay_s = _BACKOFF_S * 2**failures
            self._note(
                operation,
                failures_count=failures,
                error=reason,
                retry_at=now() + timedelta(seconds=delay_s),
            )
            await asyncio.sleep(delay_s)
            return
        waiting = self._store.unfinished(operation.project_id)
        batch = [item for item in waiting if item.batch == operation.batch]
        await self._actions.undo(batch)
        for item in batch:
            failed = item.id == operation.id
            self._note(
                item,
                status="failed" if failed else "cancelled",
                failures_count=failures if failed else 0,
                error=reason if failed else None,
                retry_at=None,
                finished_at=now(),
            )

    def _note(self, operation: Operation, **changes: Any) -> Operation:
        noted = replace(operation, updated_at=now(), **changes)
        with self._store.transaction():
            self._store.operations.put(noted)
        return noted
