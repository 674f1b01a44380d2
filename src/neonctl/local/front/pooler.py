"""PgBouncer in transaction mode, one per endpoint, as Neon runs it (facts.md 4)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from neonctl.errors import ServiceError
from neonctl.local.clusters.binaries import PoolerInfo
from neonctl.local.clusters.cluster import exited
from neonctl.local.clusters.config import SOCKET_PORT, SUPERUSER
from neonctl.local.clusters.identity import Identity
from neonctl.secret import Secret

_PORT = 6432  # part of the socket's name only
_START_SECONDS = 10.0
_POLL_SECONDS = 0.002

# 1.18 asks for verifiers in the client's own database, as the superuser, who may read them in any.
_AUTH_QUERY = (
    "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END"
    " FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin"
)


@dataclass(frozen=True)
class Pool:
    """Sizes of one pooler, and whether its transactions are read-only."""

    size: int  # server connections for each pair of user and database
    clients: int
    read_only: bool


class Pooler:
    """Starts PgBouncer at the first pooled connection and again after it died."""

    def __init__(
        self, info: PoolerInfo, identity: Identity, password: Secret, folder: Path, socket_folder: Path
    ) -> None:
        self._info = info
        self._identity = identity
        self._password = password
        self._folder = folder
        self._socket_folder = socket_folder
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = asyncio.Lock()

    @property
    def running(self) -> bool:
        """Whether PgBouncer is alive at this moment."""
        return self._process is not None and self._process.poll() is None

    @property
    def socket(self) -> str:
        """Path of its Unix socket."""
        return str(self._socket_folder / f".s.PGSQL.{_PORT}")

    async def start(self, pool: Pool, server_folder: Path) -> None:
        """Run PgBouncer in front of the server whose socket lies in ``server_folder``, unless it runs.

        Raises ServiceError with the end of its log when it doesn't come up.
        """
        async with self._lock:
            if self.running:
                return
            self._write_configuration(pool, server_folder)
            assert self._info.program is not None
            log = self._folder / "pgbouncer.log"
            with log.open("wb") as output:
                self._process = self._identity.spawn(
                    [str(self._info.program), "-q", str(self._folder / "pgbouncer.ini")],
                    folder=self._folder,
                    output=output,
                )
            if not await self._answers():
                await self._kill()
                said = log.read_text(errors="replace").splitlines()
                raise ServiceError(
                    "LOCAL_POOLER_START",
                    f"PgBouncer did not start: {said[-1] if said else 'it said nothing'}",
                    hint=f"its log is {log}",
                )

    async def _answers(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(self.socket)
                writer.close()
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def stop(self) -> None:
        """End PgBouncer. It holds nothing that could be lost, and asked politely it waits for its clients."""
        async with self._lock:
            await self._kill()

    async def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            await exited(self._process, 5.0)
        self._process = None

    def _write_configuration(self, pool: Pool, server_folder: Path) -> None:
        self._identity.make_folder(self._folder)
        self._identity.make_folder(self._socket_folder)
        with contextlib.suppress(FileNotFoundError):
            Path(self.socket).unlink()
        users = self._folder / "users.txt"
        self._identity.write_private(users, f'"{SUPERUSER}" "{self._password.reveal()}"\n')
        self._identity.write_private(self._folder / "pgbouncer.ini", self._configuration(pool, server_folder, users))

    def _configuration(self, pool: Pool, server_folder: Path, users: Path) -> str:
        database = f"host={server_folder} port={SOCKET_PORT} auth_user={SUPERUSER}"
        if pool.read_only:
            database += " connect_query='SET default_transaction_read_only = on'"
        lines = [
            "[databases]",
            f"* = {database}",
            "[pgbouncer]",
            "listen_addr =",
            f"listen_port = {_PORT}",
            f"unix_socket_dir = {self._socket_folder}",
            "unix_socket_mode = 0700",
            "auth_type = scram-sha-256",
            f"auth_file = {users}",
            f"auth_query = {_AUTH_QUERY}",
            "pool_mode = transaction",
            f"default_pool_size = {pool.size}",
            f"max_client_conn = {pool.clients}",
            "query_wait_timeout = 120",
            "ignore_startup_parameters = extra_float_digits",
            "server_login_retry = 1",
            "server_tls_sslmode = disable",
            "client_tls_sslmode = disable",
            "log_connections = 0",
            "log_disconnections = 0",
            "log_pooler_errors = 0",
            "log_stats = 0",
        ]
        if self._info.prepared_statements:
            lines.append("max_prepared_statements = 1000")
        if self._info.version is not None and self._info.version >= (1, 19):
            lines.append("auth_dbname = postgres")
        return "\n".join(lines) + "\n"
