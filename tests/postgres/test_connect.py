from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import trustme
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.errors import NeonctlError
from neonctl.plan.observed import Address, CredentialMark
from neonctl.postgres.connect import Login, connect
from neonctl.postgres.failures import translate
from neonctl.postgres.probe import try_statement, try_statements
from neonctl.postgres.roles import set_password
from neonctl.secret import Secret
from postgres_server import PostgresServer
from tls_proxy import tls_proxy

Connection = psycopg.Connection[TupleRow]

CANARY = "Canary%@/: 7f3aPq9ZxWv"


@dataclass(frozen=True)
class Endpoint:
    context: ssl.SSLContext
    ca_file: Path

    def login(self, port: int, *, password: str = CANARY, user: str = "bank_app_user") -> Login:
        return Login(Address("127.0.0.1", port), "postgres", user, Secret(password), self.ca_file)


@pytest.fixture(scope="module")
def endpoint(neon: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Endpoint:
    with neon.connect(user="bank_owner") as conn:
        set_password(conn, "bank_app_user", Secret(CANARY), CredentialMark("br-1", "v-1"))
    return certified(tmp_path_factory.mktemp("tls") / "ca.pem", "127.0.0.1")


def certified(ca_file: Path, name: str) -> Endpoint:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return Endpoint(context, ca_file)


@pytest.fixture
def port(neon: PostgresServer, endpoint: Endpoint) -> Generator[int]:
    with tls_proxy(endpoint.context, neon.port) as port:
        yield port


def failure(login: Login, budget_s: float = 0.5) -> NeonctlError:
    with pytest.raises(NeonctlError) as caught:
        connect(login, application_name="neonctl test", budget_s=budget_s)
    error = caught.value
    assert CANARY not in f"{error!r} {error} {error.hint} {error.details} {error.__cause__!r} {error.__context__!r}"
    assert CANARY not in repr(login)
    return error


def test_a_verified_connection_says_who_it_is(endpoint: Endpoint, port: int) -> None:
    with connect(endpoint.login(port), application_name="neonctl/0.1 " + "x" * 80) as conn:
        assert conn.pgconn.ssl_in_use
        assert conn.autocommit
        row = conn.execute("SELECT current_user, length(current_setting('application_name'))").fetchone()
    assert row == ("bank_app_user", 63)


def test_pooled_connections_prepare_nothing(endpoint: Endpoint, port: int) -> None:
    login = endpoint.login(port)
    pooled = Login(login.address, login.dbname, login.username, login.password, login.ca_file, pooled=True)
    with connect(pooled, application_name="t", autocommit=False) as conn:
        assert (conn.prepare_threshold, conn.autocommit) == (None, False)


def test_a_certificate_for_another_name_is_refused(neon: PostgresServer, tmp_path: Path) -> None:
    other = certified(tmp_path / "ca.pem", "ep-other.example")
    with tls_proxy(other.context, neon.port) as port:
        error = failure(other.login(port), budget_s=30)
    assert (error.code, error.exit_code) == ("POSTGRES_TLS_FAILED", 5)


def test_a_certificate_of_another_authority_is_refused(endpoint: Endpoint, port: int, tmp_path: Path) -> None:
    stranger = certified(tmp_path / "ca.pem", "127.0.0.1")
    assert failure(stranger.login(port), budget_s=30).code == "POSTGRES_TLS_FAILED"
    public = Login(Address("127.0.0.1", port), "postgres", "bank_app_user", Secret(CANARY), ca_file=None)
    assert failure(public, budget_s=30).code == "POSTGRES_TLS_FAILED"


def test_a_server_without_tls_is_refused(neon: PostgresServer, endpoint: Endpoint) -> None:
    assert failure(endpoint.login(neon.port), budget_s=30).code == "POSTGRES_TLS_FAILED"


def test_a_wrong_password_is_told_at_once(endpoint: Endpoint, port: int) -> None:
    assert failure(endpoint.login(port, password=CANARY + "x"), budget_s=30).code == "POSTGRES_AUTH_FAILED"
    assert failure(endpoint.login(port, user="nobody_here"), budget_s=30).code == "POSTGRES_AUTH_FAILED"


def test_a_password_that_comes_late_is_waited_for_when_asked(
    neon: PostgresServer, endpoint: Endpoint, port: int
) -> None:
    """The first attempt's refusal in the server's log is what lets the password in."""
    late = CANARY + " late"
    with neon.connect(user="bank_owner") as conn:
        conn.execute("DROP ROLE IF EXISTS late_one; CREATE ROLE late_one LOGIN PASSWORD 'early'")
        log = neon.socket_dir / "log"
        before = log.read_text().count('authentication failed for user "late_one"')

        def set_after_first_refusal(_pause: float) -> None:
            assert log.read_text().count('authentication failed for user "late_one"') > before
            set_password(conn, "late_one", Secret(late), CredentialMark("b", "v"))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "sleep", set_after_first_refusal)
            login = endpoint.login(port, password=late, user="late_one")
            with connect(login, application_name="t", fresh=True) as made:
                assert made.execute("SELECT current_user").fetchone() == ("late_one",)
        conn.execute("DROP ROLE late_one")


def test_an_unknown_database_is_told_at_once(endpoint: Endpoint, port: int) -> None:
    login = endpoint.login(port)
    error = failure(Login(login.address, "nowhere", login.username, login.password, login.ca_file), budget_s=30)
    assert (error.code, error.message.count("nowhere")) == ("POSTGRES_REFUSED", 2)


def test_a_database_closed_to_the_role_is_told_at_once(
    neon: PostgresServer, endpoint: Endpoint, port: int, database: str
) -> None:
    with neon.connect(database, "bank_owner") as conn:
        conn.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    login = endpoint.login(port)
    closed = Login(login.address, database, login.username, login.password, login.ca_file)
    assert failure(closed, budget_s=30).code == "POSTGRES_REFUSED"


def test_nobody_there_is_unreachable_when_the_budget_is_spent(endpoint: Endpoint) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        error = failure(endpoint.login(taken.getsockname()[1]))
    assert error.code == "POSTGRES_UNREACHABLE"
    assert "refused" in error.message


@pytest.mark.parametrize("said", [b"", b"S"])
def test_a_cold_start_is_waited_for(neon: PostgresServer, endpoint: Endpoint, said: bytes) -> None:
    with (
        tls_proxy(endpoint.context, neon.port, drop_first=3, after=said) as port,
        connect(endpoint.login(port), application_name="t") as conn,
    ):
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_role_without_free_connections_is_worth_another_try(
    neon: PostgresServer, endpoint: Endpoint, port: int
) -> None:
    with neon.connect(user="bank_owner") as conn:
        conn.execute("ALTER ROLE bank_app_user CONNECTION LIMIT 0")
        try:
            error = failure(endpoint.login(port))
        finally:
            conn.execute("ALTER ROLE bank_app_user CONNECTION LIMIT -1")
    assert (error.code, error.exit_code, error.retryable) == ("POSTGRES_BUSY", 75, True)


def test_a_session_that_sets_things_right_is_not_held_up_by_settings_of_the_role(
    neon: PostgresServer, endpoint: Endpoint, port: int
) -> None:
    with neon.connect(user="bank_owner") as conn:
        conn.execute("ALTER ROLE bank_app_user SET statement_timeout = '1ms'")
        conn.execute("ALTER ROLE bank_app_user SET default_transaction_read_only = on")
        try:
            login = replace(endpoint.login(port), lock_timeout_s=7)
            with connect(login, application_name="neonctl test") as made:
                held = [
                    made.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
                    for name in ("lock_timeout", "statement_timeout", "default_transaction_read_only")
                ]
        finally:
            conn.execute("ALTER ROLE bank_app_user RESET ALL")
    assert held == [("7s",), ("0",), ("off",)]


def test_a_lock_is_worth_another_try_and_a_refusal_is_not(
    neon: PostgresServer, owner: Connection, migrator: Connection
) -> None:
    migrator.execute("CREATE TABLE core.t (id int)")
    with migrator.transaction():
        migrator.execute("LOCK TABLE core.t")
        owner.execute("SET lock_timeout = '1ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable) as locked:
            owner.execute("ALTER TABLE core.t ADD COLUMN b int")
    error = translate(locked.value, "altering")
    assert (error.code, error.exit_code, error.details) == ("POSTGRES_LOCKED", 75, {"sqlstate": "55P03"})
    with pytest.raises(psycopg.Error) as wrong:
        owner.execute("SELECT 'canary-in-the-statement' OOPS OOPS")
    error = translate(wrong.value, "asking")
    assert (error.code, error.message) == ("POSTGRES_REFUSED", 'asking: syntax error at or near "OOPS"')


def test_a_broken_connection_is_unreachable(neon: PostgresServer, database: str) -> None:
    with neon.connect(database, "bank_owner") as conn, neon.connect() as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        with pytest.raises(psycopg.OperationalError) as broken:
            conn.execute("SELECT 1")
        assert translate(broken.value, "asking").code == "POSTGRES_UNREACHABLE"
        with pytest.raises(psycopg.OperationalError) as closed:
            conn.execute("SELECT 1")
        assert translate(closed.value, "asking").code == "POSTGRES_UNREACHABLE"


def test_probes_tell_allowed_from_denied_and_leave_nothing(
    neon: PostgresServer, owner: Connection, migrator: Connection, database: str
) -> None:
    migrator.execute("CREATE TABLE core.t (id int)")
    owner.execute("GRANT USAGE ON SCHEMA core TO bank_app_user; GRANT SELECT, INSERT ON core.t TO bank_app_user")
    with neon.connect(database, "bank_app_user") as conn:
        insert, delete = sql.SQL("INSERT INTO core.t VALUES (1)"), sql.SQL("DELETE FROM core.t")
        assert try_statement(conn, insert).verdict == "allowed"
        assert try_statement(conn, delete).verdict == "denied"
        assert try_statement(conn, sql.SQL("EXPLAIN ") + insert, read_only=True).verdict == "allowed"
        assert try_statement(conn, sql.SQL("EXPLAIN ") + delete, read_only=True).verdict == "denied"
        assert try_statement(conn, insert, read_only=True).sqlstate == "25006"
        assert try_statement(conn, sql.SQL("SELECT nonsense")).verdict == "error"
        assert try_statement(conn, insert, rollback=False).verdict == "allowed"
        assert conn.execute("SELECT count(*) FROM core.t").fetchone() == (1,)
        many = [insert, delete, sql.SQL("SELECT nonsense"), sql.SQL("EXPLAIN ") + delete, sql.SQL("VACUUM"), insert]
        assert [(each.verdict, each.sqlstate) for each in try_statements(conn, many)] == [
            ("allowed", None),
            ("denied", "42501"),
            ("error", "42703"),
            ("denied", "42501"),
            ("error", "25001"),
            ("allowed", None),
        ]
        plain, explained = try_statements(conn, [insert, sql.SQL("EXPLAIN ") + insert], read_only=True)
        assert (plain.sqlstate, explained.verdict) == ("25006", "allowed")
        assert try_statements(conn, []) == []
        assert conn.execute("SELECT count(*) FROM core.t").fetchone() == (1,)
