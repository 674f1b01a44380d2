from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import trustme
from psycopg import errors

from neonctl.local.engine import Ports

from .conftest import PASSWORD, Running

Main = tuple[str, str, Ports]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "ep-x.localhost"])
@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_the_server_proves_who_it_is(running: Running, main: Main, host: str, negotiation: str) -> None:
    with running.connect(main[2].direct, host=host, hostaddr="127.0.0.1", sslnegotiation=negotiation) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT current_user").fetchone() == ("owner",)


def test_another_authority_or_name_is_refused_by_the_client(running: Running, main: Main, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(str(other))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        running.connect(main[2].direct, sslrootcert=str(other))
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        running.connect(main[2].direct, host="example.test", hostaddr="127.0.0.1")


@pytest.mark.parametrize("port", ["direct", "pooled"])
def test_without_tls_nobody_comes_in(running: Running, main: Main, port: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="connection is insecure"):
        running.connect(getattr(main[2], port), sslmode="disable")


@pytest.mark.parametrize("port", ["direct", "pooled"])
def test_wrong_passwords_and_the_superuser_are_refused(running: Running, main: Main, port: str) -> None:
    superuser = (running.data_dir / "superuser").read_text()
    for user, password in (("owner", "wrong"), ("cloud_admin", superuser), ("nobody-at-all", "x")):
        with pytest.raises(psycopg.OperationalError):
            running.connect(getattr(main[2], port), user=user, password=password)


# PQcancel blocks without giving other threads of its process a turn, the engine's among them: hence a process.
CANCEL = """
import sys, threading, psycopg
way, conninfo = sys.argv[1:]
with psycopg.connect(conninfo, autocommit=True) as connection, psycopg.connect(conninfo, autocommit=True) as other:
    def cancel():
        while not other.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone():
            pass
        getattr(connection, way)()
    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        connection.execute("SELECT pg_sleep(30)")
    except psycopg.errors.QueryCanceled:
        print("cancelled")
    thread.join()
    print(connection.execute("SELECT 'usable'").fetchone()[0])
"""


@pytest.mark.parametrize("way", ["cancel", "cancel_safe"])
@pytest.mark.parametrize("port", ["direct", "pooled"])
def test_a_query_can_be_cancelled(running: Running, main: Main, way: str, port: str) -> None:
    with running.connect(getattr(main[2], port)) as connection:
        conninfo = psycopg.conninfo.make_conninfo(connection.info.dsn, password=PASSWORD)
    result = subprocess.run([sys.executable, "-c", CANCEL, way, conninfo], capture_output=True, text=True, timeout=25)
    assert (result.stdout.split(), result.stderr) == (["cancelled", "usable"], "")


def test_large_results_and_statements_pass_whole(running: Running, main: Main) -> None:
    with running.connect(main[2].direct) as connection:
        text = "password " * 300_000  # longer than what is examined, and full of what is looked for
        assert connection.execute("SELECT %s::text", [text]).fetchone() == (text,)
        rows = connection.execute("SELECT repeat('x', 5000) FROM generate_series(1, 4000)").fetchall()
        assert len(rows) == 4000
        with connection.cursor().copy("COPY (SELECT repeat('y', 100) FROM generate_series(1, 50000)) TO STDOUT") as out:
            assert sum(len(block) for block in out) == 50000 * 101


def test_notifications_pass(running: Running, main: Main) -> None:
    with running.connect(main[2].direct) as connection:
        connection.execute("LISTEN news")
        running.sql(main[0], "NOTIFY news, 'hello'", dbname="bank")
        assert next(connection.notifies(timeout=10, stop_after=1)).payload == "hello"
        connection.execute("CREATE ROLE noted PASSWORD 'Str0ng-and-long-enough'; DROP ROLE noted")


@pytest.mark.usefixtures("pooler")
def test_the_pooled_port_shares_servers_between_transactions(running: Running, main: Main) -> None:
    clients = [running.connect(main[2].pooled) for _ in range(12)]
    try:
        pids = {client.execute("SELECT pg_backend_pid()").fetchone() for client in clients}
        assert len(pids) <= 4  # pool_size
        with clients[0].transaction():
            held = clients[0].execute("SELECT pg_backend_pid()").fetchone()
            others = {client.execute("SELECT pg_backend_pid()").fetchone() for client in clients[1:]}
            assert held not in others
    finally:
        for client in clients:
            client.close()


@pytest.mark.usefixtures("pooler")
def test_roles_made_by_sql_come_in_through_the_pooler(running: Running, main: Main) -> None:
    first, second = "First-password-42", "Second-password-43"
    running.sql(main[0], f"CREATE ROLE made_by_sql LOGIN PASSWORD '{first}'")
    with running.connect(main[2].pooled, user="made_by_sql", password=first) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("made_by_sql",)
    running.sql(main[0], f"ALTER ROLE made_by_sql PASSWORD '{second}'")
    with running.connect(main[2].pooled, user="made_by_sql", password=second) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        running.connect(main[2].pooled, user="made_by_sql", password=first)


@pytest.mark.parametrize("port", ["direct", "pooled"])
def test_a_read_only_endpoint_refuses_writes(running: Running, main: Main, port: str) -> None:
    config = running.engine._computes[main[1]].config
    replica = type(config)(**{**config.__dict__, "read_only": True})
    ports = running.call(running.engine.expose("ep-replica", main[0], replica))
    with running.connect(getattr(ports, port)) as connection, pytest.raises(errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE refused (x int)")
