"""One PostgreSQL cluster: starting it, waiting until it answers, stopping it, connecting as its superuser."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from neonctl.errors import ServiceError
from neonctl.local.clusters.binaries import PostgresBinaries
from neonctl.local.clusters.config import HBA, SOCKET_PORT, SUPERUSER, ClusterSettings, postgresql_conf
from neonctl.local.clusters.identity import Identity
from neonctl.secret import Secret

_START_SECONDS = 60.0
_SHUTDOWN_SECONDS = 20.0  # a fast shutdown writes a checkpoint
_POLL_SECONDS = 0.002
_LOG_BYTES = 1 << 20


@dataclass(frozen=True)
class Tools:
    """What every cluster of one engine shares."""

    postgres: PostgresBinaries
    identity: Identity
    superuser_password: Secret


class Cluster:
    """A data folder and the postmaster on it, which listens on a socket in ``socket_folder`` only."""

    def __init__(self, tools: Tools, data: Path, socket_folder: Path, log: Path) -> None:
        self._tools = tools
        self.data = data
        self.socket_folder = socket_folder
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.settings = ClusterSettings()

    @property
    def running(self) -> bool:
        """Whether the postmaster is alive at this moment."""
        return self._process is not None and self._process.poll() is None

    @property
    def socket(self) -> str:
        """Path of the Unix socket."""
        return str(self.socket_folder / f".s.PGSQL.{SOCKET_PORT}")

    async def start(self, settings: ClusterSettings) -> None:
        """Start with these settings and return when connections are accepted.

        Raises ServiceError with the end of the server's log when it does not come up.
        """
        self.settings = settings
        self._write_configuration(settings)
        deadline = time.monotonic() + _START_SECONDS
        while not await self._try_start(deadline):
            # The last children of a killed postmaster hold its shared memory for a moment.
            if time.monotonic() > deadline or "shared memory" not in self._log_tail():
                raise ServiceError(
                    "LOCAL_POSTGRES_START",
                    f"PostgreSQL did not start on {self.data}: {self._log_tail() or 'it said nothing'}",
                    hint=f"its log is {self._log}",
                )
            await asyncio.sleep(0.05)

    async def _try_start(self, deadline: float) -> bool:
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.unlink()
        with self._log.open("ab") as log:
            process = self._tools.identity.spawn(
                [self._tools.postgres.program("postgres"), "-D", str(self.data)], folder=self.data, output=log
            )
        self._process = process
        try:
            while process.poll() is None and time.monotonic() < deadline:
                if self._ready(process.pid):
                    return True
                await asyncio.sleep(_POLL_SECONDS)
        except asyncio.CancelledError:
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise
        if process.poll() is None:
            await self.stop()
        return False

    def _ready(self, pid: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _write_configuration(self, settings: ClusterSettings) -> None:
        self._tools.identity.make_folder(self.socket_folder)
        conf = postgresql_conf(settings, socket_folder=str(self.socket_folder), major=self._tools.postgres.major)
        self._tools.identity.write_private(self.data / "postgresql.conf", conf)
        self._tools.identity.write_private(self.data / "pg_hba.conf", HBA)

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return " / ".join(self._log.read_text(errors="replace").splitlines()[-3:])
        return ""

    async def stop(self) -> None:
        """Stop at once, writing everything down first (fast shutdown); harder when that takes too long."""
        process = self._process
        if process is None:
            return
        for step, patience in (
            (signal.SIGINT, _SHUTDOWN_SECONDS),
            (signal.SIGQUIT, 5.0),
            (signal.SIGKILL, 5.0),
        ):
            if process.poll() is None:
                process.send_signal(step)
                await exited(process, patience)
        self._process = None

    async def connect(self, dbname: str = "postgres") -> psycopg.AsyncConnection:
        """A connection as the superuser, in autocommit mode. The cluster must be running."""
        return await psycopg.AsyncConnection.connect(
            host=str(self.socket_folder),
            port=SOCKET_PORT,
            user=SUPERUSER,
            password=self._tools.superuser_password.reveal(),
            dbname=dbname,
            autocommit=True,
            application_name="neonctl local",
            connect_timeout=20,
        )


async def exited(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Wait until a child process has ended; False when ``patience_s`` passed first."""
    deadline = time.monotonic() + patience_s
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
