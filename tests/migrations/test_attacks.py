"""Runs that are cut, killed, pooled or kept from writing: nothing half-applied, nothing twice, and it is said why."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import postgres_server as servers
from neonctl.errors import NeonctlError, ServiceError
from neonctl.migrations import run as migration_run
from neonctl.migrations.evidence import broken_chain, read_evidence
from neonctl.migrations.files import MigrationFile, MigrationFolder
from neonctl.migrations.history import read_history
from neonctl.migrations.progress import MigrationEvent
from neonctl.migrations.run import MigrationResult
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import require_direct
from postgres_server import PostgresServer

from .conftest import SETTINGS, WHO

Connection = psycopg.Connection[tuple[object, ...]]
Write = Callable[..., tuple[MigrationFile, ...]]
ADVISORY = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture
def conn(postgres_server: PostgresServer, database: str) -> Generator[Connection]:
    with postgres_server.connect(database) as connection:
        yield connection


@pytest.fixture
def login(postgres_server: PostgresServer, database: str) -> Generator[str]:
    """A role that may make things in schema public and log in over TCP, with its name as its password."""
    name = "attacked_migrator"
    with postgres_server.connect(database) as admin:
        admin.execute(sql.SQL("CREATE ROLE {0} LOGIN PASSWORD 'attacked_migrator'").format(sql.Identifier(name)))
        admin.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(sql.Identifier(name)))
        yield name
        admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def up(
    conn: Connection, files: Sequence[MigrationFile], progress: Callable[[MigrationEvent], None] = lambda _: None
) -> MigrationResult:
    folder = MigrationFolder(tuple(files))
    return migrate(conn, database="bank", files=folder, progress=progress, settings=SETTINGS, provenance=WHO)


def versions(conn: Connection) -> list[str | None]:
    return [row.version for row in read_history(conn)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- The way to the server ----------------------------------------------------------------------------------


class Wire:
    """A TCP port in front of the server whose answers can be held back, and which can be cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answers = threading.Event()
        self.answers.set()
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target_port))
            self._ends += [client, server]
            back = threading.Thread(target=self._carry, args=(server, client, self.answers))
            self._threads.append(back)
            back.start()
            self._carry(client, server, None)

    def _carry(self, source: socket.socket, target: socket.socket, gate: threading.Event | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if gate is not None:
                    gate.wait()
                target.sendall(data)

    def cut(self) -> None:
        """Nothing comes through any more, in neither direction."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.answers.set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def wire(postgres_server: PostgresServer) -> Generator[Wire]:
    made = Wire(postgres_server.port)
    yield made
    made.close()


def through(wire: Wire, server: PostgresServer, database: str, login: str) -> Connection:
    conninfo = server.tcp_conninfo(database, login, login).replace(f"port={server.port}", f"port={wire.port}")
    return psycopg.connect(conninfo, autocommit=True)


def test_a_pipe_that_breaks_before_a_file_is_said_to_be_broken_and_the_next_run_goes_on(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, wire: Wire, login: str
) -> None:
    files = write("CREATE TABLE a ();", "CREATE TABLE b ();", "CREATE TABLE c ();")

    def cut(event: MigrationEvent) -> None:
        if (event.kind, event.script) == ("applying", "V002__step_2.sql"):
            wire.cut()

    with pytest.raises(ServiceError) as caught:
        up(through(wire, postgres_server, database, login), files, cut)
    assert (caught.value.code, caught.value.exit_code) == ("DATABASE_CONNECTION_LOST", 5)
    assert versions(conn) == ["001"]
    until(lambda: conn.execute(ADVISORY).fetchone() == (0,))
    with postgres_server.connect(database, login) as again:
        assert up(again, files).applied == ("002", "003")


def test_an_answer_that_is_lost_after_the_commit_does_not_run_a_file_twice(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, wire: Wire, login: str
) -> None:
    files = write("CREATE TABLE a ();", "CREATE TABLE b ();", "CREATE TABLE c ();")

    def hold(event: MigrationEvent) -> None:
        if (event.kind, event.script) == ("applying", "V002__step_2.sql"):
            wire.answers.clear()
            threading.Thread(target=cut_when_committed).start()

    def cut_when_committed() -> None:
        with postgres_server.connect(database) as watcher:
            until(lambda: versions(watcher) == ["001", "002"])
        wire.cut()

    with pytest.raises(ServiceError) as caught:
        up(through(wire, postgres_server, database, login), files, hold)
    assert caught.value.code == "DATABASE_CONNECTION_LOST"
    until(lambda: conn.execute(ADVISORY).fetchone() == (0,))
    with postgres_server.connect(database, login) as again:
        assert up(again, files).applied == ("003",)
    assert [each.version for each in read_evidence(conn) if each.kind == "apply"] == ["001", "002", "003"]
    assert broken_chain(read_evidence(conn)) is None


# --- Killed -------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("table", ["flyway_schema_history", "neonctl_evidence"])
def test_kill_9_between_a_file_and_its_record_keeps_neither(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, table: str
) -> None:
    files = write("CREATE TABLE a ();", "CREATE TABLE b ();")
    up(conn, files[:1])
    conn.execute(
        sql.SQL(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(4243); RETURN NEW; END $$;"
            "CREATE TRIGGER a_gate BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION gate()"
        ).format(sql.Identifier(table))
    )
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4243"
    with postgres_server.connect(database) as gate:
        gate.execute("SELECT pg_advisory_lock(4243)")
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, postgres_server.conninfo(database), str(files[0].path.parent)]
        )
        try:
            until(lambda: conn.execute(waits).fetchone() == (1,))
        finally:
            process.kill()
            process.wait(10)
        until(lambda: conn.execute(waits).fetchone() == (0,))
    assert conn.execute("SELECT to_regclass('b')").fetchone() == (None,)
    assert versions(conn) == ["001"]
    assert up(conn, files).applied == ("002",)


def test_kill_9_of_the_server_in_the_middle_of_a_file(write: Write) -> None:
    files = write("CREATE TABLE a ();", "CREATE TABLE b (); SELECT pg_advisory_xact_lock(4244);", "CREATE TABLE c ();")
    with servers.running_postgres(fsync="on", synchronous_commit="on") as server:
        gate = server.connect()
        gate.execute("SELECT pg_advisory_lock(4244)")

        runner, watcher = server.connect(), server.connect()

        def kill_at_the_gate() -> None:
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4244"
            until(lambda: watcher.execute(waits).fetchone() == (1,))
            os.kill(runner.info.backend_pid, signal.SIGKILL)  # and the postmaster ends all the others

        killer = threading.Thread(target=kill_at_the_gate)
        killer.start()
        with pytest.raises(ServiceError) as caught:
            up(runner, files)
        killer.join(10)
        for each in (gate, runner, watcher):
            each.close()
        assert caught.value.code == "DATABASE_CONNECTION_LOST"
        with _reconnected(server) as conn:
            assert versions(conn) == ["001"]
            assert conn.execute("SELECT to_regclass('b')").fetchone() == (None,)
            assert up(conn, files).applied == ("002", "003")
            assert broken_chain(read_evidence(conn)) is None


def _reconnected(server: PostgresServer) -> Connection:
    found: list[Connection] = []

    def connected() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            found.append(server.connect())
        return bool(found)

    until(connected)
    return found[0]


# --- Pooled -------------------------------------------------------------------------------------------------


@pytest.fixture
def pooler(postgres_server: PostgresServer) -> Generator[str]:
    """Conninfo of PgBouncer in transaction mode in front of the server, without its dbname."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("waits for PgBouncer on the PATH: `apt install pgbouncer`; .ci/run installs it and fails without")
    folder = Path(tempfile.mkdtemp(prefix="npb"))
    folder.chmod(0o755)
    # It refuses to be root, as the server does: a namespace makes it another number, else it becomes `nobody`.
    root = os.geteuid() == 0
    in_namespace = root and servers._namespaces_work()
    port = servers._free_port()
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={postgres_server.socket_dir} port={postgres_server.port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 3\nlog_connections = 0\nlog_disconnections = 0\n"
    )
    process = subprocess.Popen(
        [program, *(["-u", "nobody"] if root and not in_namespace else []), str(folder / "pgbouncer.ini")],
        preexec_fn=servers._enter_user_namespace if in_namespace else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listening() -> bool:
        assert process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listening)
        yield f"host=127.0.0.1 port={port} user=postgres sslmode=disable"
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder)


def test_a_pooled_connection_is_refused_before_it_is_used(
    conn: Connection, database: str, write: Write, pooler: str
) -> None:
    with psycopg.connect(pooler, dbname=database, autocommit=True) as pooled, pytest.raises(ServiceError) as caught:
        up(pooled, write("CREATE TABLE a ();"))
    assert (caught.value.code, caught.value.exit_code) == ("MIGRATION_POOLED", 5)
    assert "pooler" in caught.value.message
    assert versions(conn) == []
    assert conn.execute(ADVISORY).fetchone() == (0,)


def test_a_pooler_that_hides_itself_is_noticed_when_it_changes_the_session(
    conn: Connection, database: str, write: Write, pooler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_run, "require_direct", lambda *_: None)
    with (
        psycopg.connect(pooler, dbname=database, autocommit=True) as pooled,
        psycopg.connect(pooler, dbname=database) as other,
    ):

        def take_its_session(event: MigrationEvent) -> None:
            if event.kind == "applying":
                other.execute("SELECT 1")  # and stays in the transaction

        with pytest.raises(ServiceError) as caught:
            up(pooled, write("CREATE TABLE a ();"), take_its_session)
    assert caught.value.code == "MIGRATION_POOLED"
    assert versions(conn) == []
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("ep-cool-rain-123-pooler.ap-southeast-2.aws.neon.tech", True),
        ("ep-cool-rain-123-pooler.c-2.ap-southeast-2.aws.neon.tech", True),
        ("ep-cool-rain-123.ap-southeast-2.aws.neon.tech", False),
        ("db-pooler-1.example.com", False),
    ],
)
def test_neons_pooled_host_is_known_by_its_name(
    postgres_server: PostgresServer, database: str, login: str, host: str, refused: bool
) -> None:
    conninfo = postgres_server.tcp_conninfo(database, login, login)
    with psycopg.connect(conninfo, host=host, hostaddr="127.0.0.1", autocommit=True) as named:
        if refused:
            with pytest.raises(ServiceError, match="is the pooled host"):
                require_direct(named, "bank")
        else:
            require_direct(named, "bank")


# --- Rights and clocks --------------------------------------------------------------------------------------


def test_a_role_that_may_not_do_what_a_file_says_keeps_nothing_of_it(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, login: str
) -> None:
    conn.execute("CREATE SCHEMA private")
    files = write("CREATE TABLE a ();", "CREATE TABLE b ();\nCREATE TABLE private.c ();")
    with postgres_server.connect(database, login) as weak, pytest.raises(NeonctlError) as caught:
        up(weak, files)
    assert caught.value.message.startswith(f"{files[1].path}:2: permission denied for schema private")
    assert versions(conn) == ["001"]
    assert conn.execute("SELECT to_regclass('b')").fetchone() == (None,)


def test_what_cannot_be_evidenced_is_not_done(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write, login: str
) -> None:
    up(conn, write("SELECT 1;"))
    conn.execute(
        sql.SQL("GRANT SELECT, INSERT ON flyway_schema_history TO {0}; GRANT SELECT ON neonctl_evidence TO {0}").format(
            sql.Identifier(login)
        )
    )
    with postgres_server.connect(database, login) as weak, pytest.raises(NeonctlError) as caught:
        up(weak, write("SELECT 1;", "CREATE TABLE b ();"))
    assert "permission denied for table neonctl_evidence" in caught.value.message
    assert versions(conn) == ["001"]
    assert conn.execute("SELECT to_regclass('b')").fetchone() == (None,)


def test_clocks_in_another_zone_change_nothing(
    postgres_server: PostgresServer, database: str, conn: Connection, write: Write
) -> None:
    conn.execute(sql.SQL("ALTER DATABASE {} SET TimeZone = 'Pacific/Auckland'").format(sql.Identifier(database)))
    files = write("CREATE TABLE a ();", "SET TimeZone = 'Asia/Tokyo'; CREATE TABLE b ();")
    environment = {**os.environ, "TZ": "America/New_York", "PGTZ": "Asia/Kolkata"}
    subprocess.run(
        [sys.executable, "-c", RUNNER, postgres_server.conninfo(database), str(files[0].path.parent)],
        env=environment,
        check=True,
    )
    (now,) = conn.execute("SELECT now()").fetchone() or ()
    ages = [(now - row.installed_on).total_seconds() for row in read_history(conn)]  # type: ignore[operator]
    ages += [(now - each.recorded_at).total_seconds() for each in read_evidence(conn)]  # type: ignore[operator]
    assert len(ages) == 5
    assert all(-60 < age < 600 for age in ages)  # hours, if a zone had got in
