"""Connections that are made once and used several times in one command: each costs a handshake and a login."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus

from neonctl.secret import Secret

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from psycopg.rows import TupleRow  # noqa: F401  # in the alias below

    from neonctl.neon.connection import ConnectionTarget

_Connection = psycopg.Connection["TupleRow"]
_Key = tuple[str, str, str, Secret]  # address, database, role, password


class KeptConnections:
    """Idle connections by where they lead and how they got in. Safe between threads; all are closed at the end.

    ``ways``: what Neon said of how the owner role gets in, by branch and whether through the pooler.
    """

    def __init__(self) -> None:
        self.ways: dict[tuple[str, bool], ConnectionTarget] = {}
        self._idle: dict[_Key, list[_Connection]] = {}
        self._open = ExitStack()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @contextmanager
    def borrow(
        self, target: ConnectionTarget, database: str, connect: Callable[[], AbstractContextManager[_Connection]]
    ) -> Generator[_Connection]:
        """A connection for the length of a block; nobody else has it meanwhile."""
        key = (str(target.address), database, target.username, target.password)
        connection = self._take(key)
        if connection is None:
            made = connect()
            connection = made.__enter__()
            with self._lock:
                self._open.push(made)
        try:
            yield connection
        finally:
            if not connection.closed and connection.info.transaction_status is TransactionStatus.IDLE:
                with self._lock:
                    self._idle.setdefault(key, []).append(connection)

    def forget(self, branch_id: str) -> None:
        """Passwords of this branch were changed, which ends its connections: soon, and not at a moment one can see."""
        known = [self.ways.pop((branch_id, pooled), None) for pooled in (False, True)]
        addresses = {str(way.address) for way in known if way is not None}
        with self._lock:
            for key in [key for key in self._idle if key[0] in addresses]:
                del self._idle[key]

    def _take(self, key: _Key) -> _Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(key)
                connection = idle.pop() if idle else None
            if connection is None or _alive(connection):
                return connection


def _alive(connection: _Connection) -> bool:
    """Whether the server has not ended it meanwhile, as Neon does when a role changes.

    An idle connection has nothing to say but that it ends; the end itself comes a moment after these last words.
    """
    if connection.closed or connection.broken:
        return False
    with selectors.DefaultSelector() as waiting:
        waiting.register(connection.pgconn.socket, selectors.EVENT_READ)
        return not waiting.select(0)
