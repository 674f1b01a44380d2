"""One endpoint: its two ports, the sessions behind them, its pooler and its idle time."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable

from neonctl.errors import ServiceError
from neonctl.local.branch import Branch
from neonctl.local.front.guard import Sighting
from neonctl.local.front.pooler import Pool, Pooler
from neonctl.local.front.session import Door, Session
from neonctl.local.registry import ComputeConfig, Ports

_HOSTS = ("127.0.0.1", "::1")
_LISTEN_ATTEMPTS = 40
_LISTEN_PAUSE_SECONDS = 0.05


class Compute:
    """Listens on an endpoint's ports as long as it exists; wakes and suspends what is behind them."""

    def __init__(
        self,
        endpoint_id: str,
        branch: Branch,
        config: ComputeConfig,
        ports: Ports,
        *,
        context: ssl.SSLContext,
        pooler: Pooler | None,
        on_password: Callable[[Sighting], None],
    ) -> None:
        self.endpoint_id = endpoint_id
        self.branch = branch
        self.config = config
        self.ports = ports
        self._context = context
        self._pooler = pooler
        self._on_password = on_password
        self._servers: list[asyncio.Server] = []
        self._sessions: set[Session] = set()
        self._lock = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> bool:
        """Whether the compute runs."""
        return self.branch.is_active(self.endpoint_id)

    # Ports

    async def listen(self) -> None:
        """Take both ports. Raises ServiceError when another program has one of them."""
        for port, enter, socket in (
            (self.ports.direct, self._enter_direct, self._direct_socket),
            (self.ports.pooled, self._enter_pooled, self._pooled_socket),
        ):
            # The pooler applies "options" at its own connections to the server, not at the client's.
            by_options = self.config.read_only and not (port == self.ports.pooled and self._pooler)
            door = Door(self._context, enter, self._leave, socket, self._on_password, by_options)
            for host in _HOSTS:
                server = await self._listen_on(host, port, door)
                if server is not None:
                    self._servers.append(server)

    async def _listen_on(self, host: str, port: int, door: Door) -> asyncio.Server | None:
        loop = asyncio.get_running_loop()
        for attempt in range(_LISTEN_ATTEMPTS):
            try:
                return await loop.create_server(lambda: Session(door), host, port, backlog=512)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    if host == "127.0.0.1":
                        raise
                    return None  # a machine without IPv6
                if attempt + 1 < _LISTEN_ATTEMPTS:
                    await asyncio.sleep(_LISTEN_PAUSE_SECONDS)
        raise ServiceError(
            "LOCAL_PORT_TAKEN",
            f"port {port} on {host}, which belongs to endpoint {self.endpoint_id}, is used by another program",
            hint=f"find it with `lsof -i :{port}` and stop it",
        )

    # The sessions' way in and out

    async def _enter_direct(self, session: Session) -> str:
        await self._enter(session)
        return self.branch.cluster.socket

    async def _enter_pooled(self, session: Session) -> str:
        await self._enter(session)
        if self._pooler is None:
            return self.branch.cluster.socket
        await self._pooler.start(
            Pool(self.config.pool_size, self.config.max_client_conn, self.config.read_only),
            self.branch.cluster.socket_folder,
        )
        return self._pooler.socket

    async def _enter(self, session: Session) -> None:
        self._sessions.add(session)
        self._stop_clock()
        async with self._lock:  # waits for a suspend that is under way
            await self.branch.activate(self.endpoint_id)

    def _leave(self, session: Session) -> None:
        self._sessions.discard(session)
        self._start_clock()

    def _direct_socket(self) -> str | None:
        return self.branch.cluster.socket if self.active else None

    def _pooled_socket(self) -> str | None:
        if self._pooler is None:
            return self._direct_socket()
        return self._pooler.socket if self._pooler.running else None

    # Starting and stopping

    async def start(self) -> None:
        """Run the compute; nothing to do when it runs."""
        async with self._lock:
            await self.branch.activate(self.endpoint_id)
        self._start_clock()

    async def suspend(self) -> None:
        """Cut all connections and stop; the next connection wakes it."""
        async with self._lock:
            await self._disconnect()
            await self.branch.deactivate(self.endpoint_id)

    async def mend(self) -> None:
        """After a crash: cut what hangs on the dead server, above all the pooler, whose clients would wait."""
        if self.branch.has_crashed(self.endpoint_id):
            await self.suspend()

    async def restart(self) -> None:
        """Cut all connections, stop and start with the configuration that holds now."""
        async with self._lock:
            await self._disconnect()
            await self.branch.restart(self.endpoint_id)
        self._start_clock()

    async def close(self) -> None:
        """Give the ports back and stop."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self.suspend()
        for task in self._tasks:
            task.cancel()

    async def _disconnect(self) -> None:
        self._stop_clock()
        for session in tuple(self._sessions):
            session.refuse("57P01", "terminating connection due to administrator command")
        if self._pooler is not None:
            await self._pooler.stop()

    # Idle time

    def _start_clock(self) -> None:
        self._stop_clock()
        if self.config.idle_suspend_seconds is not None and not self._sessions and self.active:
            self._idle = asyncio.get_running_loop().call_later(self.config.idle_suspend_seconds, self._suspend_idle)

    def _stop_clock(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _suspend_idle(self) -> None:
        async def suspend() -> None:
            async with self._lock:
                if not self._sessions:
                    await self._disconnect()
                    await self.branch.deactivate(self.endpoint_id)

        task = asyncio.get_running_loop().create_task(suspend())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
