"""A client that is killed in the middle sends its requests again under the same keys: each was done exactly once."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from uuid import UUID

from bank_database import open_customer, open_internal
from neonctl.banking.balances import get_balance
from neonctl.banking.holds import create_hold
from neonctl.banking.posting import post, transfer
from neonctl.banking.verification import verify_ledger

CENT = Decimal("0.01")
ENOUGH = 150

_CLIENT = """
import sys, psycopg
from decimal import Decimal
from uuid import UUID
from neonctl.banking.holds import create_hold
from neonctl.banking.posting import post, transfer
conninfo, name, one, other = sys.argv[1:]
conn = psycopg.connect(conninfo, autocommit=True)
for n in range(100000):
    post(conn, transfer(UUID(one), UUID(other), Decimal("0.01")), idempotency_key=f"{name} post {n}")
    create_hold(conn, UUID(other), Decimal("0.01"), idempotency_key=f"{name} hold {n}")
"""


def sent(conn, name: str) -> int:
    """How many postings of a client are there."""
    query = "SELECT count(*) FROM accounts.transactions WHERE idempotency_key LIKE %s"
    (number,) = conn.execute(query, (f"{name} post %",)).fetchone()
    return number


def test_what_a_killed_client_sends_again_is_not_done_again(bank, door):
    app = bank.connect("app_user")
    cash = open_internal(app)
    others = {f"client{number}": open_customer(app) for number in range(2)}
    conninfo = bank.server.conninfo(bank.name, "bank_core_app_user")
    clients = [
        subprocess.Popen([sys.executable, "-c", _CLIENT, conninfo, name, str(cash), str(other)])
        for name, other in others.items()
    ]
    try:
        while not all(sent(app, name) >= ENOUGH for name in others):
            assert all(client.poll() is None for client in clients)
    finally:
        for client in clients:
            client.kill()
            client.wait()
    watch = bank.connect("superuser")
    mine = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'bank_core_app_user'"
    while watch.execute(mine).fetchone() != (1,):
        pass
    for name, other in others.items():
        before = sent(app, name)
        replayed = [send(app, name, cash, other, number) for number in range(before + 1)]
        assert replayed == [True] * before + [False], "all that was there, then what was under way, once"
        now = get_balance(app, other)
        assert (now.balance, now.held) == (CENT * (before + 1), CENT * (before + 1))

    assert verify_ledger(door).intact


def send(conn, name: str, cash: UUID, other: UUID, number: int) -> bool:
    posted = post(conn, transfer(cash, other, CENT), idempotency_key=f"{name} post {number}")
    create_hold(conn, other, CENT, idempotency_key=f"{name} hold {number}")
    return posted.replayed
