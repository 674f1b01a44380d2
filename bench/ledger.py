"""What a posting in full costs, against the least that any ledger in SQL must do.

Subject: ``accounts.post_transaction`` with two legs (header, locks, standing, funds and holds, hash chain, balances,
outbox), by the application's role. Floor: one function with two inserts and two updates on bare tables, in the same
database. Both by turns from the same 16 client processes, each with a prepared statement, on random accounts; then the
same with one hot internal account on every posting, spread over 16 shards.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import LiteralString

import psycopg

from bench.embedded import embedded, neonctl
from bench.measure import Figure, python, say
from neonctl.local.state import Platform

ACCOUNTS = int(os.environ.get("NEONCTL_BENCH_ACCOUNTS", "100000"))
CLIENTS = 16
SECONDS = 4.0
SHARDS = 16
RATIO, HOT_RATIO = 0.35, 0.30

_FLOOR = """
CREATE TABLE core.bench_accounts (account_id uuid PRIMARY KEY, balance numeric(18, 2) NOT NULL DEFAULT 0,
    version integer NOT NULL DEFAULT 0) WITH (fillfactor = 80);
CREATE TABLE core.bench_postings (posting_id uuid PRIMARY KEY DEFAULT uuidv7(), account_id uuid NOT NULL,
    entry_type text NOT NULL, amount numeric(18, 2) NOT NULL, posted_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE FUNCTION core.bench_post(a uuid, b uuid, amount numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO core.bench_postings (account_id, entry_type, amount) VALUES (a, 'DEBIT', amount);
    INSERT INTO core.bench_postings (account_id, entry_type, amount) VALUES (b, 'CREDIT', amount);
    UPDATE core.bench_accounts x SET balance = x.balance - amount, version = version + 1 WHERE x.account_id = a;
    UPDATE core.bench_accounts x SET balance = x.balance + amount, version = version + 1 WHERE x.account_id = b;
END $$;
GRANT SELECT, INSERT, UPDATE ON core.bench_accounts, core.bench_postings TO bank_core_app_user;
GRANT EXECUTE ON FUNCTION core.bench_post(uuid, uuid, numeric) TO bank_core_app_user;
"""
_SEED: LiteralString = """
INSERT INTO accounts.accounts
    (account_id, account_number, product_code, currency, jurisdiction, status, overdraft_limit)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'B-' || lpad(n::text, 9, '0'), 'EVERYDAY',
    'NZD', 'NZ', 'ACTIVE', 1000000
FROM generate_series(1, %s) AS n
"""
_POST = "SELECT transaction_id FROM accounts.post_transaction(%b::text, %b::uuid[], '{DEBIT,CREDIT}', '{1.00,1.00}')"
_BARE = "SELECT core.bench_post(%b, %b, %b)"


def run(runs: int) -> list[Figure]:
    """Seconds per posting over all clients; the target's ratio is upside down here, as every ratio to a floor."""
    with embedded() as platform:
        say("  provisioning")
        neonctl(platform, "apply", "--yes")
        owner, app = (_uri(platform, role) for role in ("migrate_user", "app_user"))
        hot = _prepare(owner, app)
        figures: dict[str, list[float]] = {"floor": [], "post": [], "hot": []}
        for turn in range(max(runs, 3)):
            for kind, uri in (("floor", app), ("post", app), ("hot", app)):
                rate = _rate(kind, uri, hot)
                figures[kind].append(1 / rate)
                say(f"  {turn + 1}: {kind} {rate:.0f}/s")
    details = {"accounts": ACCOUNTS, "clients": CLIENTS}
    floor_is = "a function of two inserts and two updates on bare tables"
    spread = f"posting with a hot account over {SHARDS} shards"
    return [
        Figure("posting in full", figures["post"], figures["floor"], floor_is, 1 / RATIO, details=details),
        Figure(spread, figures["hot"], figures["floor"], floor_is, 1 / HOT_RATIO, details=details),
    ]


def _uri(platform: Platform, role: str) -> str:
    environment = {**os.environ, "NEONCTL_LOCAL_DIR": str(platform.data_dir), "NEONCTL_TARGET": "local"}
    arguments = ["--env", "dev", "--database", "bank_core", "--role", role, "--direct", "--reveal"]
    done = subprocess.run(
        python("-m", "neonctl", "connection-string", *arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _prepare(owner: str, app: str) -> uuid.UUID:
    with psycopg.connect(owner, autocommit=True) as conn:
        conn.execute("SET statement_timeout = 0")
        conn.execute(_FLOOR)
        conn.execute(_SEED, [ACCOUNTS])
        conn.execute("INSERT INTO core.bench_accounts (account_id) SELECT account_id FROM accounts.accounts")
        for table in ("accounts.accounts", "core.bench_accounts"):
            conn.execute(b"VACUUM ANALYZE " + table.encode())
    with psycopg.connect(app, autocommit=True) as conn:
        row = conn.execute(
            "SELECT account_id FROM accounts.open_account('NZD', 'NZ', p_is_internal => true)"
        ).fetchone()
        assert row is not None
        conn.execute("SELECT accounts.spread_account(%s, %s)", [row[0], SHARDS])
        return row[0]


def _rate(kind: str, uri: str, hot: uuid.UUID) -> float:
    """Postings per second of all clients together."""
    context = multiprocessing.get_context("spawn")
    start, counts = context.Barrier(CLIENTS), context.Queue()
    clients = [context.Process(target=_client, args=(kind, uri, hot, seed, start, counts)) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    total = sum(counts.get(timeout=SECONDS + 60) for _ in clients)
    for client in clients:
        client.join()
    return total / SECONDS


def _client(kind: str, uri: str, hot: uuid.UUID, seed: int, start: Barrier, counts: Queue[int]) -> None:
    with psycopg.connect(uri, autocommit=True, prepare_threshold=0) as conn:
        cursor = conn.cursor()
        one = _work(kind, cursor, hot, random.Random(seed))
        for _ in range(30):
            one()
        start.wait(60)
        done, end = 0, time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            one()
            done += 1
        counts.put(done)


def _work(
    kind: str, cursor: psycopg.Cursor[tuple[object, ...]], hot: uuid.UUID, draw: random.Random
) -> Callable[[], object]:
    def account() -> uuid.UUID:
        return uuid.UUID(f"00000000-0000-7000-8000-{draw.randint(1, ACCOUNTS):012d}")

    def pair() -> Sequence[uuid.UUID]:
        first, second = account(), account()
        return (first, second) if first != second else pair()

    def bare() -> object:
        return cursor.execute(_BARE, [*pair(), Decimal("1.00")]).fetchone()

    def full() -> object:
        legs = [hot, account()] if kind == "hot" else [*pair()]
        return cursor.execute(_POST, [str(uuid.uuid4()), legs]).fetchone()

    return bare if kind == "floor" else full
