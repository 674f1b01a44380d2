"""The relay: at least once, in order per account, dead letters; what it publishes fits the schemas of the project."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from bank_database import open_customer, open_internal
from neonctl.banking.holds import create_hold, release_hold
from neonctl.banking.outbox import list_outbox, prune_outbox, read_outbox, revive
from neonctl.banking.posting import Leg, post, transfer
from neonctl.banking.relay import Relayed, relay, waves
from neonctl.banking.statement import Trace
from neonctl.errors import RetryableError
from neonctl.vault.events import MOST_BYTES

ROOT = Path(__file__).parent.parent.parent
CENT = Decimal("0.01")


class Bus:
    """Takes events down; refuses what it is told to, by event id."""

    def __init__(self, refused=(), broken_after=None):
        self.taken, self.calls = [], 0
        self.refused = set(refused)
        self.broken_after = broken_after

    def __call__(self, events):
        self.calls += 1
        if self.broken_after is not None and self.calls > self.broken_after:
            raise ConnectionError("the bus is away")
        for event in events:
            if event.event_id not in self.refused:
                self.taken.append(event)
        return ["InternalFailure: no" if event.event_id in self.refused else None for event in events]

    def versions(self):
        """The versions of each account's balance in the order in which they came."""
        found = {}
        for event in self.taken:
            if event.event_type == "bank.core.balance_updated":
                found.setdefault(event.payload["account_id"], []).append(event.payload["version"])
        return found


@pytest.fixture
def app(bank):
    return bank.connect("app_user")


@pytest.fixture
def accounts(app):
    cash = open_internal(app)
    return [open_customer(app, money="100.00", source=cash) for _ in range(4)]


def schema(event_type):
    return json.loads((ROOT / "schema" / "events" / f"{event_type}.json").read_text())


def test_every_event_fits_its_schema(app, accounts):
    a, b, *_ = accounts
    trace = Trace("anna", "t1", "c1")
    legs = (Leg(a, "DEBIT", CENT), Leg(a, "DEBIT", CENT), Leg(b, "CREDIT", CENT * 2))
    post(app, legs, idempotency_key="x", trace=trace)
    hold = create_hold(app, a, CENT, idempotency_key="h", trace=trace)
    release_hold(app, hold.hold_id, "DONE", trace=trace)
    bus = Bus()
    done = relay(app, bus)
    assert done == Relayed(published=len(bus.taken))
    for event in bus.taken:
        jsonschema.validate(event.detail, schema(event.event_type), cls=jsonschema.Draft202012Validator)
        assert "bank" in event.event_type
    last = [event for event in bus.taken if event.trace_id == "t1"]
    assert [event.event_type.rpartition(".")[2] for event in last] == [
        "posting_completed",
        "balance_updated",
        "balance_updated",
        "balance_updated",
        "balance_updated",
    ]
    assert {(event.payload["trace_id"], event.payload["correlation_id"]) for event in last} == {("t1", "c1")}
    assert [leg["amount"] for leg in last[0].payload["legs"]] == ["0.01", "0.01", "0.02"]
    assert last[-1].payload["cause"] == "HOLD_RELEASED"


def test_a_posting_of_many_legs_fits_the_bus(app, accounts):
    relay(app, Bus())
    a, b, *_ = accounts
    count = 1200
    legs = [Leg(a, "DEBIT", CENT * count), *(Leg(b, "CREDIT", CENT) for _ in range(count))]
    posted = post(app, legs, idempotency_key="many", trace=Trace("anna", "t" * 200, "c" * 200)).transaction_id
    bus = Bus()
    assert relay(app, bus).published == len({event.event_id for event in bus.taken}) == 5
    parts = [event.detail for event in bus.taken if event.event_type.endswith("completed")]
    for part in parts:
        jsonschema.validate(part, schema("bank.core.posting_completed"), cls=jsonschema.Draft202012Validator)
        assert len(json.dumps(part)) < MOST_BYTES
    assert [part["event_id"] for part in parts] == [str(posted), f"{posted}:2", f"{posted}:3"]
    assert [(part["part"], part["parts"]) for part in parts] == [(1, 3), (2, 3), (3, 3)]
    assert [leg["leg"] for part in parts for leg in part["legs"]] == list(range(1, count + 2))


def test_schemas_refuse_what_is_no_event():
    for name in ("bank.core.posting_completed", "bank.core.balance_updated"):
        jsonschema.Draft202012Validator.check_schema(schema(name))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"event_id": "x"}, schema(name))


def test_events_of_an_account_arrive_in_its_order(app, accounts):
    for number in range(40):
        post(
            app, transfer(accounts[number % 4], accounts[(number * 3 + 1) % 4], CENT), idempotency_key=f"n{number}"
        ) if (number % 4 != (number * 3 + 1) % 4) else create_hold(
            app, accounts[number % 4], CENT, idempotency_key=f"n{number}"
        )
    bus = Bus()
    relay(app, bus)
    assert bus.versions()
    for versions in bus.versions().values():
        assert versions == sorted(versions)
    assert relay(app, bus) == Relayed()
    assert list_outbox(app) == []


def test_what_is_refused_holds_back_what_follows_on_its_accounts_only(app, accounts):
    relay(app, Bus())
    a, b, c, d = accounts
    first = post(app, transfer(a, b, CENT), idempotency_key="1").transaction_id
    second = post(app, transfer(b, c, CENT), idempotency_key="2").transaction_id
    free = post(app, transfer(d, open_internal(app), CENT), idempotency_key="3").transaction_id
    bus = Bus(refused=[str(first)])
    done = relay(app, bus, backoff=timedelta(0))
    assert done.dead == 1, "ten attempts, one after the other"
    came = [event.event_id for event in bus.taken if event.event_type.endswith("completed")]
    assert str(free) in came[:2]
    assert came.count(str(second)) == 2, "once in the call of the first, and again when that was given up"
    assert came[-1] == str(second)


def test_an_event_that_is_refused_too_often_is_a_dead_letter(app, accounts):
    relay(app, Bus())
    a, b, *_ = accounts
    dead = post(app, transfer(a, b, CENT), idempotency_key="1").transaction_id
    later = post(app, transfer(a, b, CENT), idempotency_key="2").transaction_id
    bus = Bus(refused=[str(dead)])
    done = relay(app, bus, max_attempts=3, backoff=timedelta(0))
    assert (done.failed, done.dead) == (2, 1)
    assert str(later) in [event.event_id for event in bus.taken], "a dead letter holds nobody back"
    (letter,) = list_outbox(app, "dead")
    assert (letter.aggregate_id, letter.attempts, letter.last_error) == (dead, 3, "InternalFailure: no")
    assert revive(app, [letter.event_no]) == 1
    bus.refused.clear()
    assert relay(app, bus).published == 3


def test_a_bus_that_is_away_costs_no_attempt(app, accounts):
    bus = Bus(broken_after=1)
    with pytest.raises(ConnectionError):
        relay(app, bus)
    assert {row.attempts for row in list_outbox(app)} == {0}
    assert len(list_outbox(app, "published")) == len({event.event_no for event in bus.taken})
    bus.broken_after = None
    relay(app, bus)
    assert len({event.event_id for event in bus.taken}) == len(bus.taken), "what was marked is not sent again"


def test_one_relay_at_a_time(app, accounts, bank):
    other = bank.connect("app_user")

    def meddling(events):
        with pytest.raises(RetryableError) as caught:
            relay(other, Bus())
        assert caught.value.code == "OUTBOX_RELAY_BUSY"
        return [None] * len(events)

    assert relay(app, meddling).published


def _waves(app):
    with app.transaction():
        events = read_outbox(app, limit=100)
    found = waves(events)
    numbers = [[[row[0].event_no for row in pack] for pack in wave] for wave in found]
    flat = [number for wave in numbers for pack in wave for number in pack]
    assert sorted(flat) == sorted({event.event_no for event in events})
    for wave in found:
        touched = [frozenset().union(*(event.accounts for row in pack for event in row)) for pack in wave]
        assert sum(map(len, touched)) == len(frozenset().union(*touched)), "packs of a wave share no account"
        assert all(sum(map(len, pack)) <= 10 or len(pack) == 1 for pack in wave)
    return numbers


def test_rows_of_an_account_travel_together_or_one_after_the_other(app, accounts):
    relay(app, Bus())
    a, b, c, d = accounts
    for number, (debit, credit) in enumerate([(a, b), (c, d), (b, c), (a, d)]):
        post(app, transfer(debit, credit, CENT), idempotency_key=str(number))
    first, second, third, fourth = sorted(row.event_no for row in list_outbox(app))
    assert _waves(app) == [[[first], [second]], [[third], [fourth]]] or _waves(app) == [
        [[first], [second]],
        [[third, fourth]],
    ]


def test_a_hot_account_fills_its_calls(app, accounts):
    relay(app, Bus())
    a, b, c, d = accounts
    for number in range(9):
        post(app, transfer(a, (b, c, d)[number % 3], CENT), idempotency_key=str(number))
    for number in range(10):
        create_hold(app, a, CENT, idempotency_key=f"h{number}")
    assert [[len(pack) for pack in wave] for wave in _waves(app)] == [[3], [3], [4], [9]]
    bus = Bus()
    relay(app, bus)
    assert bus.calls == 4
    assert all(versions == sorted(versions) for versions in bus.versions().values())


def test_what_travelled_with_a_refused_event_goes_again_after_it(app, accounts):
    relay(app, Bus())
    a, b, c, _ = accounts
    keys = [post(app, transfer(a, x, CENT), idempotency_key=f"k{n}").transaction_id for n, x in enumerate((b, c, b))]

    class Once(Bus):
        def __call__(self, events):
            said = super().__call__(events)
            self.refused.clear()
            return said

    bus = Once(refused=[str(keys[1])])
    done = relay(app, bus, backoff=timedelta(0))
    assert (done.published, done.failed, done.dead) == (9, 1, 0)
    came = [event.event_id for event in bus.taken if event.event_type.endswith("completed")]
    assert came == [str(keys[0]), str(keys[2]), str(keys[1]), str(keys[2])]


def test_what_waits_for_another_holds_back_what_follows_it(app, accounts):
    relay(app, Bus())
    a, b, c, d = accounts
    # b waits for a, so c and d must wait for b: each row shares an account with the one before it only.
    keys = [post(app, transfer(x, y, CENT), idempotency_key=str(y)).transaction_id for x, y in ((a, b), (b, c), (c, d))]
    create_hold(app, d, CENT, idempotency_key="h")
    for number in range(4):  # more than one call holds
        post(app, transfer(a, b, CENT), idempotency_key=f"n{number}")
    bus = Bus(refused=[str(keys[0])])
    done = relay(app, bus, max_attempts=3, backoff=timedelta(hours=1))
    assert (done.published, done.failed) == (0, 1)
    bus.refused.clear()
    relay(app, bus)
    assert [row.attempts for row in list_outbox(app)] == [1, 0, 0, 0, 0, 0, 0, 0], "all wait for the first"


def test_pruning_takes_only_what_was_published(app, accounts):
    assert prune_outbox(app, keep=timedelta(0)) == 0
    rows = len(list_outbox(app))
    relay(app, Bus())
    assert prune_outbox(app, keep=timedelta(days=1)) == 0
    assert prune_outbox(app, keep=timedelta(0), batch=3) == rows
    assert list_outbox(app, "all") == []


_KILLED = """
import sys, psycopg
from neonctl.banking.relay import relay
conn = psycopg.connect(sys.argv[1], autocommit=True)
def publish(events):
    print("published", len(events), flush=True)
    sys.stdin.read()
relay(conn, publish)
"""


def test_killed_between_publishing_and_marking_it_publishes_again(app, accounts, bank):
    conninfo = bank.server.conninfo(bank.name, "bank_core_app_user")
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().startswith("published")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process.stdin.close()
    watch = bank.connect("superuser")
    while watch.execute("SELECT 1 FROM pg_locks WHERE relation = 'core.relay_lock'::regclass").fetchone():
        pass
    bus = Bus()
    rows = len(list_outbox(app))
    assert relay(app, bus).published == len(bus.taken)
    assert len({event.event_no for event in bus.taken}) == rows
