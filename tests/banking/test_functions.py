"""The functions over the ledger: what they give, what they refuse, on a real database as the real roles."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from queue import Queue
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from bank_database import open_customer, open_internal
from neonctl.banking.accounts import Holder, NewAccount, open_account, read_account, set_status
from neonctl.banking.balances import BalanceReader, balance_at, balances_by_party, get_balance
from neonctl.banking.holds import HoldWriter, create_hold, list_holds, release_hold, sweep_holds
from neonctl.banking.posting import Leg, post, reverse, transfer
from neonctl.banking.statement import Trace
from neonctl.errors import NeonctlError

TEN = Decimal("10.00")


def refused(code, work, *, exit_code=1):
    with pytest.raises(NeonctlError) as caught:
        work()
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code), caught.value.message


@pytest.fixture
def app(bank):
    return bank.connect("app_user")


@pytest.fixture
def readonly(bank):
    return bank.connect("readonly")


def test_an_account_is_opened_once_per_key(app, readonly):
    a, b = uuid4(), uuid4()
    wanted = NewAccount(
        "NZD", "NZ", (Holder(a, Decimal(75)), Holder(b, Decimal(25))), overdraft_limit=Decimal("100.00")
    )
    first = open_account(app, wanted, idempotency_key="k1", trace=Trace("anna", "t1", "c1"))
    again = open_account(app, wanted, idempotency_key="k1")
    assert (first.replayed, again.replayed, again.account_id) == (False, True, first.account_id)
    other = NewAccount("NZD", "NZ", (Holder(a),))
    refused("IDEMPOTENCY_KEY_REUSED", lambda: open_account(app, other, idempotency_key="k1"))
    found = read_account(readonly, first.account_id)
    assert {party.party_id: party.balance_share_pct for party in found.parties} == {a: Decimal(75), b: Decimal(25)}
    assert (found.status, found.overdraft_limit, found.version) == ("ACTIVE", Decimal("100.00"), 0)
    assert found.opened_at.utcoffset() == timedelta(0)


def test_shares_must_be_right(app):
    holders = (Holder(uuid4(), Decimal(50)), Holder(uuid4(), Decimal(49)))
    refused("SHARES_NOT_100", lambda: open_account(app, NewAccount("NZD", "NZ", holders)), exit_code=64)
    refused("SHARES_INVALID", lambda: open_account(app, NewAccount("NZD", "NZ")), exit_code=64)


def test_a_posting_moves_money_and_replays(app, readonly):
    cash, account = open_internal(app), open_customer(app)
    first = post(app, transfer(cash, account, TEN), idempotency_key="p1", trace=Trace(trace_id="t", correlation_id="c"))
    again = post(app, transfer(cash, account, TEN), idempotency_key="p1")
    assert (first.replayed, again.replayed, again.transaction_id) == (False, True, first.transaction_id)
    refused("IDEMPOTENCY_KEY_REUSED", lambda: post(app, transfer(cash, account, Decimal(11)), idempotency_key="p1"))
    balance = get_balance(readonly, account)
    assert (balance.balance, balance.available_balance, balance.held, balance.version) == (TEN, TEN, Decimal(0), 1)
    assert balance.as_of.tzinfo is not None
    assert f"{balance.held}" == "0.00"


def test_a_transaction_is_reversed_once(app):
    cash, account = open_internal(app), open_customer(app, money="100.00")
    posted = post(app, transfer(cash, account, TEN), idempotency_key="p1")
    back = reverse(app, posted.transaction_id, idempotency_key="r1")
    assert reverse(app, posted.transaction_id, idempotency_key="r1").replayed
    assert get_balance(app, account).balance == 100
    refused("ALREADY_REVERSED", lambda: reverse(app, posted.transaction_id, idempotency_key="r2"))
    refused("REVERSAL_OF_REVERSAL", lambda: reverse(app, back.transaction_id, idempotency_key="r3"))
    refused("TRANSACTION_NOT_FOUND", lambda: reverse(app, uuid4(), idempotency_key="r4"))


def test_what_a_posting_is_refused(app):
    cash, account = open_internal(app), open_customer(app)
    other = open_internal(app, "AUD", "AU")
    refused("INSUFFICIENT_FUNDS", lambda: post(app, transfer(account, cash, TEN), idempotency_key="a"))
    refused("ACCOUNT_NOT_FOUND", lambda: post(app, transfer(cash, uuid4(), TEN), idempotency_key="a"))
    uneven = (Leg(cash, "DEBIT", TEN), Leg(account, "CREDIT", Decimal(9)))
    refused("UNBALANCED_TRANSACTION", lambda: post(app, uneven, idempotency_key="a"))
    refused("UNBALANCED_TRANSACTION", lambda: post(app, transfer(cash, other, TEN), idempotency_key="a"))
    wrong = (Leg(cash, "DEBIT", TEN, "AUD"), Leg(account, "CREDIT", TEN, "AUD"))
    refused("CURRENCY_MISMATCH", lambda: post(app, wrong, idempotency_key="a"))
    refused("INCOMPLETE_TRANSACTION", lambda: post(app, wrong[:1], idempotency_key="a"))
    refused(
        "IDEMPOTENCY_KEY_INVALID", lambda: post(app, transfer(cash, account, TEN), idempotency_key=""), exit_code=64
    )
    for nonsense in (Decimal("NaN"), Decimal("-0"), Decimal("1e30"), Decimal("0.001"), 1.5):
        wrong_amount = transfer(cash, account, nonsense)
        refused("AMOUNT_INVALID", lambda legs=wrong_amount: post(app, legs, idempotency_key="a"), exit_code=64)
    assert not post(
        app, transfer(cash, account, TEN), idempotency_key="a"
    ).replayed  # a refused one leaves its key free


def test_what_may_be_done_to_an_account_depends_on_its_standing(app):
    cash, account = open_internal(app), open_customer(app, money="50.00")
    changed = set_status(app, account, "RESTRICTED", restriction_reason="FROZEN", trace=Trace("anna", "t1"))
    assert (changed.changed, changed.version) == (True, 2)
    assert not set_status(app, account, "RESTRICTED", restriction_reason="FROZEN").changed
    refused("ACCOUNT_FROZEN", lambda: post(app, transfer(cash, account, TEN), idempotency_key="a"))
    refused("ACCOUNT_FROZEN", lambda: create_hold(app, account, TEN, idempotency_key="h"))
    refused("ACCOUNT_NOT_EMPTY", lambda: set_status(app, account, "CLOSED"))
    refused("STATUS_TRANSITION_REFUSED", lambda: set_status(app, account, "PENDING"))
    refused("ACCOUNT_NOT_FOUND", lambda: set_status(app, uuid4(), "ACTIVE"))


def test_a_hold_lowers_what_is_available_until_it_is_released(app, readonly):
    account = open_customer(app, money="50.00")
    hold = create_hold(app, account, TEN, idempotency_key="h1", payment_id="pay-1")
    assert create_hold(app, account, TEN, idempotency_key="h1", payment_id="pay-1").replayed
    refused("IDEMPOTENCY_KEY_REUSED", lambda: create_hold(app, account, Decimal(11), idempotency_key="h1"))
    balance = get_balance(readonly, account)
    assert (balance.balance, balance.available_balance, balance.held) == (Decimal(50), Decimal(40), TEN)
    assert balance.version == hold.account_version
    refused("INSUFFICIENT_FUNDS", lambda: create_hold(app, account, Decimal("40.01"), idempotency_key="h2"))
    assert [each.hold_id for each in list_holds(readonly, account)] == [hold.hold_id]
    over = release_hold(app, hold.hold_id, "CAPTURED")
    late = release_hold(app, hold.hold_id, "TOO_LATE")
    assert (over.released, late.released, late.release_reason) == (True, False, "CAPTURED")
    assert get_balance(readonly, account).available_balance == 50
    assert list_holds(readonly, account) == ()
    assert [each.active for each in list_holds(readonly, account, ended=True)] == [False]
    refused("HOLD_NOT_FOUND", lambda: release_hold(app, uuid4(), "X"))
    refused("HOLD_INVALID", lambda: release_hold(app, hold.hold_id, "no good"), exit_code=64)
    refused(
        "HOLD_INVALID",
        lambda: create_hold(app, account, TEN, idempotency_key="h3", ttl=timedelta(days=367)),
        exit_code=64,
    )


def test_an_expired_hold_counts_no_more_swept_or_not(app, readonly):
    account = open_customer(app, money="50.00")
    for key in ("h1", "h2"):  # each sets all of it aside
        hold = create_hold(app, account, Decimal(50), idempotency_key=key, ttl=timedelta(milliseconds=20))
        while readonly.execute("SELECT clock_timestamp() <= %s", (hold.expires_at,)).fetchone() == (True,):
            pass
        assert get_balance(readonly, account).available_balance == 50
    assert [len(batch) for batch in sweep_holds(app, batch=1)] == [1, 1]
    assert list(sweep_holds(app)) == []
    assert get_balance(readonly, account).version == 5


def test_a_hold_gives_up_after_three_retries(app, bank):
    cash, account = open_internal(app), open_customer(app, money="50.00")
    other, watch = bank.connect("app_user"), bank.connect("superuser")
    heard: Queue[int] = Queue()
    go: Queue[None] = Queue()

    def on_retry(retry):
        heard.put(retry)
        go.get()

    def move():
        """Another transaction moves the account and stays open: a hold that has read the version must wait."""
        other.execute("BEGIN")
        post(other, transfer(account, cash, Decimal("0.01")), idempotency_key=str(uuid4()))

    move()
    with ThreadPoolExecutor(1) as pool:
        hold = pool.submit(create_hold, app, account, TEN, idempotency_key="h", on_retry=on_retry)
        for retry in (1, 2, 3, None):
            wait_for_lock(watch, app)
            other.execute("COMMIT")
            if retry is not None:
                assert heard.get(timeout=30) == retry
                move()
                go.put(None)
        refused("CONCURRENT_MODIFICATION", lambda: hold.result(timeout=30), exit_code=75)
    assert list_holds(app, account) == ()
    assert not create_hold(app, account, TEN, idempotency_key="h").replayed


def test_nothing_is_retried_inside_a_transaction_of_the_caller(app, bank):
    account = open_customer(app, money="50.00")
    other, watch = bank.connect("app_user"), bank.connect("superuser")
    other.execute("BEGIN")
    set_status(other, account, "ACTIVE", restriction_reason="NOTICE_PENDING")
    app.execute("BEGIN")
    heard = []
    with ThreadPoolExecutor(1) as pool:
        hold = pool.submit(create_hold, app, account, TEN, idempotency_key="h", on_retry=heard.append)
        wait_for_lock(watch, app)
        other.execute("COMMIT")
        refused("CONCURRENT_MODIFICATION", lambda: hold.result(timeout=30), exit_code=75)
    app.execute("ROLLBACK")
    assert heard == []


def wait_for_lock(watch, waiting):
    """Until that session waits for a lock."""
    pid = waiting.info.backend_pid
    asked = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    while watch.execute(asked, (pid,)).fetchone() is None:
        pass


def test_a_partys_accounts_come_in_one_answer(app, readonly):
    party, cash = uuid4(), open_internal(app)
    accounts = [open_customer(app, money="1.00", source=cash, parties=(party,)) for _ in range(55)]
    create_hold(app, accounts[3], Decimal("0.25"), idempotency_key="h")
    open_customer(app, money="1.00", source=cash)
    found = balances_by_party(readonly, party)
    assert [each.account_id for each in found] == accounts
    assert {each.balance for each in found} == {Decimal("1.00")}
    assert found[3].available_balance == Decimal("0.75")
    assert found[3].balance_share_pct == 100
    assert balances_by_party(readonly, uuid4()) == ()


def test_who_may_not_prepare_gets_the_same_answers(app, readonly, bank):
    """A function in the database answers, with the plan that it keeps."""
    pooled, party, hot = bank.connect("readonly", prepare_threshold=None), uuid4(), open_internal(app)
    app.execute("SELECT accounts.spread_account(%s, 2)", (hot,))
    empty, held, expired = (open_customer(app, money="9.00", source=hot, parties=(party,)) for _ in range(3))
    create_hold(app, held, TEN - 2, idempotency_key="h1")
    over = create_hold(app, expired, TEN - 2, idempotency_key="h2", ttl=timedelta(milliseconds=20))
    while readonly.execute("SELECT clock_timestamp() <= %s", (over.expires_at,)).fetchone() == (True,):
        pass
    planned = BalanceReader(pooled)
    for account in (empty, held, expired, hot):
        prepared, found = get_balance(readonly, account), planned.get(account)
        assert replace(found, as_of=prepared.as_of) == prepared
        assert timedelta(0) <= found.as_of - prepared.as_of < timedelta(minutes=1)
    assert [planned.get(each).held for each in (empty, held, expired)] == [0, 8, 0]
    shown = balances_by_party(readonly, party)
    assert [each.held for each in shown] == [0, 8, 0]
    assert [replace(each, as_of=shown[0].as_of) for each in balances_by_party(pooled, party)] == list(shown)
    assert balances_by_party(pooled, uuid4()) == ()
    assert [replace(each, as_of=shown[0].as_of) for each in planned.by_party(party)] == list(shown)
    refused("ACCOUNT_NOT_FOUND", lambda: planned.get(uuid4()))


def test_one_writer_makes_many_holds_whether_it_may_prepare_or_not(app, bank):
    account, trace = open_customer(app, money="10.00"), Trace("me", "t1", "c1")
    for conn in (app, bank.connect("app_user", prepare_threshold=None)):
        writer, key = HoldWriter(conn), str(uuid4())
        hold = writer.create(account, Decimal(1), idempotency_key=key, payment_id="it's %s", trace=trace)
        assert writer.create(account, Decimal(1), idempotency_key=key, payment_id="it's %s") == replace(
            hold, replayed=True
        )
        refused("INSUFFICIENT_FUNDS", lambda each=writer: each.create(account, TEN, idempotency_key="much"))
        refused("ACCOUNT_NOT_FOUND", lambda each=writer: each.create(uuid4(), TEN, idempotency_key="nobody"))
        refused("IDEMPOTENCY_KEY_REUSED", lambda each=writer, k=key: each.create(uuid4(), TEN, idempotency_key=k))
        assert (
            writer.create(account, Decimal(1), idempotency_key=str(uuid4())).account_version == hold.account_version + 1
        )
    kept = "SELECT payment_id, trace_id, correlation_id FROM accounts.pending_holds WHERE trace_id IS NOT NULL"
    assert app.execute(kept).fetchall() == [("it's %s", "t1", "c1")] * 2


def test_a_connection_with_rows_of_its_own_kind_gets_the_same(app, bank):
    party = uuid4()
    account = open_customer(app, money="10.00", parties=(party,))
    for threshold in (5, None):
        conn = bank.connect("app_user", row_factory=dict_row, prepare_threshold=threshold)
        made = create_hold(conn, account, Decimal(1), idempotency_key=f"k{threshold}")
        assert made == replace(create_hold(app, account, Decimal(1), idempotency_key=f"k{threshold}"), replayed=False)
        assert get_balance(conn, account).version == made.account_version
        assert [each.held for each in balances_by_party(conn, party)] == [get_balance(app, account).held]


def test_a_hot_account_is_one_with_its_shards(app, readonly):
    hot, account = open_internal(app), open_customer(app)
    app.execute("SELECT accounts.spread_account(%s, 4)", (hot,))
    for number in range(8):
        post(app, transfer(hot, account, Decimal("1.25")), idempotency_key=f"p{number}")
    assert get_balance(readonly, hot).balance == Decimal(-10)
    past = balance_at(readonly, hot, None)
    assert (past.balance, past.live, past.differences) == (Decimal(-10), Decimal(-10), ())
    assert past.version == get_balance(readonly, hot).version, "a shard's version is not the account's"
    assert read_account(readonly, hot).shards == 4


def test_the_past_is_replayed_from_the_log(app, readonly):
    account, cash = open_customer(app), open_internal(app)
    moments = []
    for number in range(3):
        post(app, transfer(cash, account, TEN), idempotency_key=f"p{number}")
        moments.append(readonly.execute("SELECT clock_timestamp()").fetchone()[0])
    hold = create_hold(app, account, Decimal(5), idempotency_key="h")
    moments.append(readonly.execute("SELECT clock_timestamp()").fetchone()[0])
    release_hold(app, hold.hold_id, "DONE")
    past = [balance_at(readonly, account, moment) for moment in moments]
    assert [(each.balance, each.held, each.version, each.log_seq) for each in past] == [
        (Decimal(10), 0, 1, 1),
        (Decimal(20), 0, 2, 2),
        (Decimal(30), 0, 3, 3),
        (Decimal(30), 5, 4, 3),
    ]
    assert past[0].live is None
    now = balance_at(readonly, account, None)
    assert (now.balance, now.held, now.live, now.differences, now.version) == (Decimal(30), 0, Decimal(30), (), 5)
    refused("MOMENT_AHEAD", lambda: balance_at(readonly, account, datetime.now(UTC) + timedelta(days=1)))
    refused("ACCOUNT_NOT_OPEN_YET", lambda: balance_at(readonly, account, datetime(2020, 1, 1, tzinfo=UTC)))
    refused("ACCOUNT_NOT_FOUND", lambda: balance_at(readonly, uuid4(), None))


def test_a_balance_that_left_its_log_is_told(app, bank, readonly):
    account = open_customer(app, money="10.00")
    superuser = bank.connect("superuser")
    superuser.execute("ALTER TABLE accounts.accounts DISABLE TRIGGER ALL")
    superuser.execute("UPDATE accounts.accounts SET balance = 11 WHERE account_id = %s", (account,))
    assert balance_at(readonly, account, None).differences == (
        "the log's entries sum to 10.00, the account says 11.00",
    )


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Australia/Sydney", "UTC"])
def test_a_hold_lasts_as_long_as_it_says_across_daylight_saving(app, zone):
    account = open_customer(app, money="10.00")
    app.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
    for days in (1, 200, 366):  # half a year crosses one change of the clock at least
        hold = create_hold(app, account, Decimal("0.01"), idempotency_key=f"d{days}", ttl=timedelta(days=days))
        lasting = "SELECT extract(epoch FROM expires_at - created_at) FROM accounts.pending_holds WHERE hold_id = %s"
        assert app.execute(lasting, (hold.hold_id,)).fetchone() == (days * 86_400,)


LOOK_ALIKES = (
    ("account_number", "01-000\N{FULLWIDTH DIGIT ONE}"),
    ("account_number", "\N{CYRILLIC CAPITAL LETTER A}B-0001"),
    ("account_number", "AB-0001\n"),
    ("account_number", "AB\N{ZERO WIDTH SPACE}-0001"),
    ("currency", "NZ\N{FULLWIDTH LATIN CAPITAL LETTER D}"),
    ("currency", "NZD "),
    ("jurisdiction", "N\N{GREEK CAPITAL LETTER ZETA}"),
    ("product_code", "EVERYD\N{CYRILLIC CAPITAL LETTER A}Y"),
)


@pytest.mark.parametrize(("column", "value"), LOOK_ALIKES)
def test_what_only_looks_like_a_code_is_refused_by_the_database(bank, column, value):
    codes = {"account_number": "AB-0001", "product_code": "EVERYDAY", "currency": "NZD", "jurisdiction": "NZ"}
    owner = bank.connect("migrate_user")
    insert = (
        "INSERT INTO accounts.accounts (account_number, product_code, currency, jurisdiction)"
        " VALUES (%(account_number)s, %(product_code)s, %(currency)s, %(jurisdiction)s)"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(insert, {**codes, column: value})
    owner.execute(insert, codes)


def test_keys_that_look_alike_are_two_keys(app):
    cash, account = open_internal(app), open_customer(app)
    first = post(app, transfer(cash, account, TEN), idempotency_key="pay-a")
    other = post(app, transfer(cash, account, TEN), idempotency_key="pay-\N{CYRILLIC SMALL LETTER A}")
    assert first.transaction_id != other.transaction_id
    assert get_balance(app, account).balance == 20


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1e30", "0.001", "0", "-0.00", "-1"])
def test_no_function_of_the_database_takes_what_is_no_amount(app, amount):
    cash, account = open_internal(app), open_customer(app, money="10.00")
    calls = (
        "SELECT accounts.post_transaction('k', ARRAY[%(a)s, %(b)s]::uuid[], '{DEBIT,CREDIT}', ARRAY[%(m)s, %(m)s]::numeric[])",
        "SELECT accounts.create_hold(%(b)s, %(m)s::numeric, 'k')",
        "SELECT accounts.open_account('NZD', 'NZ', ARRAY[%(a)s]::uuid[], p_overdraft_limit => %(m)s::numeric)",
    )
    for call in calls:
        if amount in ("0", "-0.00") and "overdraft" in call:
            continue  # no overdraft, and a numeric has no negative zero
        with pytest.raises(psycopg.Error) as caught:
            app.execute(call, {"a": cash, "b": account, "m": amount})
        assert caught.value.diag.constraint_name == "AMOUNT_INVALID", (call, str(caught.value))


def test_only_what_a_moment_needs_is_replayed(app, bank, readonly):
    account, cash = open_customer(app, overdraft="1000000.00"), open_internal(app)
    post(app, transfer(account, cash, TEN), idempotency_key="first")
    morning = readonly.execute("SELECT clock_timestamp()").fetchone()[0]
    app.execute(  # 1200 rows of each account
        "SELECT accounts.post_transaction('many', array_agg(CASE n %% 2 WHEN 0 THEN %s ELSE %s END), array_agg(CASE n %% 4"
        " WHEN 0 THEN 'DEBIT' WHEN 1 THEN 'CREDIT' WHEN 2 THEN 'CREDIT' ELSE 'DEBIT' END),"
        " array_agg((1 + n / 4)::numeric)) FROM generate_series(0, 2399) AS n",
        (account, cash),
    )
    whole = "SELECT balance, log_seq FROM accounts.accounts WHERE account_id = %s"
    balance, rows = readonly.execute(whole, (account,)).fetchone()
    now = balance_at(readonly, account, None)
    assert (now.balance, now.live, now.log_seq, now.replayed_rows) == (balance, balance, rows, 1000)
    early = balance_at(readonly, account, morning)
    assert (early.balance, early.log_seq, early.replayed_rows, early.live) == (Decimal(-10), 1, 1, None)
    owner = bank.connect("migrate_user")
    owner.execute("UPDATE core.jurisdictions SET eod_local = (clock_timestamp() AT TIME ZONE time_zone)::time")
    app.execute("SELECT accounts.take_snapshot('NZ', (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date)")
    post(app, transfer(cash, account, TEN), idempotency_key="last")
    now = balance_at(readonly, account, None)
    assert (now.balance, now.replayed_rows, now.differences) == (balance + 10, 1, ())


def test_a_log_that_lost_its_end_is_told(app, bank, readonly):
    account = open_customer(app, money="10.00")
    post(app, transfer(account, open_internal(app), TEN), idempotency_key="gone")
    superuser = bank.connect("superuser")
    superuser.execute("ALTER TABLE core.transaction_log DISABLE TRIGGER ALL")
    superuser.execute("DELETE FROM core.transaction_log WHERE account_id = %s AND seq = 2", (account,))
    assert balance_at(readonly, account, None).differences == (
        "the log has 1 rows, the account has moved another number of times",
        "the log's entries sum to 10.00, the account says 0.00",
    )


def test_a_readonly_session_writes_nothing(app, readonly):
    cash, account = open_internal(app), open_customer(app)
    refused("POSTGRES_REFUSED", lambda: post(readonly, transfer(cash, account, TEN), idempotency_key="a"), exit_code=5)


def test_a_database_without_a_ledger_says_so(postgres_server):
    with postgres_server.database() as name, postgres_server.connect(name) as conn:
        refused("LEDGER_MISSING", lambda: get_balance(conn, uuid4()))
