"""Waiting until accepted work is done: by the ids of the answer, or without one by what still runs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from neonctl.neon import failures
from neonctl.neon.responses import items, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neonctl.neon.failures import Doing
    from neonctl.neon.transport import Body, Transport

_DONE = frozenset({"finished", "skipped"})
_FAILED = frozenset({"failed", "error", "cancelled"})
# Quick work is asked for a few times at once; then grown gently: the wait overshoots the work by an eighth at most.
_FIRST_PAUSE, _QUICK_UNTIL, _QUICK_GROWTH = 0.02, 0.1, 1.25
_LONGEST_PAUSE, _GROWTH = 2.0, 1.125
_QUIET_LISTS, _QUIET_PAUSE = 3, 0.25


class Operations:
    """Polls one Neon API for the progress of its operations."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def finish(self, project_id: str, body: Body | None, doing: Doing) -> None:
        """Wait for the operations that an answer lists. Raises ServiceError if one fails or never ends."""
        with reading(doing):
            started = list(items(body, "operations")) if body and "operations" in body else []
        pauses = self.pauses(doing, "its work at Neon")
        for operation in started:
            self._finish(project_id, operation, doing, pauses, fresh=operation is started[0])

    def settle(self, project_id: str, doing: Doing, *, branch_id: str | None = None) -> None:
        """Wait until nothing of the project, or of one branch, is running, as far as Neon lists it.

        The list lags behind, and of work in several steps the next one may not be listed yet (facts.md 6): only
        a list that stays quiet counts. Newest come first, and what is unfinished is new: one page is enough.
        """
        pauses = self.pauses(doing, "other work of the project")
        quiet = 0
        while quiet < _QUIET_LISTS:
            running = self._running(project_id, doing, branch_id)
            quiet = 0 if running else quiet + 1
            for operation in reversed(running):
                self._finish(project_id, operation, doing, pauses, fresh=operation is running[-1])
            if quiet:
                self._transport.sleep(_QUIET_PAUSE)

    def busy(self, project_id: str, doing: Doing) -> bool:
        """Whether Neon lists work of the project that has not ended."""
        return bool(self._running(project_id, doing))

    def busy_branches(self, project_id: str, doing: Doing) -> frozenset[str]:
        """The branches with work that Neon lists as not ended."""
        running = self._running(project_id, doing)
        return frozenset(str(each["branch_id"]) for each in running if each.get("branch_id"))

    def _running(self, project_id: str, doing: Doing, branch_id: str | None = None) -> list[Body]:
        body = self._transport.get(f"/projects/{project_id}/operations", doing, {"limit": 100})
        with reading(doing):
            return [
                operation
                for operation in items(body, "operations")
                if not _ended(operation) and branch_id in {None, operation.get("branch_id")}
            ]

    def pauses(self, doing: Doing, awaited: str) -> Iterator[None]:
        """Sleep at each step, longer and longer with jitter; raise when the budget is used up."""
        budget = self._transport.patience.operations
        deadline = self._transport.clock() + budget
        pause = _FIRST_PAUSE
        told = False
        while True:
            jittered = pause * random.uniform(0.75, 1.25)  # noqa: S311  # spreads load, guards nothing
            if self._transport.clock() + jittered > deadline:
                raise failures.took_too_long(doing, awaited, budget)
            if not told and pause > 1:
                told = True
                self._transport.tell(f"{doing.subject}: waiting for {awaited}")
            self._transport.sleep(jittered)
            yield
            pause = min(pause * (_QUICK_GROWTH if pause < _QUICK_UNTIL else _GROWTH), _LONGEST_PAUSE)

    def _finish(self, project_id: str, operation: Body, doing: Doing, pauses: Iterator[None], *, fresh: bool) -> None:
        """``fresh``: what is known of it was said just now; otherwise time went by, so ask before pausing."""
        with reading(doing):
            path = f"/projects/{project_id}/operations/{operation['id']}"
        while not _ended(operation):
            if fresh:
                next(pauses)
            fresh = True
            body = self._transport.get(path, doing)
            with reading(doing):
                operation = body["operation"]
        if operation["status"] not in _DONE:
            raise _failure(operation, doing)


def _ended(operation: Body) -> bool:
    """Whether Neon is through with it; an ``error`` with a time to retry is not the end (facts.md 6)."""
    status = operation.get("status")
    return status in _DONE or (status in _FAILED and not (status == "error" and operation.get("retry_at")))


def _failure(operation: Body, doing: Doing) -> Exception:
    known = {"operation_id": "id", "branch_id": "branch_id", "endpoint_id": "endpoint_id"}
    return failures.operation_failed(
        doing,
        action=str(operation.get("action", "unknown")),
        status=str(operation["status"]),
        error=str(operation.get("error") or ""),
        details={name: operation[field] for name, field in known.items() if operation.get(field)},
    )
