"""Sixteen client processes at the ledger, each with one connection: how much they get done, how long a call takes."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg

from bench.bank_data import ACCOUNTS, ACCOUNTS_EACH, PARTIES, account
from neonctl.banking.balances import BalanceReader
from neonctl.banking.holds import HoldWriter

CLIENTS = 16
SECONDS = 3.0
POST = "SELECT transaction_id FROM accounts.post_transaction(%b::text, %b::uuid[], '{DEBIT,CREDIT}', '{1.00,1.00}')"
_BARE = "SELECT core.bench_post(%b, %b, %b)"
_KEYED = "SELECT account_id, currency, balance, version FROM accounts.accounts WHERE account_id = %b"

Work = Callable[[], object]


@dataclass(frozen=True)
class Done:
    """Calls per second of all clients together, and the slowest but one in a hundred, in seconds."""

    rate: float
    p99_s: float


def run_clients(kind: str, uri: str, hot: uuid.UUID, *, prepared: bool = True) -> Done:
    """All clients do ``kind`` for some seconds. Not ``prepared``: as a pooler below 1.21 wants it."""
    context = multiprocessing.get_context("spawn")
    start, counts = context.Barrier(CLIENTS), context.Queue()
    clients = [
        context.Process(target=_client, args=(kind, uri, hot, prepared, seed, start, counts)) for seed in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    found = [counts.get(timeout=SECONDS + 120) for _ in clients]
    for client in clients:
        client.join()
    took = sorted(each for _, times in found for each in times)
    return Done(sum(count for count, _ in found) / SECONDS, took[int(len(took) * 0.99)])


def _client(kind: str, uri: str, hot: uuid.UUID, prepared: bool, seed: int, start: Barrier, counts: Queue[Any]) -> None:
    with psycopg.connect(uri, autocommit=True, prepare_threshold=0 if prepared else None) as conn:
        one = _work(kind, conn, hot, seed)
        for _ in range(30):
            one()
        start.wait(120)
        took: list[float] = []
        now = time.perf_counter()
        end = now + SECONDS
        while now < end:
            before = now
            one()
            now = time.perf_counter()
            took.append(now - before)
        counts.put((len(took), took))


def _work(kind: str, conn: psycopg.Connection[Any], hot: uuid.UUID, seed: int) -> Work:
    draw, cursor, reader, writer = random.Random(seed), conn.cursor(), BalanceReader(conn), HoldWriter(conn)
    own = itertools.cycle(range(seed + 1, ACCOUNTS, CLIENTS))  # which no other client takes

    def pair() -> Sequence[uuid.UUID]:
        first, second = some(), some()
        return (first, second) if first != second else pair()

    def some() -> uuid.UUID:
        return account(draw.randint(1, ACCOUNTS))

    def post(legs: Sequence[uuid.UUID]) -> object:
        return cursor.execute(POST, [str(uuid.uuid4()), list(legs)]).fetchone()

    works: dict[str, Work] = {
        "bare": lambda: cursor.execute(_BARE, [*pair(), Decimal("1.00")]).fetchone(),
        "post": lambda: post(pair()),
        "hot": lambda: post([hot, some()]),
        "keyed": lambda: cursor.execute(_KEYED, [some()]).fetchone(),
        "balance": lambda: reader.get(some()),
        "party": lambda: len(reader.by_party(account(draw.randrange(PARTIES)))) == ACCOUNTS_EACH or 1 / 0,
        "hold": lambda: writer.create(account(next(own)), Decimal("1.00"), idempotency_key=str(uuid.uuid4())),
    }
    return works[kind]
