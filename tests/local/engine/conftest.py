"""One engine for the session, in a thread with its own event loop, so that tests speak plain psycopg."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from neonctl.local.clusters.identity import Identity
from neonctl.local.engine import ComputeConfig, Engine, Ports, SeenPassword

T = TypeVar("T")
CONFIG = ComputeConfig(
    max_connections=104, idle_suspend_seconds=None, pool_size=4, max_client_conn=200, wal_logical=False
)
OWNER = "owner"
PASSWORD = "Correct-horse-42"
COUNTER = itertools.count()


class Running:
    """An engine at work. ``call`` runs one of its coroutines and returns the result."""

    def __init__(self, data_dir: Path, *, identity: Identity | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="engine")
        self._thread.start()
        self.data_dir = data_dir
        self.seen: list[SeenPassword] = []
        self.engine = Engine(data_dir, on_password=self.seen.append, identity=identity)
        try:
            self.call(self.engine.open())
        except BaseException:
            self._stop_loop()
            raise

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def close(self) -> None:
        self.call(self.engine.close())
        self._stop_loop()

    def _stop_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def sql(self, branch_id: str, *statements: str, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements as the superuser; the rows of the last one."""

        async def run() -> list[tuple[Any, ...]]:
            async with self.engine.superuser(branch_id, dbname) as connection:
                cursor = None
                for statement in statements:
                    cursor = await connection.execute(statement)  # type: ignore[arg-type]
                assert cursor is not None
                return await cursor.fetchall() if cursor.description else []

        return self.call(run())

    def branch(self, parent: str | None = None, **config: Any) -> tuple[str, str, Ports]:
        """A new branch with an endpoint: their ids and the ports. A root branch gets the role ``owner``."""
        number = next(COUNTER)
        branch_id, endpoint_id = f"br-test-{number}", f"ep-test-{number}"
        self.call(self.engine.create_branch(branch_id, parent=parent))
        if parent is None:
            self.sql(
                branch_id,
                f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS PASSWORD '{PASSWORD}'"
                " IN ROLE neon_superuser",
                f"CREATE DATABASE bank OWNER {OWNER}",
            )
        settings = ComputeConfig(**{**CONFIG.__dict__, **config})
        return branch_id, endpoint_id, self.call(self.engine.expose(endpoint_id, branch_id, settings))

    def connect(self, port: int, **parameters: Any) -> psycopg.Connection:
        """A client as users have it: verify-full, over TCP, autocommit unless said otherwise."""
        return psycopg.connect(
            **{
                "host": "localhost",
                "port": port,
                "user": OWNER,
                "password": PASSWORD,
                "dbname": "bank",
                "sslmode": "verify-full",
                "sslrootcert": str(self.engine.ca_file),
                "autocommit": True,
                "prepare_threshold": None,
                "connect_timeout": 20,
                **parameters,
            }
        )


def eventually(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait for a condition; fail when it doesn't come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    engine = Running(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def main(running: Running) -> tuple[str, str, Ports]:
    """A branch that tests read, log in to, and make roles in; they don't stop it."""
    return running.branch()


@pytest.fixture
def seeded(running: Running, tmp_path: Path) -> Path:
    """A data folder for another engine that need not make its own template."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "template").symlink_to(running.data_dir / "template")
    shutil.copy(running.data_dir / "superuser", folder / "superuser")
    return folder


@pytest.fixture
def pooler(running: Running) -> None:
    if running.engine.pooler.program is None:
        pytest.skip("waits for PgBouncer on the PATH: `apt install pgbouncer`; .ci/run installs it and fails without")
