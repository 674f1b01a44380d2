from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from neonctl.errors import RetryableError
from neonctl.local.clusters.identity import Identity, as_nobody, choose_identity, namespace_identities
from neonctl.local.clusters.orphans import find_orphans
from neonctl.local.engine import ComputeConfig

from .conftest import CONFIG, Running, eventually


def test_a_compute_wakes_sleeps_and_wakes(running: Running) -> None:
    _, endpoint, ports = running.branch()
    engine = running.engine
    assert not engine.compute_active(endpoint)
    connection = running.connect(ports.direct)
    assert engine.compute_active(endpoint)
    running.call(engine.suspend_compute(endpoint))
    assert not engine.compute_active(endpoint)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    with running.connect(ports.pooled) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    running.call(engine.reconfigure(endpoint, ComputeConfig(60, 0, 4, 200, wal_logical=True)))
    running.call(engine.restart_compute(endpoint))
    with running.connect(ports.direct) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("60",)
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
        assert engine.compute_active(endpoint)
    eventually(lambda: not engine.compute_active(endpoint))  # idle for 0 seconds
    running.call(engine.start_compute(endpoint))
    eventually(lambda: not engine.compute_active(endpoint))


@pytest.mark.usefixtures("pooler")
def test_killed_servers_are_replaced(running: Running) -> None:
    branch, endpoint, ports = running.branch()
    with running.connect(ports.pooled) as connection:
        connection.execute("CREATE TABLE kept (x int)")
    data = running.data_dir / "branches" / branch
    for program, folder in (("pgbouncer", running.data_dir / "poolers" / endpoint), ("postgres", data)):
        (leader,) = [one for one in find_orphans(folder.resolve()) if one.program == program and one.leader]
        os.kill(leader.pid, signal.SIGKILL)
        for port in (ports.pooled, ports.direct):
            eventually(lambda port=port: can_select(running, port))


def can_select(running: Running, port: int) -> bool:
    try:
        with running.connect(port) as connection:
            return connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    except psycopg.OperationalError:
        return False


CHILD = """
import asyncio, sys
from pathlib import Path
from neonctl.local.engine import ComputeConfig, Engine

async def main():
    engine = Engine(Path(sys.argv[1]), on_password=lambda seen: None)
    await engine.open()
    await engine.create_branch("br-one", parent=None)
    ports = await engine.expose("ep-one", "br-one", ComputeConfig(50, None, 4, 100, wal_logical=False))
    async with engine.superuser("br-one") as connection:
        await connection.execute("CREATE ROLE owner LOGIN PASSWORD 'Correct-horse-42'")
        await connection.execute("CREATE DATABASE bank OWNER owner")
    print(ports.direct, ports.pooled, engine.ca_file, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_after_kill_9_of_the_engine_everything_is_there_again(seeded: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(seeded)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    direct, pooled, ca_file = child.stdout.readline().split()
    parameters = f"host=localhost user=owner password=Correct-horse-42 sslmode=verify-full sslrootcert={ca_file}"
    with psycopg.connect(f"{parameters} port={pooled} dbname=bank", autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (x int)")
        child.kill()
        child.wait()
    child.stdout.close()
    assert find_orphans(seeded.resolve()) != []
    (seeded / "branches" / "br-half.part").mkdir()
    (seeded / "branches" / "br-one" / "postmaster.pid").write_text(f"{os.getpid()}\n")  # reused since
    again = Running(seeded)
    try:
        assert find_orphans(seeded.resolve()) == []
        assert not (seeded / "branches" / "br-half.part").exists()
        ports = again.call(again.engine.expose("ep-one", "br-one", CONFIG))
        assert (ports.direct, ports.pooled) == (int(direct), int(pooled))
        for port in (ports.direct, ports.pooled):
            with again.connect(port) as connection:
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    finally:
        again.close()
    assert find_orphans(seeded.resolve()) == []


def test_two_engines_keep_apart(running: Running, seeded: Path, main: tuple[str, str, object]) -> None:
    with pytest.raises(RetryableError, match="another process"):
        Running(running.data_dir)
    other = Running(seeded)
    try:
        other.call(other.engine.create_branch(main[0], parent=None))
        ports = other.call(other.engine.expose(main[1], main[0], CONFIG))
        assert ports != main[2]
        assert other.sql(main[0], "SELECT 1 FROM pg_roles WHERE rolname = 'owner'") == []
        assert running.sql(main[0], "SELECT 1 FROM pg_roles WHERE rolname = 'owner'") != []
    finally:
        other.close()
    assert running.sql(main[0], "SELECT 1") == [(1,)]


def test_the_files_are_private(running: Running) -> None:
    for path in (".", "branches", "ca", "superuser", "ca/ca.key", "endpoints.json"):
        assert stat.S_IMODE((running.data_dir / path).stat().st_mode) & 0o077 == 0


def test_a_long_path_gets_a_short_socket(seeded: Path) -> None:
    deep = seeded.parent / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir(parents=True)
    seeded.rename(deep)
    engine = Running(deep)
    try:
        engine.call(engine.engine.create_branch("br-deep", parent=None))
        assert engine.sql("br-deep", "SELECT 1") == [(1,)]
        sockets = Path((deep / "sockets").read_text())
        assert sockets.stat().st_mode & 0o077 == 0
    finally:
        engine.close()
    assert not sockets.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
class TestRoot:
    def test_children_are_not_root(self) -> None:
        assert choose_identity().run(["/usr/bin/id", "-u"], folder=Path("/")).stdout.strip() != b"0"

    @pytest.mark.parametrize("number", [0, 1])
    def test_both_namespace_launchers_work(self, number: int, tmp_path: Path) -> None:
        identities = namespace_identities()
        result = identities[number].run(["/usr/bin/id", "-u"], folder=tmp_path)
        assert result.stdout.strip() == b"65534"

    def test_nobody_runs_a_cluster(self, running: Running) -> None:
        nobody = as_nobody()
        assert isinstance(nobody, Identity)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o711)
            engine = Running(Path(folder) / "data", identity=nobody)
            try:
                engine.call(engine.engine.create_branch("br-nobody", parent=None))
                engine.call(engine.engine.create_branch("br-child", parent="br-nobody"))
                assert engine.sql("br-child", "SELECT 1") == [(1,)]
                (leader,) = [one for one in find_orphans(Path(folder, "data", "branches", "br-child")) if one.leader]
                assert Path("/proc", str(leader.pid)).stat().st_uid == nobody.user
            finally:
                engine.close()


def test_closing_twice_and_unused_is_fine(seeded: Path) -> None:
    from neonctl.local.engine import Engine

    async def twice() -> None:
        engine = Engine(seeded, on_password=lambda seen: None)
        await engine.open()
        await engine.close()
        await engine.close()

    asyncio.run(twice())
