"""End of day: at the cutoff's instant, all or nothing, and the same figures however late."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from ledger.conftest import Bank, Teller, refused

# A jurisdiction's day can be made to end now: its wall clock is a row.
_ENDS = (
    "UPDATE core.jurisdictions SET eod_local = ((%s::timestamptz) AT TIME ZONE time_zone)::time WHERE jurisdiction = 'NZ'"
    " RETURNING ((%s::timestamptz) AT TIME ZONE time_zone)::date"
)


def _end_day(bank: Bank) -> date:
    """Make NZ's day end at this very moment; the date that ended."""
    owner = bank.connect("migrate_user")
    row = owner.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    day = owner.execute(_ENDS, [row[0], row[0]]).fetchone()
    assert day is not None
    assert isinstance(day[0], date)
    return day[0]


def _take(teller: Teller, day: date) -> tuple[Any, ...]:
    row = teller.conn.execute(
        "SELECT accounts, totals, replayed FROM accounts.take_snapshot('NZ', %s)", [day]
    ).fetchone()
    assert row is not None
    return row


def _figures(teller: Teller, day: date) -> dict[object, tuple[object, ...]]:
    rows = teller.conn.execute(
        "SELECT account_id, balance::text, available_balance::text, held::text, log_seq"
        " FROM accounts.daily_balance_snapshots WHERE snapshot_date = %s",
        [day],
    )
    return {row[0]: row[1:] for row in rows}


def test_a_late_run_has_the_cutoffs_figures(bank: Bank, teller: Teller) -> None:
    till, a, b = teller.internal(), teller.open(money="10"), teller.open(money="20")
    aud = teller.open(currency="AUD", jurisdiction="AU", money="5")
    released, _, kept = teller.hold(a, "1"), teller.hold(a, "2", ttl="1 microsecond"), teller.hold(b, "3")
    day = _end_day(bank)
    teller.move(a, till, "4")
    teller.move(till, b, "100")
    teller.move(b, a, "50")
    teller.release(released)
    teller.conn.execute("SELECT accounts.sweep_holds()")
    teller.hold(b, "7")
    late = teller.open(money="1")
    assert kept
    count, totals, replayed = _take(teller, day)
    figures = _figures(teller, day)
    assert figures[a] == ("10.00", "9.00", "1.00", 1)
    assert figures[b] == ("20.00", "17.00", "3.00", 1)
    assert figures[till] == ("0.00", "0.00", "0.00", 0)
    assert late not in figures
    assert aud not in figures
    assert (count, replayed) == (len(figures), False)
    assert totals == {"NZD": {"accounts": len(figures), "balance": "0.00", "held": "4.00"}}
    teller.move(till, a, "1")
    assert _take(teller, day)[2] is True
    assert _figures(teller, day) == figures


def test_the_day_must_have_ended(teller: Teller) -> None:
    refused("SNAPSHOT_TOO_EARLY", lambda: _take(teller, date(2999, 1, 1)))
    with pytest.raises(psycopg.Error) as caught:
        teller.conn.execute("SELECT accounts.take_snapshot('US', '2026-01-01')")
    assert caught.value.diag.constraint_name == "JURISDICTION_UNKNOWN"


@pytest.mark.parametrize("day", [None, "-infinity", "infinity", "0001-01-05 BC", "1999-12-31"])
def test_a_day_that_no_bank_had(teller: Teller, day: str | None) -> None:
    """Such a run could not even be read again by what verifies it."""
    refused(
        "SNAPSHOT_DATE_INVALID",
        lambda: teller.conn.execute("SELECT accounts.take_snapshot('NZ', %s::date)", [day]),
    )


def test_a_posting_under_way_is_waited_for(bank: Bank, teller: Teller) -> None:
    till, a = teller.internal(), teller.open()
    posting = Teller(bank, bank.connect("app_user"))
    with posting.conn.transaction():
        posting.move(till, a, "5")
        day = _end_day(bank)
        with pytest.raises(psycopg.Error) as caught:
            teller.conn.execute("SELECT accounts.take_snapshot('NZ', %s, '10 milliseconds')", [day])
        assert caught.value.diag.constraint_name == "SNAPSHOT_NOT_READY"
    _take(teller, day)
    assert _figures(teller, day)[a][0] == "5.00"


def test_it_is_one_instant_under_full_load(bank: Bank, teller: Teller) -> None:
    """Four that post without a pause, before the cutoff, while the snapshot is taken and after it."""
    accounts = [teller.open(money="1000") for _ in range(4)]
    done, posting = threading.Event(), list[Future[None]]()

    def work(mine: Teller, seed: int) -> None:
        draw = random.Random(seed)
        while not done.is_set():
            mine.move(*draw.sample(accounts, 2), "0.01")

    def until_posted(since: datetime | None) -> None:
        count = "SELECT count(*) FROM core.transaction_log WHERE posted_at > coalesce(%s::timestamptz, '-infinity')"
        while teller.conn.execute(count, [since]).fetchall()[0][0] < 50:
            assert not any(each.done() for each in posting)

    with ThreadPoolExecutor(4) as pool:
        posting += [pool.submit(work, Teller(bank, bank.connect("app_user")), seed) for seed in range(4)]
        try:
            until_posted(None)
            day = _end_day(bank)
            cutoff = teller.conn.execute("SELECT accounts.snapshot_cutoff('NZ', %s)", [day]).fetchall()[0][0]
            until_posted(cutoff)
            _, totals, _ = _take(teller, day)
            until_posted(teller.conn.execute("SELECT clock_timestamp()").fetchall()[0][0])
        finally:
            done.set()
        for each in posting:
            each.result()
    assert totals["NZD"]["balance"] == "0.00"
    log = teller.conn.execute(
        "SELECT DISTINCT ON (account_id) account_id, balance_after::text, seq FROM core.transaction_log"
        " WHERE posted_at <= %s ORDER BY account_id, seq DESC",
        [cutoff],
    )
    figures = _figures(teller, day)
    assert {row[0]: (row[1], row[2]) for row in log} == {
        one: (said[0], said[3]) for one, said in figures.items() if said[3]
    }


def test_a_new_month_waits_for_no_reader_and_no_reader_for_it(bank: Bank, teller: Teller) -> None:
    """A verification reads snapshots for as long as it takes; the first run of a month makes a partition meanwhile."""
    account = teller.open(money="5")
    day = _end_day(bank)
    reader, other = bank.connect("readonly"), bank.connect("readonly")
    teller.conn.execute("SET lock_timeout = '2s'")
    other.execute("SET lock_timeout = '2s'")
    with reader.transaction():
        reader.execute("SELECT count(*) FROM accounts.daily_balance_snapshots")
        with teller.conn.transaction():
            _take(teller, day)
            other.execute("SELECT count(*) FROM accounts.daily_balance_snapshots")
    assert _figures(teller, day)[account][0] == "5.00"


def test_a_prepared_posting_is_waited_for(bank: Bank, teller: Teller) -> None:
    """It holds the ledger's lock, but no process does."""
    till, a = teller.internal(), teller.open()
    other = Teller(bank, bank.connect("app_user"))
    other.conn.execute("BEGIN")
    other.move(till, a, "5")
    other.conn.execute("PREPARE TRANSACTION 'half'")
    day = _end_day(bank)
    with pytest.raises(psycopg.Error) as caught:
        teller.conn.execute("SELECT accounts.take_snapshot('NZ', %s, '10 milliseconds')", [day])
    assert caught.value.diag.constraint_name == "SNAPSHOT_NOT_READY"
    owner = bank.connect("migrate_user")
    owner.execute("SET lock_timeout = '10ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable, match="standing still by prepared transaction half"):
        owner.execute("SELECT core.enter_ledger_alone()")
    other.conn.execute("COMMIT PREPARED 'half'")
    _take(teller, day)
    assert _figures(teller, day)[a][0] == "5.00"


@pytest.mark.parametrize(
    ("jurisdiction", "day", "cutoff"),
    [
        ("NZ", date(2026, 7, 1), datetime(2026, 7, 1, 11, 55, tzinfo=UTC)),
        ("NZ", date(2026, 1, 1), datetime(2026, 1, 1, 10, 55, tzinfo=UTC)),  # daylight saving
        ("NZ", date(2026, 4, 5), datetime(2026, 4, 5, 11, 55, tzinfo=UTC)),  # the day it ends: 25 hours
        ("NZ", date(2026, 9, 27), datetime(2026, 9, 27, 10, 55, tzinfo=UTC)),  # the day it begins: 23 hours
        ("AU", date(2026, 7, 1), datetime(2026, 7, 1, 13, 55, tzinfo=UTC)),
        ("AU", date(2026, 1, 1), datetime(2026, 1, 1, 12, 55, tzinfo=UTC)),
    ],
)
def test_the_cutoff_follows_the_wall_clock(teller: Teller, jurisdiction: str, day: date, cutoff: datetime) -> None:
    row = teller.conn.execute("SELECT accounts.snapshot_cutoff(%s, %s)", [jurisdiction, day]).fetchone()
    assert row == (cutoff,)


def test_what_is_due(bank: Bank, teller: Teller) -> None:
    due = "SELECT jurisdiction, snapshot_date FROM accounts.snapshots_due(%s)"
    now = datetime(2026, 7, 10, 12, 0, tzinfo=UTC)  # after NZ's cutoff, before AU's
    assert teller.conn.execute(due, [now]).fetchall() == [("AU", date(2026, 7, 9)), ("NZ", date(2026, 7, 10))]
    bank.connect("migrate_user").execute(
        "INSERT INTO core.eod_runs (jurisdiction, snapshot_date, cutoff_at, accounts, totals)"
        " VALUES ('NZ', '2026-07-08', now(), 0, '{}')"
    )
    assert teller.conn.execute(due, [now]).fetchall() == [
        ("NZ", date(2026, 7, 9)),
        ("AU", date(2026, 7, 9)),
        ("NZ", date(2026, 7, 10)),
    ]


def test_a_day_that_was_skipped_stays_due(bank: Bank, teller: Teller) -> None:
    """After days of downtime somebody takes the last one by hand: those before it are still to be taken."""
    bank.connect("migrate_user").execute(
        "INSERT INTO core.eod_runs (jurisdiction, snapshot_date, cutoff_at, accounts, totals)"
        " SELECT 'NZ', d::date, now(), 1, '{}' FROM unnest(ARRAY['2026-07-05', '2026-07-06', '2026-07-09']) AS u (d)"
    )
    due = teller.conn.execute(
        "SELECT snapshot_date FROM accounts.snapshots_due(%s) WHERE jurisdiction = 'NZ'",
        [datetime(2026, 7, 10, 12, 0, tzinfo=UTC)],
    ).fetchall()
    assert due == [(date(2026, 7, 7),), (date(2026, 7, 8),), (date(2026, 7, 10),)]


def test_a_months_partition_is_closed_to_everybody(bank: Bank, teller: Teller) -> None:
    day = _end_day(bank)
    teller.open(money="1")
    _take(teller, day)
    row = teller.conn.execute(
        "SELECT c.relname, c.relacl IS NULL OR NOT EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee <> c.relowner)"
        " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'accounts.daily_balance_snapshots'::regclass"
    ).fetchall()
    assert row == [(f"daily_balance_snapshots_{day:%Y_%m}", True)]
