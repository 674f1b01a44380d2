"""One client connection: TLS, the startup message, waking the compute, then a relay in both directions."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from neonctl.errors import NeonctlError
from neonctl.local.front import wire
from neonctl.local.front.guard import Sighting
from neonctl.local.front.relay import Relay
from neonctl.local.front.tls import ServerTls

_LOGIN_SECONDS = 60.0
_RESERVED = frozenset({"cloud_admin"})
_INSECURE = "connection is insecure (try using `sslmode=require`)"  # Neon's words


@dataclass(frozen=True)
class Door:
    """What a port gives its sessions.

    ``enter`` wakes the compute and returns the path of a server's socket; ``leave`` is called once for each
    ``enter``. ``socket`` is that path when the compute is awake, without waking it.
    """

    context: ssl.SSLContext
    enter: Callable[[Session], Awaitable[str]]
    leave: Callable[[Session], None]
    socket: Callable[[], str | None]
    on_password: Callable[[Sighting], None]
    read_only: bool


class Session(asyncio.Protocol):
    """The client's side of a connection."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._tls: ServerTls | None = None
        self._early = b""
        self._receive = self._negotiate
        self._server: asyncio.Transport | None = None
        self._relay: Relay | None = None
        self._task: asyncio.Task[None] | None = None
        self._login: asyncio.TimerHandle | None = None
        self._entered = False

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._login = asyncio.get_running_loop().call_later(_LOGIN_SECONDS, self.abort)

    def data_received(self, data: bytes) -> None:
        if self._tls is not None:
            plain = self._decrypt(self._tls, data)
            if plain:
                self._receive(plain)
            if self._tls.ended:
                self._hang_up()
        else:
            self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._login is not None:
            self._login.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._relay is not None:
            self._relay.close()
        if self._server is not None:
            self._server.close()
        self._transport = None
        if self._entered:
            self._entered = False
            self._door.leave(self)

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None:
            self._server.resume_reading()

    # Ending

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, code: str, text: str) -> None:
        """Tell the client why, and hang up."""
        self._send(wire.error(code, text, severity="FATAL"))
        self._hang_up()

    def _hang_up(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._tls is not None and (notice := self._tls.goodbye()):
                self._transport.write(notice)
            self._transport.close()  # what was written is sent first

    # Bytes to and from the client

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data if self._tls is None else self._tls.send(data))

    def _decrypt(self, tls: ServerTls, data: bytes) -> bytes:
        established = tls.established
        try:
            plain = tls.receive(data)
        except ssl.SSLError:
            plain = b""
            self._hang_up()  # after the alert that is pending
        if (not established or tls.ended) and self._transport is not None and (alert := tls.pending()):
            self._transport.write(alert)
        return plain

    # Before the startup message

    def _negotiate(self, data: bytes) -> None:
        self._early += data
        if self._early[0] == wire.TLS_HANDSHAKE:
            self._begin_tls(self._early)
            return
        packet = self._packet()
        if packet is None:
            return
        code = _code(packet)
        if code == wire.SSL_REQUEST:
            if self._early:  # bytes before the handshake could have been slipped in by somebody else
                self.abort()
                return
            self._send(b"S")
            self._begin_tls(b"")
        elif code == wire.GSS_REQUEST:
            self._send(b"N")
        elif code == wire.CANCEL:  # older clients send it in the clear; it carries only its own key
            self._cancel(packet)
        else:
            self.refuse("28000", _INSECURE)

    def _begin_tls(self, data: bytes) -> None:
        self._early = b""
        self._tls = ServerTls(self._door.context)
        self._receive = self._start
        if data:
            self.data_received(data)

    def _packet(self) -> bytes | None:
        """Cut one packet without a type byte off the early bytes; None while it is incomplete."""
        if len(self._early) < 8:
            return None
        size = struct.unpack_from(">I", self._early)[0]
        if not 8 <= size <= wire.MAX_STARTUP:
            self.abort()
            return None
        if len(self._early) < size:
            return None
        packet, self._early = self._early[:size], self._early[size:]
        return packet

    def _start(self, data: bytes) -> None:
        self._early += data
        packet = self._packet()
        if packet is None:
            return
        code = _code(packet)
        if code == wire.CANCEL:
            self._cancel(packet)
        elif code >> 16 != wire.PROTOCOL_3:
            self.refuse("0A000", f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}")
        else:
            self._open(packet, code)

    def _open(self, packet: bytes, version: int) -> None:
        try:
            parameters = wire.startup_parameters(packet)
        except ValueError as error:
            self.refuse("08P01", str(error))
            return
        user = parameters.get("user", "")
        if user in _RESERVED:
            self.refuse("28P01", f'password authentication failed for user "{user}"')
            return
        self._receive = self._wait
        options = _options(parameters.pop("options", ""), read_only=self._door.read_only)
        startup = wire.startup(version, [*parameters.items(), *([("options", options)] if options else [])])
        self._task = asyncio.get_running_loop().create_task(self._connect(startup))

    def _wait(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > wire.MAX_STARTUP:
            self.abort()

    async def _connect(self, startup: bytes) -> None:
        self._entered = True
        try:
            path = await self._door.enter(self)
            loop = asyncio.get_running_loop()
            server, _ = await loop.create_unix_connection(lambda: _Upstream(self), path)
        except (NeonctlError, OSError) as error:
            self.refuse("57P03", f"the compute could not be started: {error}")
            return
        if self._transport is None:
            server.close()
            return
        self._server = server
        self._relay = Relay(self._send, server.write, self._door.on_password, self.abort)
        server.write(startup)
        self._receive = self._relay.from_client
        if self._login is not None:
            self._login.cancel()  # from here on the server's own authentication_timeout holds
        early, self._early = self._early, b""
        if early:
            self._relay.from_client(early)

    # What the server's side calls

    def from_server(self, data: bytes) -> None:
        """Bytes from the server."""
        if self._relay is not None:
            self._relay.from_server(data)

    def server_lost(self) -> None:
        """The server hung up."""
        self._server = None
        self._hang_up()

    def pause_client(self) -> None:
        """The server doesn't keep up."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_client(self) -> None:
        """The server does keep up again."""
        if self._transport is not None:
            self._transport.resume_reading()

    # Cancelling

    def _cancel(self, packet: bytes) -> None:
        path = self._door.socket()
        if path is None:  # nothing runs that could be cancelled
            self._hang_up()
            return
        self._task = asyncio.get_running_loop().create_task(self._pass_cancel(path, packet))

    async def _pass_cancel(self, path: str, packet: bytes) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(packet)
            await reader.read()  # the server hangs up when the signal has been sent
            writer.close()
        except OSError:
            pass
        self._hang_up()


class _Upstream(asyncio.Protocol):
    """The server's side of a connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.data_received = session.from_server

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.server_lost()

    def pause_writing(self) -> None:
        self._session.pause_client()

    def resume_writing(self) -> None:
        self._session.resume_client()


def _code(packet: bytes) -> int:
    return struct.unpack_from(">I", packet, 4)[0]


def _options(given: str, *, read_only: bool) -> str:
    # Neon's clients without SNI name their endpoint here; Postgres itself would refuse the word.
    words = [word for word in given.split() if not word.startswith(("endpoint=", "project=", "endpoint%3D"))]
    return " ".join([*words, *(["-c", "default_transaction_read_only=on"] if read_only else [])])
