"""What the gate costs a posting, alone and with the guard under the lock, while eight clients post without a pause.

Triggers are switched on and off under them, so each window with them has one without right beside it, on the same
pages, caches and neighbours: a difference of a few in a hundred is less than what two runs differ by.
"""

from __future__ import annotations

import multiprocessing
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.bank_clients import POST
from bench.bank_data import account
from bench.measure import say

CLIENTS, SETTLE_S, WINDOW_S = 8, 0.2, 0.6
GATE = {"accounts.postings": "trg_00_postings_obr_channel_gate"}
GATE_AND_GUARD = {**GATE, "accounts.accounts": "trg_accounts_obr_frozen"}


@dataclass
class GateCost:
    """Seconds per posting of all clients together, window by window: with the triggers and without."""

    on: list[float] = field(default_factory=list[float])
    off: list[float] = field(default_factory=list[float])


def gate_cost(
    owner: psycopg.Connection[Any], uri: str, accounts: int, pairs: int, triggers: Mapping[str, str]
) -> GateCost:
    """So many windows with the triggers on, each beside one with them off, in changing order.

    Args:
        owner: who may switch triggers; a connection in autocommit.
        uri: of who posts.
        accounts: how many there are; their ids end with their numbers.
        pairs: how many windows of each kind.
        triggers: which are switched, by table.
    """
    context = multiprocessing.get_context("spawn")
    done = context.Array("Q", CLIENTS, lock=False)
    end = context.Event()
    clients = [context.Process(target=_client, args=(uri, accounts, slot, done, end)) for slot in range(CLIENTS)]
    for client in clients:
        client.start()
    cost = GateCost()
    try:
        while not all(done):
            time.sleep(0.1)
        for turn in range(pairs):
            for on in (True, False) if turn % 2 else (False, True):
                _switch(owner, triggers, on=on)
                (cost.on if on else cost.off).append(_window(done))
    finally:
        _switch(owner, triggers, on=True)
        end.set()
        for client in clients:
            client.join()
    ratios = sorted(off / on for on, off in zip(cost.on, cost.off, strict=True))
    say(f"  with against without: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    return cost


def _switch(owner: psycopg.Connection[Any], triggers: Mapping[str, str], *, on: bool) -> None:
    for table, trigger in triggers.items():
        owner.execute(f"ALTER TABLE {table} {'ENABLE ALWAYS' if on else 'DISABLE'} TRIGGER {trigger}".encode())


def _window(done: Sequence[int]) -> float:
    time.sleep(SETTLE_S)  # plans are made anew after a switch
    before, began = sum(done), time.perf_counter()
    time.sleep(WINDOW_S)
    after, ended = sum(done), time.perf_counter()
    return (ended - began) / (after - before)


def _client(uri: str, accounts: int, slot: int, done: Any, end: Any) -> None:
    draw = random.Random(slot)

    def pair() -> Sequence[uuid.UUID]:
        return [account(number) for number in draw.sample(range(1, accounts + 1), 2)]

    with psycopg.connect(uri, autocommit=True, prepare_threshold=0) as conn:
        cursor = conn.cursor()
        while not end.is_set():
            for _ in range(10):  # to ask after the end costs as much as a tenth of a posting
                cursor.execute(POST, [str(uuid.uuid4()), pair()])
                done[slot] += 1
