"""Both directions of a connection after its startup message.

Messages are only counted: how many answers the server owes and whether a transaction is open. The guard takes
over when a message may set a password, and gives back when that transaction is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from neonctl.local.front import wire
from neonctl.local.front.guard import Guard, Sighting
from neonctl.local.front.suspicion import Suspicion, flagged

_EXAMINED, _ANSWERED, _BATCHED = 1, 2, 4
_FLAGS: tuple[int, ...] = tuple(
    (_EXAMINED if letter in b"QPB" else 0)
    | (_ANSWERED if letter in b"QSF" else 0)
    | (_BATCHED if letter in b"PBDECH" else 0)
    for letter in range(256)
)
_PARSE, _SYNC, _READY = (wire.kind(letter) for letter in "PSZ")
_COPY = frozenset(wire.kind(letter) for letter in "dcf")
_EXAMINED_BYTES = 1 << 20  # longer messages are data and pass unread
_SHORT = 64  # a Parse of COMMIT is not longer


class Relay:
    """Feed it with ``from_client`` and ``from_server``; it calls the two senders given."""

    def __init__(
        self,
        to_client: Callable[[bytes], None],
        to_server: Callable[[bytes], None],
        on_password: Callable[[Sighting], None],
        abort: Callable[[], None],
    ) -> None:
        self.to_client = to_client
        self.to_server = to_server
        self._on_password = on_password
        self._abort = abort
        self.suspicion = Suspicion()
        self.status = "I"
        self.unsynced = False  # extended messages went to the server after the last Sync
        self._owed = 1  # ReadyForQuery messages that the server owes; the first one ends the login
        self._client_part = b""
        self._client_skip = 0
        self._server_part: bytes = b""
        self._server_skip = 0
        self._settled: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._from_client: asyncio.Queue[wire.Message] | None = None
        self._from_server: asyncio.Queue[wire.Message] | None = None

    def close(self) -> None:
        """The connection has ended: so does the guard."""
        if self._task is not None:
            self._task.cancel()

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._client_part:
            data = self._client_part + data
            self._client_part = b""
        if self._from_client is not None:
            self._collect_client(data)
            return
        size, position = len(data), self._client_skip
        closely = flagged(data) or self.suspicion.watching
        while size - position >= 5:
            kind, length = wire.header(data, position)
            end = position + 1 + length
            if flags := _FLAGS[kind]:
                if flags & _EXAMINED and length <= _EXAMINED_BYTES:
                    if end > size:
                        break
                    if (closely or length < _SHORT) and self._alarming(
                        wire.Message(kind, data[position:end]), closely=closely
                    ):
                        self._forward(data[:position])
                        self._call_guard(data[position:])
                        return
                self._count(kind, flags)
            position = end
        self._client_skip = max(position - size, 0)
        if position < size:
            self._client_part = data[position:]
            data = data[:position]
        self._forward(data)

    def _forward(self, data: bytes) -> None:
        if data:
            self.to_server(data)

    def _alarming(self, message: wire.Message, *, closely: bool) -> bool:
        try:
            if message.kind == _PARSE and len(message.raw) <= _SHORT:
                self.suspicion.note_commit(message)
            return closely and self.suspicion.examine(message)
        except (ValueError, IndexError, wire.StructError):
            return False  # malformed: the server will say so

    def _count(self, kind: int, flags: int) -> None:
        if flags & _ANSWERED:
            self._owed += 1
            if kind == _SYNC:
                self.unsynced = False
        elif flags & _BATCHED:
            self.unsynced = True

    def from_server(self, data: bytes) -> None:
        """Bytes from the server."""
        if self._server_part:
            data = self._server_part + data
            self._server_part = b""
        if self._from_server is not None:
            self._collect_server(data)
            return
        size, position = len(data), self._server_skip
        while size - position >= 5:
            kind, length = wire.header(data, position)
            if kind == _READY:
                if size - position < 6:
                    break
                self.status = chr(data[position + 5])
                self._owed -= 1
            position += 1 + length
        self._server_skip = max(position - size, 0)
        if position < size:
            self._server_part = data[position:]
            data = data[:position]
        if data:
            self.to_client(data)
        if self._owed <= 0 and self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    # What the guard uses

    async def settled(self) -> None:
        """Wait until the server owes nothing; from then on its messages come out of ``next_server``."""
        if self._owed > 0:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled
            self._settled = None
        self._from_server = asyncio.Queue()

    async def next_client(self) -> wire.Message:
        """The client's next message."""
        assert self._from_client is not None
        return await self._from_client.get()

    async def next_server(self) -> wire.Message:
        """The server's next message; ReadyForQuery updates ``status``."""
        assert self._from_server is not None
        message = await self._from_server.get()
        if message.kind == _READY:
            self.status = chr(message.raw[5])
        return message

    def idle(self) -> bool:
        """Whether the client has sent nothing that waits for the guard."""
        return self._from_client is not None and self._from_client.empty()

    def release(self) -> None:
        """Back to relaying."""
        self._from_client = self._from_server = None
        self._task = None
        self._owed = 0
        self.unsynced = False

    def report(self, sighting: Sighting) -> None:
        """A committed password."""
        self._on_password(sighting)

    def _call_guard(self, rest: bytes) -> None:
        self._from_client = asyncio.Queue()
        self._collect_client(rest)
        self._task = asyncio.get_running_loop().create_task(Guard(self).run())
        self._task.add_done_callback(self._guard_done)

    def _guard_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._abort()  # an unforeseen message: a cut connection is better than a password let through

    def _collect_client(self, data: bytes) -> None:
        queue = self._from_client
        assert queue is not None
        messages, self._client_part = _split(data)
        for message in messages:
            if message.kind in _COPY and queue.empty():
                self.to_server(message.raw)  # COPY's data belongs to a statement that the guard has sent
            else:
                queue.put_nowait(message)

    def _collect_server(self, data: bytes) -> None:
        queue = self._from_server
        assert queue is not None
        if self._server_skip:
            head = data[: self._server_skip]
            self._server_skip -= len(head)
            self.to_client(head)
            data = data[len(head) :]
        messages, self._server_part = _split(data)
        for message in messages:
            queue.put_nowait(message)


def _split(data: bytes) -> tuple[list[wire.Message], bytes]:
    messages: list[wire.Message] = []
    position = 0
    while len(data) - position >= 5:
        kind, length = wire.header(data, position)
        end = position + 1 + length
        if end > len(data):
            break
        messages.append(wire.Message(kind, data[position:end]))
        position = end
    return messages, data[position:]
