"""A bank of full size for the benchmarks of the ledger, loaded once, with every trigger awake.

Accounts: plain inserts by the owner, whose triggers open them empty. Money: transactions of two
legs through ``accounts.post_transaction``, so the log, its chains and the balances are as real as any. Holds:
``accounts.create_hold``. Only the first parties get holders on record: the index that finds them is as deep either way.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from bench.embedded import give_memory, neonctl
from bench.measure import python, say
from neonctl.local.state import Platform

ACCOUNTS = int(os.environ.get("NEONCTL_BENCH_ACCOUNTS", "1000000"))
HOLDS = int(os.environ.get("NEONCTL_BENCH_HOLDS", "200000"))
LOG_ROWS = int(os.environ.get("NEONCTL_BENCH_LOG_ROWS", "500000"))
PARTIES, ACCOUNTS_EACH = 100, 50
SHARDS = 16

_FLOOR = """
CREATE TABLE core.bench_accounts (account_id uuid PRIMARY KEY, balance numeric(18, 2) NOT NULL DEFAULT 0,
    version integer NOT NULL DEFAULT 0) WITH (fillfactor = 80);
CREATE TABLE core.bench_postings (posting_id uuid PRIMARY KEY DEFAULT uuidv7(), account_id uuid NOT NULL,
    entry_type text NOT NULL, amount numeric(18, 2) NOT NULL, posted_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE core.bench_snapshots AS SELECT * FROM accounts.daily_balance_snapshots WHERE false;
CREATE FUNCTION core.bench_post(a uuid, b uuid, amount numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO core.bench_postings (account_id, entry_type, amount) VALUES (a, 'DEBIT', amount);
    INSERT INTO core.bench_postings (account_id, entry_type, amount) VALUES (b, 'CREDIT', amount);
    UPDATE core.bench_accounts x SET balance = x.balance - amount, version = version + 1 WHERE x.account_id = a;
    UPDATE core.bench_accounts x SET balance = x.balance + amount, version = version + 1 WHERE x.account_id = b;
END $$;
GRANT SELECT, INSERT, UPDATE ON core.bench_accounts, core.bench_postings TO bank_core_app_user;
GRANT EXECUTE ON FUNCTION core.bench_post(uuid, uuid, numeric) TO bank_core_app_user;
CREATE FUNCTION core.bench_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid
$$;
GRANT EXECUTE ON FUNCTION core.bench_id(bigint) TO bank_core_app_user;
"""
_OPEN: LiteralString = """
INSERT INTO accounts.accounts
    (account_id, account_number, product_code, currency, jurisdiction, status, overdraft_limit)
SELECT core.bench_id(n), 'B-' || lpad(n::text, 9, '0'), 'EVERYDAY', 'NZD', 'NZ', 'ACTIVE', 1000000
FROM generate_series(%s::bigint, %s) AS n
"""
_HOLDERS: LiteralString = """
INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)
SELECT core.bench_id(n), core.bench_id((n - 1) / %s), 'HOLDER', 100 FROM generate_series(1::bigint, %s) AS n
"""
_MONEY: LiteralString = """
SELECT count(p.transaction_id)
FROM generate_series(%s::bigint, %s) AS n
CROSS JOIN LATERAL accounts.post_transaction('load ' || n,
    ARRAY[core.bench_id(1 + 2 * n %% %s), core.bench_id(1 + (2 * n + 1) %% %s)], '{DEBIT,CREDIT}', '{1.25,1.25}') AS p
"""
_HOLD: LiteralString = """
SELECT count(h.hold_id)
FROM generate_series(%s::bigint, %s) AS n
CROSS JOIN LATERAL accounts.create_hold(core.bench_id(n * %s), 5.00, 'load ' || n, interval '30 days') AS h
"""


@dataclass(frozen=True)
class BankData:
    """How to get at it; ``hot``: an internal account that is spread over shards."""

    owner: str
    app: str
    app_pooled: str
    readonly: str
    hot: uuid.UUID


def account(number: int) -> uuid.UUID:
    """The id of the account, or party, of that number."""
    return uuid.UUID(f"00000000-0000-7000-8000-{number:012d}")


def load(platform: Platform) -> BankData:
    """Provision and fill dev's bank_core."""
    started = time.perf_counter()
    neonctl(platform, "apply", "--yes")
    give_memory(platform)
    owner, app, readonly = (_uri(platform, role, "--direct") for role in ("migrate_user", "app_user", "readonly"))
    with psycopg.connect(owner, autocommit=True) as conn:
        _patient(conn)
        conn.execute(_FLOOR)
        for first in range(1, ACCOUNTS + 1, 100_000):
            conn.execute(_OPEN, [first, min(first + 99_999, ACCOUNTS)])
        conn.execute("INSERT INTO core.bench_accounts (account_id) SELECT account_id FROM accounts.accounts")
        conn.execute(_HOLDERS, [ACCOUNTS_EACH, PARTIES * ACCOUNTS_EACH])
    say(f"  {ACCOUNTS} accounts after {time.perf_counter() - started:.0f} s")
    with psycopg.connect(app, autocommit=True) as conn:
        _patient(conn)
        for first in range(0, LOG_ROWS // 2, 10_000):
            conn.execute(_MONEY, [first, min(first + 10_000, LOG_ROWS // 2) - 1, ACCOUNTS, ACCOUNTS])
        say(f"  {LOG_ROWS} rows of the log after {time.perf_counter() - started:.0f} s")
        for first in range(1, HOLDS + 1, 10_000):
            conn.execute(_HOLD, [first, min(first + 9_999, HOLDS), ACCOUNTS // HOLDS])
        hot = conn.execute(
            "SELECT account_id FROM accounts.open_account('NZD', 'NZ', p_is_internal => true)"
        ).fetchone()
        assert hot is not None
        conn.execute("SELECT accounts.spread_account(%s, %s)", [hot[0], SHARDS])
    with psycopg.connect(owner, autocommit=True) as conn:
        _patient(conn)
        for table in ("accounts.accounts", "core.bench_accounts", "accounts.pending_holds", "core.transaction_log"):
            conn.execute(b"VACUUM ANALYZE " + table.encode())
    say(f"  {HOLDS} holds after {time.perf_counter() - started:.0f} s")
    return BankData(owner, app, _uri(platform, "app_user", "--pooled"), readonly, hot[0])


def _patient(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    conn.execute("SET statement_timeout = 0")
    conn.execute("SET idle_in_transaction_session_timeout = 0")


def _uri(platform: Platform, role: str, way: str) -> str:
    environment = {**os.environ, "NEONCTL_LOCAL_DIR": str(platform.data_dir), "NEONCTL_TARGET": "local"}
    arguments = ["--env", "dev", "--database", "bank_core", "--role", role, way, "--reveal"]
    done = subprocess.run(
        python("-m", "neonctl", "connection-string", *arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
