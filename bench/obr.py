"""What a resolution of 1,000,000 accounts costs, and what the gate costs a posting.

Floor of the partition and of clearing it: a bare UPDATE of the two columns, with the same arithmetic, on a copy of the
table without indexes and triggers, by turns in the same database. Evidence and the holders' rows are timed apart. Floor
of a posting: the same posting without the gate's trigger, and without the guard's, too (``gate``).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg

from bench.embedded import embedded, give_memory, neonctl
from bench.gate import GATE, GATE_AND_GUARD, gate_cost
from bench.measure import Figure, python, say, timed
from neonctl.banking.resolution import Order, activate, rearm, reconcile, unwind
from neonctl.banking.resolution_keys import NewKey, register_key
from neonctl.local.state import Platform

ACCOUNTS = int(os.environ.get("NEONCTL_BENCH_OBR_ACCOUNTS", "1000000"))
PARTITION, RECONCILE_S, INACTIVE, ACTIVE = 1.5, 1.0, 0.97, 0.85
PAIRS = 12  # of the gate on and off, a run
SCOPE, REFERENCE, HAIRCUT = "bench/dev", "BENCH", Decimal("0.2500")

#: Accounts as after a year's use, without the year: their triggers are off for a moment. Each tenth is joint.
_SEED = """
ALTER TABLE accounts.accounts DISABLE TRIGGER USER;
ALTER TABLE accounts.account_party_relationships DISABLE TRIGGER USER;
INSERT INTO accounts.accounts (account_id, account_number, product_code, currency, jurisdiction, status, allows_debit,
    allows_credit, balance, available_balance, held_jointly)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'B-' || lpad(n::text, 9, '0'), 'EVERYDAY', 'NZD',
    'NZ', 'ACTIVE', true, true, 1000 + n % 100000 * 1.01, 1000 + n % 100000 * 1.01, n % 10 = 0
FROM generate_series(1, {n}) AS n;
INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)
SELECT a.account_id, gen_random_uuid(), 'HOLDER', CASE WHEN a.joint THEN 50 ELSE 100 END
FROM (SELECT x.account_id, right(x.account_number, 1) = '0' AS joint FROM accounts.accounts AS x) AS a
CROSS JOIN LATERAL generate_series(1, CASE WHEN a.joint THEN 2 ELSE 1 END);
ALTER TABLE accounts.accounts ENABLE TRIGGER USER;
ALTER TABLE accounts.account_party_relationships ENABLE TRIGGER USER;
CREATE TABLE core.bench_bare (LIKE accounts.accounts) WITH (fillfactor = 45);
INSERT INTO core.bench_bare SELECT * FROM accounts.accounts ORDER BY account_id;
"""
_BARE = """UPDATE core.bench_bare SET
    obr_frozen_amount = trunc(greatest(balance - 0.00, 0) * 0.2500, 2),
    obr_available_amount = greatest(balance, 0) - trunc(greatest(balance - 0.00, 0) * 0.2500, 2)"""
_BARE_CLEAR = "UPDATE core.bench_bare SET obr_frozen_amount = 0, obr_available_amount = 0"


@dataclass
class _Seen:
    """Seconds of each part, run by run, and megabytes."""

    parts: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def note(self, part: str, value: float) -> None:
        self.parts.setdefault(part, []).append(value)
        say(f"  {part}: {value:.3f}")


def run(runs: int) -> list[Figure]:
    """Activation, unwinding and reconciliation of all accounts, then postings by turns."""
    with embedded() as platform:
        say("  provisioning")
        neonctl(platform, "apply", "--yes")
        give_memory(platform)
        uris = {role: _uri(platform, role) for role in ("migrate_user", "app_user", "resolution_officer")}
        with (
            psycopg.connect(uris["migrate_user"], autocommit=True) as owner,
            psycopg.connect(uris["resolution_officer"], autocommit=True) as officer,
            psycopg.connect(uris["app_user"], autocommit=True) as app,
        ):
            say(f"  {ACCOUNTS} accounts")
            owner.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            owner.execute(_SEED.format(n=ACCOUNTS).encode())
            orders = _Orders(officer)
            seen = _Seen()
            for _ in range(max(min(runs, 3), 2)):
                _resolution(owner, officer, app, orders, seen)
            figures = _figures(seen)
            for state, target in (("inactive", INACTIVE), ("active", ACTIVE)):
                if state == "active":
                    activate(officer, orders.activation(), haircut=HAIRCUT)
                for name, triggers, most in (("gate", GATE, 1 / target), ("gate and guard", GATE_AND_GUARD, None)):
                    say(f"  {name}, {state}")
                    cost = gate_cost(owner, uris["app_user"], ACCOUNTS, max(runs, 3) * PAIRS, triggers)
                    floor = "the same postings without"
                    figures.append(Figure(f"obr: {name} {state}", cost.on, cost.off, floor, most, paired=True))
    return figures


class _Orders:
    """Documents as the database asks for them. Their signatures are none: it does no cryptography."""

    def __init__(self, officer: psycopg.Connection[tuple[object, ...]]) -> None:
        self._keys = [self._register(officer, name) for name in ("first", "second")]

    def activation(self) -> Order:
        return self.order("activate", haircut=str(HAIRCUT), de_minimis="0.00", equal_shares=False)

    def order(self, action: str, **terms: object) -> Order:
        now = int(time.time())
        claims = {
            "action": action, "jurisdiction": "NZ", "scope": SCOPE, "reference": REFERENCE, "nbf": now - 60,
            "exp": now + 3600, "jti": str(uuid.uuid4()), **terms,
        }  # fmt: skip
        documents = [f"{_part({'alg': 'EdDSA', 'kid': key})}.{_part(claims)}.AAAA" for key in self._keys]
        return Order(REFERENCE, documents, SCOPE, str(uuid.uuid4()))

    @staticmethod
    def _register(officer: psycopg.Connection[tuple[object, ...]], name: str) -> str:
        x = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        key = NewKey(name, "officer", {"kty": "OKP", "crv": "Ed25519", "x": x}, datetime(2026, 1, 1, tzinfo=UTC))
        return register_key(officer, key, scope=SCOPE, reference=REFERENCE).key_id


def _uri(platform: Platform, role: str) -> str:
    environment = {**os.environ, "NEONCTL_LOCAL_DIR": str(platform.data_dir), "NEONCTL_TARGET": "local"}
    arguments = ["--env", "dev", "--database", "bank_core", "--role", role, "--direct", "--reveal"]
    command = python("-m", "neonctl", "connection-string", *arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _part(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def _resolution(owner: Any, officer: Any, app: Any, orders: _Orders, seen: _Seen) -> None:
    _settle(owner)
    seen.note("bare", timed(lambda: owner.execute(_BARE)))
    before = _sizes(owner)
    began = time.perf_counter()
    event = activate(officer, orders.activation(), haircut=HAIRCUT)
    seen.note("activate", time.perf_counter() - began)
    for part, seconds in event.metadata["seconds"].items():
        seen.note(part, float(seconds))
    after = _sizes(owner)
    for what in after:
        seen.note(f"{what} MB", (after[what] - before[what]) / 1e6)
    # Who reads the table first after so large a change tidies up its pages, as autovacuum does within a minute.
    seen.note("reconcile_at_once", timed(lambda: _clean(app)))
    _settle(owner)
    seen.note("reconcile", timed(lambda: _clean(app)))
    seen.note("bare_clear", timed(lambda: owner.execute(_BARE_CLEAR)))
    began = time.perf_counter()
    end = unwind(officer, orders.order("unwind", permanent_haircut_sha256=None))
    seen.note("unwind", time.perf_counter() - began)
    seen.note("clear", float(end.metadata["seconds"]["clear"]))
    _settle(owner)
    seen.note("reconcile_inactive", timed(lambda: _clean(app)))
    rearm(officer, orders.order("rearm"))


def _clean(app: Any) -> None:
    if reconcile(app).differences:
        raise RuntimeError("the partition does not reconcile")


def _settle(owner: Any) -> None:
    for table in ("accounts.accounts", "core.bench_bare"):
        owner.execute(f"VACUUM ANALYZE {table}".encode())


def _sizes(owner: Any) -> dict[str, float]:
    row = owner.execute(
        "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, pg_table_size('accounts.accounts'),"
        " pg_indexes_size('accounts.accounts'), pg_total_relation_size('core.obr_account_partitions'),"
        " pg_total_relation_size('core.obr_holder_partitions')"
    ).fetchone()
    names = ("wal", "accounts", "accounts_indexes", "account_evidence", "holder_evidence")
    return {name: float(value) for name, value in zip(names, row, strict=True)}


def _figures(seen: _Seen) -> list[Figure]:
    parts = seen.parts
    middle = {name: round(sorted(values)[len(values) // 2], 3) for name, values in parts.items()}
    details = {"accounts": ACCOUNTS, **middle}
    bare = "a bare UPDATE of the two columns on a copy without indexes and triggers"
    return [
        Figure("obr: partition", parts["partition"], parts["bare"], bare, PARTITION, details=details),
        Figure("obr: clear", parts["clear"], parts["bare_clear"], bare, PARTITION),
        Figure("obr: whole activation", parts["activate"], parts["bare"], bare),
        Figure("obr: reconcile", parts["reconcile"], parts["bare"], bare, most_s=RECONCILE_S * ACCOUNTS / 1_000_000),
    ]
