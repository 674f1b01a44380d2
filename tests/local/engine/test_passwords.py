from __future__ import annotations

import contextlib

import psycopg
import pytest
from psycopg import errors

from neonctl.local.engine import Ports, SeenPassword
from neonctl.secret import Secret

from .conftest import PASSWORD, Running

GOOD = "Str0ng-and-long-enough"
HASH = (
    "SCRAM-SHA-256$4096:d1tRZ1lSc0pOa3pXQkpOaQ==$"
    "O4hlY5W1WHjlzVBmMaZ6xCX1dI7UI0kYGPJxQKCyPBo=:ydUbdUnGjpVZCVPxEwNQ0oVnHWo2Jq8yJ5xWcB0uDmE="
)
MD5 = "md5" + "0123456789abcdef" * 2
REFUSAL = "Neon only supports being given plaintext passwords"


def seen(running: Running, branch_id: str, role: str) -> list[str]:
    return [one.password.reveal() for one in running.seen if (one.branch_id, one.role) == (branch_id, role)]


def exists(connection: psycopg.Connection, role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


@pytest.fixture(params=["direct", "pooled"])
def client(request: pytest.FixtureRequest, running: Running, main: tuple[str, str, Ports]):
    with running.connect(getattr(main[2], request.param)) as connection:
        yield connection


@pytest.mark.parametrize("verifier", [HASH, MD5])
def test_a_hash_in_a_transaction_fails_at_commit(client: psycopg.Connection, verifier: str) -> None:
    client.execute("BEGIN")
    client.execute("CREATE TABLE pg_temp.kept (x int)")
    client.execute(f"CREATE ROLE hashed LOGIN PASSWORD '{verifier}'")
    assert client.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(errors.InternalError_, match=REFUSAL) as caught:
        client.execute("COMMIT")
    assert caught.value.sqlstate == "XX000"
    assert str(caught.value).startswith("Received HTTP code 400 from control plane: {")
    assert client.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert not exists(client, "hashed")


HASHED_STATEMENTS = {
    "plain": f"CREATE ROLE hashed LOGIN PASSWORD '{HASH}'",
    "do": f"DO $$ BEGIN EXECUTE format('CREATE ROLE hashed PASSWORD %L', '{HASH}'); END $$",
    "nested": f"DO $$ BEGIN EXECUTE 'CREATE ROLE hashed PASSWORD ''{HASH}'''; END $$",
    "several": f"SELECT 1; CREATE USER hashed ENCRYPTED PASSWORD '{HASH}'; SELECT 2",
    "whole": f"BEGIN; CREATE ROLE hashed PASSWORD '{HASH}'; COMMIT",
    "comment": f"/* ' */ CREATE  ROLE hashed -- it's\n PASSWORD '{HASH}'",
}


@pytest.mark.parametrize("statement", HASHED_STATEMENTS.values(), ids=HASHED_STATEMENTS)
def test_a_hash_without_a_transaction_fails_at_once(client: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.InternalError_, match=REFUSAL):
        client.execute(statement)
    assert client.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert not exists(client, "hashed")


def test_a_hash_bound_as_a_parameter_is_found(client: psycopg.Connection) -> None:
    with pytest.raises(errors.InternalError_, match=REFUSAL), client.transaction():
        client.execute("SELECT set_config('t.password', %s, true)", [HASH])
        client.execute(
            "DO $$ BEGIN EXECUTE format('CREATE ROLE hashed PASSWORD %L', current_setting('t.password')); END $$"
        )
    assert not exists(client, "hashed")


def test_a_hash_in_a_pipeline_is_refused(running: Running, main: tuple[str, str, Ports]) -> None:
    with running.connect(main[2].direct, autocommit=False) as client:
        with pytest.raises(errors.InternalError_, match=REFUSAL), client.pipeline():
            client.execute("SELECT 1")
            client.execute(f"CREATE ROLE hashed PASSWORD '{HASH}'")
            client.execute("SELECT 2")
            client.commit()
        client.rollback()
        assert not exists(client, "hashed")


def test_a_hash_that_is_rolled_back_or_only_stored_is_nobodys_business(client: psycopg.Connection) -> None:
    with client.transaction():
        client.execute("CREATE TEMP TABLE notes (password text) ON COMMIT DROP")
        client.execute("INSERT INTO notes VALUES (%s)", [HASH])
        with client.transaction(force_rollback=True):
            client.execute(f"CREATE ROLE hashed PASSWORD '{HASH}'")
        client.execute(f"SELECT 'CREATE ROLE x PASSWORD ''{HASH}'''")
    assert not exists(client, "hashed")


def test_a_weak_password_is_refused(client: psycopg.Connection) -> None:
    for weak in ("short", "aaaaaaaaaaaaaaaaaaaa", "1234567890123"):
        with pytest.raises(errors.InternalError_, match="too weak"):
            client.execute(f"CREATE ROLE weak PASSWORD '{weak}'")
    assert not exists(client, "weak")


PLAIN_STATEMENTS = {
    "plain": (f"CREATE ROLE seen LOGIN PASSWORD '{GOOD}'", GOOD),
    "alter": (f"CREATE ROLE seen; ALTER USER seen WITH ENCRYPTED PASSWORD '{GOOD}' LOGIN", GOOD),
    "quotes": ("CREATE ROLE seen PASSWORD 'it''s-Long-enough-42'", "it's-Long-enough-42"),
    "escapes": (r"CREATE ROLE seen PASSWORD E'back\\slash-\x41-\u00e9-42\''", "back\\slash-A-é-42'"),
    "dollars": ("CREATE ROLE seen PASSWORD $x$it's-Long-enough-42$x$", "it's-Long-enough-42"),
    "do": (f"DO $$ BEGIN EXECUTE format('CREATE ROLE %I PASSWORD %L', 'seen', '{GOOD}'); END $$", GOOD),
    "whole": (f"BEGIN; CREATE ROLE seen PASSWORD '{GOOD}'; COMMIT", GOOD),
}


@pytest.mark.parametrize(("statement", "password"), PLAIN_STATEMENTS.values(), ids=PLAIN_STATEMENTS)
def test_a_plain_password_is_reported(
    running: Running, main: tuple[str, str, Ports], client: psycopg.Connection, statement: str, password: str
) -> None:
    running.seen.clear()
    try:
        client.execute(statement)
        assert running.seen == [SeenPassword(main[0], "seen", Secret(password))]
    finally:
        client.execute("DROP ROLE IF EXISTS seen")


def test_a_quoted_role_in_a_transaction_is_reported_after_the_commit_only(
    running: Running, main: tuple[str, str, Ports], client: psycopg.Connection
) -> None:
    role = 'Odd "role"; x'
    with client.transaction():
        client.execute('CREATE ROLE "Odd ""role""; x" LOGIN')
        client.execute(f'ALTER ROLE "Odd ""role""; x" PASSWORD \'{GOOD}\'')
        assert seen(running, main[0], role) == []
    try:
        assert seen(running, main[0], role) == [GOOD]
    finally:
        running.seen.clear()
        client.execute('DROP ROLE "Odd ""role""; x"')


def test_a_password_that_is_rolled_back_is_not_reported(
    running: Running, main: tuple[str, str, Ports], client: psycopg.Connection
) -> None:
    with client.transaction(force_rollback=True):
        client.execute(f"CREATE ROLE never PASSWORD '{GOOD}'")
    with client.transaction():
        with client.transaction(force_rollback=True):
            client.execute(f"CREATE ROLE never PASSWORD '{GOOD}'")
        client.execute("SELECT 1")
    with pytest.raises(errors.SyntaxError):
        client.execute(f"CREATE ROLE never PASSWORD '{GOOD}' NONSENSE")
    with pytest.raises(errors.DuplicateObject):
        client.execute(f"CREATE ROLE never PASSWORD '{GOOD}'; CREATE ROLE owner")
    assert client.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert seen(running, main[0], "never") == []
    assert not exists(client, "never")


def test_copy_and_large_results_work_while_a_transaction_is_watched(client: psycopg.Connection) -> None:
    with client.transaction(force_rollback=True):
        client.execute(f"CREATE ROLE watched PASSWORD '{GOOD}'")
        client.execute("CREATE TEMP TABLE rows (x text)")
        with client.cursor().copy("COPY rows FROM STDIN") as copy:
            for number in range(1000):
                copy.write_row([str(number) * 20])
        with client.cursor().copy("COPY rows TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 1000
        assert len(client.execute("SELECT x FROM rows").fetchall()) == 1000


def test_no_password_reaches_a_log(running: Running, main: tuple[str, str, Ports]) -> None:
    canary = "Canary-in-a-coal-mine-7"
    with running.connect(main[2].direct) as client:
        client.execute("SET debug_print_parse = on")
        for statement in (
            f"CREATE ROLE canary PASSWORD '{canary}'",
            f"CREATE ROLE canary PASSWORD '{canary}'",
            f"ALTER ROLE nobody_knows PASSWORD '{canary}'",
            f"ALTER ROLE canary PASSWORD '{canary}",
        ):
            with contextlib.suppress(psycopg.Error):
                client.execute(statement)
        client.execute("DROP ROLE canary")
    written = b"".join(log.read_bytes() for log in running.data_dir.rglob("*.log"))
    assert canary.encode() not in written
    assert PASSWORD.encode() not in written
