"""What the ledger costs, against the least that any ledger in SQL must do: 1,000,000 accounts, 200,000 active holds.

All by turns with their floors, from the same sixteen client processes on one load of data (``bank_data``), directly and
through the pooler:

* a posting of two legs in full (header, locks, standing, funds and holds, hash chain, balances, outbox), and the same
  with one hot internal account on every posting, spread over shards; the floor is one function with two inserts and two
  updates on bare tables;
* a balance, against the account's row by its key; by party and hold creation by the slowest in a hundred;
* a snapshot of all accounts, against a bare INSERT ... SELECT of the same rows into a heap;
* ``ledger verify`` in one session, in rows of its two logs a second: postings' and holds'.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg

from bench.bank_clients import CLIENTS, Done, run_clients
from bench.bank_data import ACCOUNTS, HOLDS, SHARDS, BankData, load
from bench.embedded import embedded
from bench.measure import Figure, say, timed
from neonctl.banking.verification import verify_ledger

_BARE_IS = "a function of two inserts and two updates on bare tables"
_HEAP: str = """
INSERT INTO core.bench_snapshots
SELECT current_date, account_id, jurisdiction, currency, balance, available_balance, 0, log_seq, now()
FROM accounts.accounts WHERE jurisdiction = 'NZ'
"""


def run(runs: int) -> list[Figure]:
    """Ratios are upside down here, as every ratio to a floor: throughput 0.35 of it is a ratio of 2.86."""
    with embedded() as platform:
        say("  provisioning and loading")
        bank = load(platform)
        figures = [*_snapshot(bank, runs), *_verify(bank)]
        for way, app, prepared in (("", bank.app, True), (", through the pooler", bank.app_pooled, False)):
            figures += _clients(bank, way, app, prepared, runs)
    return figures


def _clients(bank: BankData, way: str, uri: str, prepared: bool, runs: int) -> list[Figure]:
    found: dict[str, list[Done]] = {}
    for turn in range(runs):
        for kind in ("bare", "post", "hot", "keyed", "balance", "party", "hold"):
            done = run_clients(kind, uri, bank.hot, prepared=prepared)
            found.setdefault(kind, []).append(done)
            say(f"  {turn + 1}{way}: {kind} {done.rate:.0f}/s, p99 {done.p99_s * 1000:.1f} ms")

    def ratio(name: str, kind: str, floor: str, floor_is: str, most: float) -> Figure:
        seconds, bare = ([1 / done.rate for done in found[each]] for each in (kind, floor))
        return Figure(name + way, seconds, bare, floor_is, most, details=_SIZE)

    def p99(name: str, kind: str, most_s: float) -> Figure:
        seconds = [done.p99_s for done in found[kind]]
        return Figure(
            f"{name}, p99{way}", seconds, [done.p99_s for done in found["keyed"]], "a row by its key", None, most_s
        )

    return [
        ratio("posting in full", "post", "bare", _BARE_IS, 1 / 0.35),
        ratio(f"posting with a hot account over {SHARDS} shards", "hot", "bare", _BARE_IS, 1 / 0.30),
        ratio("balance", "balance", "keyed", "the account's row by its key", 1 / 0.80),
        p99("balance", "balance", 0.005),
        p99("by party, 50 accounts", "party", 0.020),
        p99("hold created", "hold", 0.010),
    ]


_SIZE = {"accounts": ACCOUNTS, "holds": HOLDS, "clients": CLIENTS}


def _snapshot(bank: BankData, runs: int) -> list[Figure]:
    taken: list[float] = []
    bare: list[float] = []
    with psycopg.connect(bank.owner, autocommit=True) as conn:
        conn.execute("SET statement_timeout = 0")
        # The day ends now, so that all that was loaded is before the cutoff, as on any other day.
        conn.execute(
            "UPDATE core.jurisdictions SET eod_local = (clock_timestamp() AT TIME ZONE time_zone)::time"
            " WHERE jurisdiction = 'NZ'"
        )
        for turn in range(runs):
            with conn.transaction(force_rollback=True):
                bare.append(timed(lambda: conn.execute(_HEAP.encode())))
            with conn.transaction(force_rollback=True):
                taken.append(
                    timed(
                        lambda: conn.execute(
                            "SELECT accounts FROM accounts.take_snapshot('NZ',"
                            " (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date)"
                        )
                    )
                )
            say(f"  {turn + 1}: snapshot {taken[-1]:.2f} s, heap {bare[-1]:.2f} s")
    return [Figure("snapshot", taken, bare, "a bare INSERT … SELECT of as many rows into a heap", 3, details=_SIZE)]


def _verify(bank: BankData) -> list[Figure]:
    @contextlib.contextmanager
    def door() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        with psycopg.connect(bank.readonly, autocommit=True) as conn:
            conn.execute("SET statement_timeout = 0")
            yield conn

    started = time.perf_counter()
    found = verify_ledger(door, jobs=1)
    took = time.perf_counter() - started
    assert found.intact, found.faults
    rows = found.log_rows + found.hold_rows  # rows of two logs, chained and proven in the same way
    details = {"log_rows": found.log_rows, "hold_rows": found.hold_rows, "rows_per_s": round(rows / took)}
    details["postings_log_alone_per_s"] = round(found.log_rows / took)
    say(f"  verify {took:.1f} s for {found.log_rows} rows of the postings' log and {found.hold_rows} of the holds'")
    return [
        Figure(
            "ledger verify, one session",
            [took],
            [rows / 200_000],
            "200,000 rows of the logs a second",
            1,
            details=details,
        )
    ]
