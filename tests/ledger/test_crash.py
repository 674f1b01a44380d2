"""kill -9 of clients and of the server in the middle of postings: nothing half, nothing acknowledged lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from ledger.conftest import Bank, Teller, migrated
from ledger.proof import problems
from postgres_server import PostgresServer, running_postgres

_CLIENT = """
import os, sys, uuid, psycopg
out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
accounts = sys.argv[3:]
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    for n in range(1_000_000):
        key = str(uuid.uuid4())
        legs = [accounts[n % len(accounts)], accounts[(n + 1) % len(accounts)]]
        conn.execute("SELECT accounts.post_transaction(%s, %s::uuid[], '{DEBIT,CREDIT}', '{1,1}')", [key, legs])
        os.write(out, (key + "\\n").encode())  # only what was acknowledged
"""


@pytest.fixture(scope="module")
def durable() -> Generator[PostgresServer]:
    """A server that answers only when the commit is written, as in real life."""
    with running_postgres(synchronous_commit="on") as server:
        migrated(server, "bank_core_template")
        yield server


def test_what_was_acknowledged_is_there_and_nothing_is_half(durable: PostgresServer, tmp_path: Path) -> None:
    with durable.database("bank_core_template") as name, ExitStack() as stack:
        bank = Bank(durable, name, stack)
        teller = Teller(bank, bank.connect("app_user"))
        accounts = [str(teller.internal()) for _ in range(4)]
        for victim in ("client", "backend"):
            files = [tmp_path / f"{victim}{n}" for n in range(3)]
            clients = [
                _start(durable.conninfo(name, "bank_core_app_user"), file, accounts[n:]) for n, file in enumerate(files)
            ]
            _wait_for(lambda files=files: all(file.exists() and len(file.read_bytes()) > 37 * 100 for file in files))
            if victim == "client":
                for client in clients:
                    client.kill()
            else:
                os.kill(_backend(bank), signal.SIGKILL)  # the postmaster ends all the others and recovers
            for client in clients:
                client.wait(30)
            _wait_for(lambda: _answers(durable, name))
            with durable.connect(name, "bank_core_readonly") as reader:
                keys = [key for file in files for key in file.read_text().splitlines() if len(key) == 36]
                row = reader.execute(
                    "SELECT count(*) FROM accounts.transactions WHERE idempotency_key = ANY(%s)", [keys]
                ).fetchone()
                assert row == (len(keys),)
                assert problems(bank, reader) == []
                total = reader.execute("SELECT sum(balance) = 0 FROM accounts.accounts").fetchone()
                assert total == (True,)


def _start(conninfo: str, file: Path, accounts: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _CLIENT, conninfo, str(file), *accounts]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _backend(bank: Bank) -> int:
    row = (
        bank.connect("postgres")
        .execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = 'bank_core_app_user' AND query LIKE '%post_transaction%'"
            " AND datname = current_database() ORDER BY query_start DESC LIMIT 1"
        )
        .fetchone()
    )
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


def _answers(server: PostgresServer, name: str) -> bool:
    try:
        with server.connect(name) as conn:
            busy = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bank_core_app_user' AND state = 'active'"
            ).fetchone()
            return busy == (0,)
    except psycopg.OperationalError:
        return False


def _wait_for(happens: object, deadline_s: float = 30) -> None:
    assert callable(happens)
    end = time.monotonic() + deadline_s
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.01)
