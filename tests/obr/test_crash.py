"""kill -9 of the client and of the server in the middle of an activation and an unwind: all or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from bank_database import Bank, Connection
from obr.conftest import SCOPE, Resolution, claims, new_key

_CLIENT = """
import sys, psycopg
from decimal import Decimal
from neonctl.banking.resolution import Order, activate, unwind
what, conninfo, key, document, scope = sys.argv[1:]
order = Order("RBNZ-1", [document], scope, key)
with psycopg.connect(conninfo, autocommit=True) as conn:
    activate(conn, order, haircut=Decimal("0.25")) if what == "activate" else unwind(conn, order)
"""
_TERMS = {
    "activate": {"haircut": "0.25", "de_minimis": "0.00", "equal_shares": False},
    "unwind": {"permanent_haircut_sha256": None},
}
#: Writes of the transaction: the kill falls on the transaction as it waits to do each of them.
_PLACES = (
    "accounts.accounts",
    "core.obr_holder_partitions",
    "core.obr_account_partitions",
    "core.outbox",
    "core.obr_instructions",
)


@pytest.mark.parametrize("victim", ["client", "backend"])
def test_killed_at_each_write(own_bank: Callable[..., Bank], victim: str) -> None:
    obr = Resolution(own_bank(synchronous_commit="on")).prepare()
    accounts = [obr.customer("100.00") for _ in range(20)]
    for place in _PLACES:
        obr = _killed(obr, victim, place, "activate")
        assert obr.state()["resolution_state"] == "pre_positioned"
        assert {obr.split(account) for account in accounts} == {("0.00", "0.00")}
        for table in ("obr_partition_events", "obr_account_partitions", "obr_holder_partitions"):
            assert obr.reader.execute(f"SELECT count(*) FROM core.{table}".encode()).fetchone() == (0,)
    obr.activate()
    for place in ("accounts.accounts", "core.outbox"):
        obr = _killed(obr, victim, place, "unwind")
        assert obr.state()["resolution_state"] == "activated"
        assert {obr.split(account) for account in accounts} == {("25.00", "75.00")}
    assert obr.reconcile()["differences"] == 0
    obr.unwind()
    obr.bank.close()


def _killed(obr: Resolution, victim: str, place: str, what: str) -> Resolution:
    """Stop the transaction before it writes to ``place``, kill, let go; a bank with new connections."""
    document = obr.rbnz.sign(claims(what, **_TERMS[what]))
    conninfo = obr.bank.server.conninfo(obr.bank.name, "bank_core_resolution_officer")
    client: subprocess.Popen[bytes] | None = None
    with suppress(psycopg.OperationalError), obr.bank.server.connect(obr.bank.name) as root, root.transaction():
        root.execute(f"LOCK TABLE {place} IN SHARE ROW EXCLUSIVE MODE".encode())  # reads go on
        command = [sys.executable, "-c", _CLIENT, what, conninfo, new_key(), document, SCOPE]
        client = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        pid = _waiting(root, client)
        if victim == "client":
            client.kill()
        else:
            os.kill(pid, signal.SIGKILL)  # the server ends all sessions and recovers
            client.wait(30)
    assert client is not None
    client.wait(30)
    obr.bank.close()
    _settled(obr.bank)
    return Resolution(obr.bank, obr.alice, obr.bob, obr.rbnz)


def _waiting(root: Connection, client: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert client.poll() is None
        row = root.execute("SELECT pid FROM pg_locks WHERE NOT granted AND relation IS NOT NULL").fetchone()
        if row is not None:
            assert isinstance(row[0], int)
            return row[0]
    raise TimeoutError


def _settled(bank: Bank) -> None:
    """The server answers, and the officer's session is gone."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(psycopg.OperationalError), bank.server.connect(bank.name) as root:
            text = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bank_core_resolution_officer'"
            if root.execute(text).fetchone() == (0,):
                return
    raise TimeoutError
