"""One change, done once: serialised per project, waited for, and never repeated blindly.

When the answer to a change is lost, or Neon says that the thing exists already, the state is read again. What
is there as wanted is adopted after its operations are done; what is not there is sent again (facts.md 6: Neon
knows no idempotency key).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from neonctl.errors import NeonctlError
from neonctl.frozen import frozen
from neonctl.neon.operations import Operations
from neonctl.neon.responses import reading
from neonctl.neon.transport import Body, LostAnswerError, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from neonctl.neon.failures import Doing

T = TypeVar("T")


@frozen
class Change(Generic[T]):
    """A change and how to recognise that it was made.

    ``answer`` reads the result from Neon's answer (None: 204); ``look`` reads it from the present state and
    gives None when it is not there as wanted. ``look_after``: error codes that may mean "done already".
    """

    doing: Doing
    method: str
    path: str
    answer: Callable[[Body | None], T]
    look: Callable[[], T | None]
    body: Body | None = None
    look_after: frozenset[str] = frozenset({"NEON_CONFLICT"})


class ProjectLocks:
    """One lock per project: Neon refuses a change while another one of the project runs (facts.md 6)."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def hold(self, project: str) -> Generator[None]:
        """Be the only one in this process who changes the project."""
        with self._guard:
            lock = self._locks.setdefault(project, threading.Lock())
        with lock:
            yield


class Calls:
    """What every group of the client's methods stands on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._operations = Operations(transport)
        self._locks = ProjectLocks()

    def _change(self, project_id: str, change: Change[T]) -> T:
        """Make one change and wait for it. Raises ServiceError."""
        with self._locks.hold(project_id):
            return self._change_locked(project_id, change)

    def _delete(self, project_id: str, doing: Doing, path: str, gone: Callable[[], bool]) -> bool:
        """Delete; False when it was gone already (204 or 404, facts.md 6); True also if only a lost answer knows."""
        change = Change(doing, "DELETE", path, lambda body: body is not None, lambda: True if gone() else None)
        try:
            return self._change(project_id, change)
        except NeonctlError as refusal:
            if refusal.code == "NEON_NOT_FOUND":
                return False
            raise

    def _change_locked(self, project_id: str, change: Change[T]) -> T:
        deadline = self._transport.clock() + self._transport.patience.failing
        pauses = self._operations.pauses(change.doing, "an answer")
        looks = 2  # what is lost may still be on its way; later rounds have waited long enough for it
        while True:
            try:
                return self._sent(project_id, change)
            except LostAnswerError as lost:
                failure = lost.failure
            found = self._found(project_id, change, looks)
            if found is not None:
                return found
            looks = 1
            if self._transport.clock() > deadline:
                raise failure
            next(pauses)

    def _sent(self, project_id: str, change: Change[T]) -> T:
        """Send it and wait. A refusal that may mean "done already" is answered with what is there."""
        try:
            body = self._transport.send(change.method, change.path, change.doing, change.body)
        except NeonctlError as error:
            refusal = error
        else:
            self._operations.finish(project_id, body, change.doing)
            with reading(change.doing):
                return change.answer(body)
        if refusal.code in change.look_after:
            found = self._found(project_id, change, looks=1)
            if found is not None:
                return found
        raise refusal

    def _found(self, project_id: str, change: Change[T], looks: int) -> T | None:
        """Let running work finish and look whether the change is there."""
        for _ in range(looks):
            self._operations.settle(project_id, change.doing)
            found = change.look()
            if found is not None:
                return found
        return None
