"""End-of-day figures through the Python functions; what they record is proven by ``verify_ledger``."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from bank_database import open_customer, open_internal
from neonctl.banking.balances import balance_at
from neonctl.banking.holds import create_hold
from neonctl.banking.posting import post, transfer
from neonctl.banking.snapshots import last_passed, read_run, read_snapshot, snapshots_due, take_snapshot
from neonctl.banking.statement import Trace
from neonctl.banking.verification import verify_ledger
from neonctl.errors import NeonctlError

ZONES = {"NZ": "Pacific/Auckland", "AU": "Australia/Sydney"}


@pytest.fixture
def app(bank):
    return bank.connect("app_user")


def end_the_day_now(bank) -> date:
    """Make this very moment New Zealand's cutoff; the day it is of."""
    superuser = bank.connect("superuser")
    (day,) = superuser.execute(
        "UPDATE core.jurisdictions SET eod_local = (clock_timestamp() AT TIME ZONE time_zone)::time"
        " WHERE jurisdiction = 'NZ' RETURNING (clock_timestamp() AT TIME ZONE time_zone)::date"
    ).fetchone()
    return day


def test_a_day_is_recorded_as_it_was_at_its_end(app, bank):
    cash, account = open_internal(app), open_customer(app, money="10.00")
    create_hold(app, account, Decimal(4), idempotency_key="h")
    day = end_the_day_now(bank)
    post(app, transfer(cash, account, Decimal(5)), idempotency_key="late")
    opened_later = open_customer(app)
    taken = take_snapshot(app, "NZ", day, trace=Trace("anna", "t1"))
    assert (taken.accounts, taken.replayed, taken.totals["NZD"]["held"]) == (3, False, "4.00")
    assert take_snapshot(app, "NZ", day).replayed
    found = read_snapshot(app, account, day)
    assert (found.balance, found.held, found.available_balance, found.log_seq) == (10, 4, 6, 1)
    run = read_run(app, "NZ")
    assert (run.snapshot_date, run.actor, run.trace_id) == (day, "anna", "t1")
    for missing in (lambda: read_snapshot(app, opened_later, day), lambda: read_run(app, "AU")):
        with pytest.raises(NeonctlError) as caught:
            missing()
        assert caught.value.code == "SNAPSHOT_NOT_FOUND"


def test_a_hot_account_is_one_with_its_shards_at_a_days_end_too(app, bank):
    hot, account = open_internal(app), open_customer(app)
    post(app, transfer(hot, account, Decimal(1)), idempotency_key="own")
    app.execute("SELECT accounts.spread_account(%s, 4)", (hot,))
    for number in range(6):
        post(app, transfer(hot, account, Decimal(2)), idempotency_key=f"p{number}")
    day = end_the_day_now(bank)
    take_snapshot(app, "NZ", day)
    post(app, transfer(hot, account, Decimal(100)), idempotency_key="late")
    found = read_snapshot(app, hot, day)
    assert (found.balance, found.available_balance, found.held) == (-13, -13, 0)
    assert balance_at(app, hot, found.cutoff_at).balance == -13


def test_a_day_that_has_not_ended_is_refused(app):
    for day in (date.today() + timedelta(days=2), date(2200, 1, 1)):  # noqa: DTZ011
        with pytest.raises(NeonctlError) as caught:
            take_snapshot(app, "NZ", day)
        assert (caught.value.code, caught.value.exit_code) == ("SNAPSHOT_TOO_EARLY", 1)


@pytest.mark.parametrize("jurisdiction", ["NZ", "AU"])
def test_the_last_day_that_ended_is_that_of_the_wall_clock(app, jurisdiction):
    def expected():
        clock = datetime.now(ZoneInfo(ZONES[jurisdiction]))
        ended = (clock.hour, clock.minute) >= (23, 55)
        return clock.date() - timedelta(days=0 if ended else 1)

    before = expected()
    assert last_passed(app, jurisdiction) in (before, expected())


@pytest.mark.parametrize(
    ("jurisdiction", "day", "utc"),
    [
        ("NZ", "2026-07-01", "2026-07-01T11:55:00+00:00"),
        ("NZ", "2026-12-01", "2026-12-01T10:55:00+00:00"),
        ("NZ", "2026-09-27", "2026-09-27T10:55:00+00:00"),  # of 23 hours
        ("NZ", "2026-04-05", "2026-04-05T11:55:00+00:00"),  # of 25 hours
        ("AU", "2026-10-04", "2026-10-04T12:55:00+00:00"),
        ("AU", "2026-04-05", "2026-04-05T13:55:00+00:00"),
    ],
)
def test_the_cutoff_follows_daylight_saving(app, jurisdiction, day, utc):
    query = "SELECT accounts.snapshot_cutoff(%s, %s::date)"
    (cutoff,) = app.execute(query, (jurisdiction, day)).fetchone()
    local = datetime.fromisoformat(f"{day}T23:55").replace(tzinfo=ZoneInfo(ZONES[jurisdiction]))
    assert cutoff == datetime.fromisoformat(utc) == local


def test_what_is_due_is_taken_once(app):
    due = snapshots_due(app)
    assert {each.jurisdiction for each in due} == {"NZ", "AU"}
    for each in due:
        take_snapshot(app, each.jurisdiction, each.snapshot_date)
    assert snapshots_due(app) == ()


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        ("UPDATE accounts.daily_balance_snapshots SET balance = balance + 1, available_balance = available_balance + 1", "altered"),
        ("UPDATE accounts.daily_balance_snapshots SET held = held + 1", "altered"),
        ("DELETE FROM accounts.daily_balance_snapshots WHERE balance = 10", "altered"),
        ("DELETE FROM core.eod_runs", "inserted"),
        ("UPDATE core.eod_runs SET totals = '{}'", "altered"),
        ("UPDATE core.eod_runs SET snapshot_date = '0044-03-15 BC'", "altered"),
        ("UPDATE core.eod_runs SET cutoff_at = '-infinity'", "altered"),
    ],
)  # fmt: skip
def test_a_snapshot_that_was_changed_is_found(app, bank, deed, kind, door):
    account = open_customer(app, money="10.00")
    create_hold(app, account, Decimal(4), idempotency_key="h")
    day = end_the_day_now(bank)
    post(app, transfer(account, open_internal(app), Decimal(1)), idempotency_key=str(uuid4()))
    take_snapshot(app, "NZ", day)

    assert verify_ledger(door).intact
    assert verify_ledger(door).snapshots == 2
    superuser = bank.connect("superuser")
    superuser.execute(
        "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT inhrelid::regclass FROM pg_inherits"
        " WHERE inhparent = 'accounts.daily_balance_snapshots'::regclass"
        " UNION SELECT 'accounts.daily_balance_snapshots'::regclass UNION SELECT 'core.eod_runs'::regclass LOOP"
        " EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', t); END LOOP; END $$"
    )
    superuser.execute(deed)
    found = verify_ledger(door).faults
    table = "core.eod_runs" if deed.startswith("UPDATE core") else "accounts.daily_balance_snapshots"
    assert (kind, table) in {(fault.kind, fault.table) for fault in found}
