"""``kill -9`` of the runner in the middle of a file, and a second run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from neonctl.migrations.files import MigrationFile, read_folder
from neonctl.migrations.history import read_history
from neonctl.migrations.runner import migrate
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

GATE = 4242
WAITS_AT_GATE = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4242"
RUNNER = """
import sys, psycopg
from pathlib import Path
from neonctl.migrations.evidence import Provenance
from neonctl.migrations.files import read_folder
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import RunSettings
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    migrate(conn, database="bank", files=read_folder(Path(sys.argv[2])), progress=lambda _: None,
            settings=RunSettings(60, 60), provenance=Provenance("killed", "trace-0"))
"""


def test_a_killed_runner_leaves_nothing_half_done_and_no_lock(
    postgres_server: PostgresServer, database: str, write: Callable[..., tuple[MigrationFile, ...]]
) -> None:
    files = write(
        "CREATE TABLE a ();",
        f"CREATE TABLE b ();\nSELECT pg_advisory_xact_lock({GATE});\nCREATE TABLE c ();",
        "CREATE TABLE d ();",
    )
    folder = files[0].path.parent
    with postgres_server.connect(database) as watcher, postgres_server.connect(database) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        _kill_at_the_gate(postgres_server.conninfo(database), folder, watcher)
        assert [row.version for row in read_history(watcher)] == ["001"]
        assert watcher.execute("SELECT to_regclass('b')").fetchone() == (None,)
        gate.execute("SELECT pg_advisory_unlock(%s)", [GATE])
        result = migrate(
            gate,
            database="bank",
            files=read_folder(folder),
            progress=lambda _: None,
            settings=SETTINGS,
            provenance=WHO,
        )
        assert result.applied == ("002", "003")


def _kill_at_the_gate(conninfo: str, folder: Path, watcher: psycopg.Connection[tuple[object, ...]]) -> None:
    """Kill the runner in the middle of V002, and wait until the server has noticed."""
    process = subprocess.Popen([sys.executable, "-c", RUNNER, conninfo, str(folder)])
    try:
        _until(lambda: watcher.execute(WAITS_AT_GATE).fetchone() is not None)
    finally:
        process.kill()
        process.wait(10)
    _until(lambda: watcher.execute(WAITS_AT_GATE).fetchone() is None)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
