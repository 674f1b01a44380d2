"""Posting: what is kept, what is refused, and that nobody gets round it."""

from __future__ import annotations

import uuid
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from ledger.conftest import Bank, Teller, refused
from ledger.proof import problems


def test_a_posting_moves_balances_and_leaves_a_chained_log_and_an_event(bank: Bank, teller: Teller) -> None:
    till, customer = teller.internal(), teller.open()
    transaction = teller.move(till, customer, "100.10")
    teller.move(customer, till, "0.10")
    assert (teller.balance(till), teller.balance(customer)) == (("-100.00", "-100.00"), ("100.00", "100.00"))
    rows = teller.conn.execute(
        "SELECT seq, entry_type, amount::text, balance_after::text, available_after::text, account_version, currency"
        " FROM core.transaction_log WHERE account_id = %s ORDER BY seq",
        [customer],
    ).fetchall()
    assert rows == [
        (1, "CREDIT", "100.10", "100.10", "100.10", 1, "NZD"),
        (2, "DEBIT", "0.10", "100.00", "100.00", 2, "NZD"),
    ]
    events = teller.conn.execute(
        "SELECT event_type, account_ids FROM core.outbox WHERE aggregate_id = %s", [transaction]
    ).fetchall()
    assert events == [("bank.core.posting_completed", [till, customer])]
    assert problems(bank) == []


def test_any_number_of_legs_and_several_on_one_account(bank: Bank, teller: Teller) -> None:
    till = teller.internal()
    payer = teller.open(money="10")
    payees = [teller.open() for _ in range(3)]
    # The payer gets 5 and gives 15: credits come first, so that it is never below zero.
    teller.post(
        [
            (payer, "DEBIT", "14.00"),
            *((payee, "CREDIT", "5.00") for payee in payees),
            (payer, "DEBIT", "1.00"),
            (payer, "CREDIT", "5.00"),
            (till, "DEBIT", "5.00"),
        ]
    )
    assert teller.balance(payer) == ("0.00", "0.00")
    assert [teller.balance(payee)[0] for payee in payees] == ["5.00"] * 3
    many = [teller.internal() for _ in range(5)]
    teller.post([(many[n % 5], "DEBIT" if n % 2 else "CREDIT", "1.00") for n in range(1000)])
    assert problems(bank) == []


def test_two_currencies_balance_each_on_its_own(bank: Bank, teller: Teller) -> None:
    nzd, aud = teller.internal(), teller.internal("AUD")
    a, b = teller.open(money="10"), teller.open(currency="AUD", jurisdiction="AU")
    teller.post([(a, "DEBIT", "10"), (nzd, "CREDIT", "10"), (aud, "DEBIT", "9.20"), (b, "CREDIT", "9.20")])
    refused(
        "UNBALANCED_TRANSACTION",
        lambda: teller.post([(nzd, "DEBIT", "10"), (aud, "CREDIT", "10")]),
    )
    assert teller.balance(b) == ("9.20", "9.20")
    assert problems(bank) == []


@pytest.mark.parametrize(
    ("legs", "code"),
    [
        ([("a", "DEBIT", "1"), ("b", "CREDIT", "2")], "UNBALANCED_TRANSACTION"),
        ([("a", "DEBIT", "1"), ("b", "DEBIT", "1")], "UNBALANCED_TRANSACTION"),
        ([("a", "DEBIT", "1")], "INCOMPLETE_TRANSACTION"),
        ([], "INCOMPLETE_TRANSACTION"),
        ([("a", "DEBIT", "10.01"), ("b", "CREDIT", "10.01")], "INSUFFICIENT_FUNDS"),
        ([("a", "DEBIT", "1"), ("nobody", "CREDIT", "1")], "ACCOUNT_NOT_FOUND"),
        ([("a", "DEBIT", "1.005"), ("b", "CREDIT", "1.005")], "AMOUNT_INVALID"),
        ([("a", "DEBIT", "0"), ("b", "CREDIT", "0")], "AMOUNT_INVALID"),
        ([("a", "DEBIT", "-0.00"), ("b", "CREDIT", "0")], "AMOUNT_INVALID"),
        ([("a", "DEBIT", "-1"), ("b", "CREDIT", "-1")], "AMOUNT_INVALID"),
        ([("a", "DEBIT", "NaN"), ("b", "CREDIT", "NaN")], "AMOUNT_INVALID"),
        ([("a", "DEBIT", "Infinity"), ("b", "CREDIT", "Infinity")], "AMOUNT_INVALID"),
        ([("a", "DEBIT", "1e30"), ("b", "CREDIT", "1e30")], "AMOUNT_INVALID"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    bank: Bank, teller: Teller, legs: list[tuple[str, str, str]], code: str
) -> None:
    who = {"a": teller.open(money="10"), "b": teller.open(), "nobody": uuid.uuid4()}
    key = bank.key()
    refused(code, lambda: teller.post([(who[name], side, amount) for name, side, amount in legs], key))
    assert teller.balance(who["a"]) == ("10.00", "10.00")
    teller.move(who["a"], who["b"], "1", key)  # the key is free again
    assert problems(bank) == []


def test_a_currency_that_is_not_the_accounts_is_refused(teller: Teller) -> None:
    a, b = teller.internal(), teller.internal()
    refused("CURRENCY_MISMATCH", lambda: teller.post([(a, "DEBIT", "1"), (b, "CREDIT", "1")], None, ["AUD", "AUD"]))
    refused("CURRENCY_MISMATCH", lambda: teller.post([(a, "DEBIT", "1"), (b, "CREDIT", "1")], None, ["NZD", "USD"]))


def test_side_is_debit_or_credit_and_nothing_that_looks_like_it(teller: Teller) -> None:
    a, b = teller.internal(), teller.internal()
    for side in ("debit", "D\u0415BIT", "", "CREDIT "):
        with pytest.raises(psycopg.errors.CheckViolation, match="chk_entry_side"):
            teller.post([(a, side, "1"), (b, "CREDIT", "1")])


def test_an_overdraft_goes_to_its_limit(teller: Teller) -> None:
    till, account = teller.internal(), teller.open(overdraft="50.00")
    teller.move(account, till, "50.00")
    refused("INSUFFICIENT_FUNDS", lambda: teller.move(account, till, "0.01"))
    assert teller.balance(account) == ("-50.00", "-50.00")


def test_the_same_key_gives_the_first_answer_and_another_payload_is_an_error(bank: Bank, teller: Teller) -> None:
    a, b, key = teller.open(money="10"), teller.open(), bank.key()
    first = teller.post([(a, "DEBIT", "6"), (b, "CREDIT", "6")], key)
    again = teller.post([(a, "DEBIT", "6.00"), (b, "CREDIT", "6.0")], key)
    assert (first[1], again) == (False, (first[0], True))
    assert teller.balance(a) == ("4.00", "4.00")
    for legs in (
        [(a, "DEBIT", "6.01"), (b, "CREDIT", "6.01")],
        [(b, "DEBIT", "6"), (a, "CREDIT", "6")],
        [(b, "CREDIT", "6"), (a, "DEBIT", "6")],
        [(a, "DEBIT", "6"), (b, "CREDIT", "3"), (b, "CREDIT", "3")],
    ):
        refused("IDEMPOTENCY_KEY_REUSED", lambda legs=legs: teller.post(legs, key))
    for bad in ("", "   ", "x" * 201):
        with pytest.raises(psycopg.errors.CheckViolation, match="chk_idempotency_key"):
            teller.move(b, a, "1", bad)
    assert problems(bank) == []


def test_a_reversal_mirrors_and_happens_once(bank: Bank, teller: Teller) -> None:
    a, b = teller.open(money="10"), teller.open()
    transaction, key = teller.move(a, b, "7"), bank.key()
    back = teller.reverse(transaction, key)
    assert teller.reverse(transaction, key) == back
    assert (teller.balance(a)[0], teller.balance(b)[0]) == ("10.00", "0.00")
    refused("ALREADY_REVERSED", lambda: teller.reverse(transaction))
    refused("REVERSAL_OF_REVERSAL", lambda: teller.reverse(back))
    refused("TRANSACTION_NOT_FOUND", lambda: teller.reverse(uuid.uuid4()))
    spent = teller.move(a, b, "10")
    teller.move(b, a, "5")
    refused("INSUFFICIENT_FUNDS", lambda: teller.reverse(spent))
    owner = bank.connect("migrate_user")
    with pytest.raises(psycopg.Error) as caught, owner.transaction():
        _insert(owner, [(a, "DEBIT", "1"), (b, "CREDIT", "1")], reverses=spent)
    assert caught.value.diag.constraint_name == "REVERSAL_MISMATCH"
    assert problems(bank) == []


@pytest.mark.parametrize(
    ("status", "reason", "debit", "credit"),
    [
        ("ACTIVE", None, None, None),
        ("ACTIVE", "NOTICE_PENDING", "NOTICE_PENDING", None),
        ("RESTRICTED", "NOTICE_PENDING", "NOTICE_PENDING", None),
        ("RESTRICTED", "FROZEN", "ACCOUNT_FROZEN", "ACCOUNT_FROZEN"),
        ("RESTRICTED", "CREDIT_BLOCK", None, "ACCOUNT_RESTRICTED"),
        ("RESTRICTED", "COURT_ORDER", "ACCOUNT_RESTRICTED", None),
        ("RESTRICTED", None, "ACCOUNT_RESTRICTED", None),
        ("DORMANT", None, "ACCOUNT_DORMANT", "ACCOUNT_DORMANT"),
    ],
)
def test_standing_decides_what_an_account_takes(
    teller: Teller, status: str, reason: str | None, debit: str | None, credit: str | None
) -> None:
    till, account = teller.internal(), teller.open(money="10")
    teller.status(account, status, reason)
    for code, legs in ((debit, (account, till)), (credit, (till, account))):
        if code:
            refused(code, lambda legs=legs: teller.move(*legs, "1"))
        else:
            teller.move(*legs, "1")
    if debit:
        refused(debit, lambda: teller.hold(account, "1"))


def test_a_closed_account_is_empty_and_stays_closed(teller: Teller) -> None:
    till, account = teller.internal(), teller.open(money="10")
    refused("ACCOUNT_NOT_EMPTY", lambda: teller.status(account, "CLOSED"))
    hold = teller.hold(account, "10")
    refused("INSUFFICIENT_FUNDS", lambda: teller.move(account, till, "10"))
    teller.release(hold)
    teller.move(account, till, "10")
    teller.status(account, "CLOSED")
    refused("ACCOUNT_CLOSED", lambda: teller.move(till, account, "1"))
    refused("STATUS_TRANSITION_REFUSED", lambda: teller.status(account, "ACTIVE"))
    changes = teller.conn.execute(
        "SELECT from_status, to_status, db_user FROM accounts.status_changes WHERE account_id = %s", [account]
    ).fetchall()
    assert changes == [("ACTIVE", "CLOSED", "bank_core_app_user")]


def test_a_hot_account_is_spread_and_summed(bank: Bank, teller: Teller) -> None:
    hot, customer, key = teller.internal(), teller.open(), bank.key()
    teller.move(hot, customer, "1")
    teller.conn.execute("SELECT accounts.spread_account(%s, 8)", [hot])
    first = teller.move(hot, customer, "1", key)
    for _ in range(40):
        teller.move(hot, customer, "1")
    assert teller.move(hot, customer, "1", key) == first  # whichever shard it was
    row = teller.conn.execute(
        "SELECT balance::text, shards FROM accounts.spread_balances WHERE account_id = %s", [hot]
    ).fetchone()
    assert row == ("-42.00", 8)
    assert teller.balance(hot) == ("-1.00", "-1.00")
    used = teller.conn.execute(
        "SELECT count(*) FROM accounts.accounts WHERE shard_of = %s AND log_seq > 0", [hot]
    ).fetchone()
    assert used is not None
    assert isinstance(used[0], int)
    assert used[0] > 2
    teller.reverse(first)
    refused("SHARDS_INVALID", lambda: teller.conn.execute("SELECT accounts.spread_account(%s, 8)", [customer]))
    assert problems(bank) == []


def test_a_hot_account_that_is_restricted_or_closed_takes_nothing_on_its_shards_either(
    bank: Bank, teller: Teller
) -> None:
    hot, customer = teller.internal(), teller.open(money="10")
    teller.conn.execute("SELECT accounts.spread_account(%s, 3)", [hot])
    teller.move(customer, hot, "5")
    teller.status(hot, "RESTRICTED", "FROZEN")
    refused("ACCOUNT_FROZEN", lambda: teller.move(customer, hot, "1"))
    refused("ACCOUNT_FROZEN", lambda: teller.move(hot, customer, "1"))
    refused("SHARDS_INVALID", lambda: teller.conn.execute("SELECT accounts.spread_account(%s, 4)", [hot]))
    teller.status(hot, "ACTIVE")
    refused("ACCOUNT_NOT_EMPTY", lambda: teller.status(hot, "CLOSED"))
    (shard,) = teller.conn.execute("SELECT shards[1] FROM accounts.accounts WHERE account_id = %s", [hot]).fetchall()[0]
    assert isinstance(shard, uuid.UUID)
    refused("LEDGER_MANAGED", lambda: teller.status(shard, "CLOSED"))
    refused(
        "LEDGER_MANAGED",
        lambda: bank.connect("migrate_user").execute(
            "UPDATE accounts.accounts SET status = 'DORMANT' WHERE account_id = %s", [shard]
        ),
    )
    (booked,) = teller.conn.execute(
        "SELECT account_id FROM accounts.accounts WHERE shard_of = %s AND balance = 5", [hot]
    ).fetchall()
    assert isinstance(booked[0], uuid.UUID)
    teller.move(booked[0], customer, "5")
    teller.status(hot, "CLOSED")
    refused("ACCOUNT_CLOSED", lambda: teller.move(customer, hot, "1"))
    assert problems(bank) == []


def test_a_days_name_is_one_that_every_program_reads(teller: Teller) -> None:
    a, b = teller.open(money="10"), teller.open()
    for day in ("infinity", "-infinity", "0044-03-15 BC", "1899-12-31", "10000-01-01"):
        for column in ("p_posting_date", "p_value_date"):
            call = sql.SQL(
                "SELECT accounts.post_transaction('d', %s::uuid[], ARRAY['DEBIT', 'CREDIT'], ARRAY[1, 1], {} => %s)"
            ).format(sql.Identifier(column))
            with pytest.raises(psycopg.errors.CheckViolation, match="chk_book_date"):
                teller.conn.execute(call, [[a, b], day])


def _insert(
    conn: psycopg.Connection[tuple[object, ...]],
    legs: list[tuple[uuid.UUID, str, str]],
    *,
    reverses: uuid.UUID | None = None,
    start: int = 1,
) -> uuid.UUID:
    """Header and legs by hand."""
    transaction = uuid.uuid4()
    conn.execute(
        "INSERT INTO accounts.transactions (transaction_id, idempotency_key, reverses_transaction_id) VALUES (%s, %s, %s)",
        [transaction, str(transaction), reverses],
    )
    conn.execute(
        "INSERT INTO accounts.postings SELECT %s, %s - 1 + n, a, e, m, 'NZD'"
        " FROM unnest(%s::uuid[], %s::text[], %s::numeric[]) WITH ORDINALITY AS u (a, e, m, n)",
        [
            transaction,
            start,
            [leg[0] for leg in legs],
            [leg[1] for leg in legs],
            [Decimal(leg[2]) for leg in legs],
        ],
    )
    return transaction


def test_direct_inserts_of_the_owner_meet_the_same_rules(bank: Bank, teller: Teller) -> None:
    a, b = teller.open(money="10"), teller.open()
    owner = bank.connect("migrate_user")
    pair = [(a, "DEBIT", "1"), (b, "CREDIT", "1")]
    with owner.transaction():
        good = _insert(owner, pair)
    assert teller.balance(b) == ("1.00", "1.00")

    def attempt(code: str, **wrong: object) -> None:
        with pytest.raises(psycopg.Error) as caught, owner.transaction():
            _insert(owner, **{"legs": pair, **wrong})  # pyright: ignore[reportArgumentType]
        assert caught.value.diag.constraint_name == code, str(caught.value)

    attempt("UNBALANCED_TRANSACTION", legs=[(a, "DEBIT", "1"), (b, "CREDIT", "0.99")])
    attempt("INCOMPLETE_TRANSACTION", legs=pair[:1])
    attempt("INCOMPLETE_TRANSACTION", start=2)
    attempt("INCOMPLETE_TRANSACTION", start=0)
    attempt("INSUFFICIENT_FUNDS", legs=[(a, "DEBIT", "9.01"), (b, "CREDIT", "9.01")])
    for amount in ("NaN", "Infinity", "0.005", "1.001", "0", "-0", "-1", "1e30", "10000000000000000"):
        attempt("chk_positive_amount", legs=[(a, "DEBIT", amount), (b, "CREDIT", amount)])  # never rounded
    attempt("chk_entry_side", legs=[(a, "debit", "1"), (b, "CREDIT", "1")])
    attempt("UNBALANCED_TRANSACTION", legs=[(a, "DEBIT", "1"), (b, "DEBIT", "1")])
    nobody = uuid.uuid4()
    attempt("ACCOUNT_NOT_FOUND", legs=[(a, "DEBIT", "1"), (nobody, "CREDIT", "1")])
    attempt("ACCOUNT_NOT_FOUND", legs=[*pair, (nobody, "CREDIT", "1")])
    for mode in ("origin", "replica"):  # a header alone
        superuser = bank.connect("postgres")
        superuser.execute(sql.SQL("SET session_replication_role = {}").format(mode))
        with pytest.raises(psycopg.Error) as caught, superuser.transaction():
            superuser.execute("INSERT INTO accounts.transactions (idempotency_key) VALUES ('alone')")
        assert caught.value.diag.constraint_name == "INCOMPLETE_TRANSACTION"
    legs_of = "INSERT INTO accounts.postings SELECT %s, n, a, e, 1, 'NZD' FROM (VALUES (%s::int, %s::uuid, 'DEBIT'), (%s, %s, 'CREDIT')) AS v (n, a, e)"
    for transaction, first, code in (
        (good, 3, "INCOMPLETE_TRANSACTION"),  # two more legs for an old transaction
        (good, 1, "postings_pkey"),
        (uuid.uuid4(), 1, "TRANSACTION_NOT_FOUND"),
    ):
        with pytest.raises(psycopg.Error) as caught:
            owner.execute(legs_of, [transaction, first, a, first + 1, b])
        assert caught.value.diag.constraint_name == code
    # Numbers that leave room: the last is the count, yet two more legs would fit in later.
    for numbers in ((-1, 1, 3), (0, 1, 3), (0, 2), (-32768, 1, 3)):
        with pytest.raises(psycopg.Error) as caught, owner.transaction():
            gappy = uuid.uuid4()
            owner.execute(
                "INSERT INTO accounts.transactions (transaction_id, idempotency_key) VALUES (%s, %s)",
                [gappy, str(gappy)],
            )
            sides = (("DEBIT", len(numbers) - 1), *[("CREDIT", 1)] * (len(numbers) - 1))
            owner.execute(
                "INSERT INTO accounts.postings SELECT %s, n, a, e, m, 'NZD'"
                " FROM unnest(%s::smallint[], %s::uuid[], %s::text[], %s::numeric[]) AS v (n, a, e, m)",
                [gappy, list(numbers), [a, *[b] * (len(numbers) - 1)], [e for e, _ in sides], [m for _, m in sides]],
            )
        assert caught.value.diag.constraint_name == "INCOMPLETE_TRANSACTION"
    # Legs of two transactions in one statement, numbered so that together they look like one.
    with pytest.raises(psycopg.Error) as caught, owner.transaction():
        two = [uuid.uuid4(), uuid.uuid4()]
        for one in two:
            owner.execute(
                "INSERT INTO accounts.transactions (transaction_id, idempotency_key) VALUES (%s, %s)", [one, str(one)]
            )
        owner.execute(
            "INSERT INTO accounts.postings SELECT t, n, a, e, 1, 'NZD' FROM (VALUES (%s::uuid, 1, %s::uuid, 'DEBIT'),"
            " (%s, 2, %s, 'CREDIT'), (%s, 3, %s, 'DEBIT'), (%s, 4, %s, 'CREDIT')) AS v (t, n, a, e)",
            [two[0], a, two[0], b, two[1], a, two[1], b],
        )
    assert caught.value.diag.constraint_name == "INCOMPLETE_TRANSACTION"
    # Conflicts that are skipped leave no effect behind.
    owner.execute("INSERT INTO accounts.postings SELECT * FROM accounts.postings ON CONFLICT DO NOTHING")
    assert teller.balance(b) == ("1.00", "1.00")
    assert problems(bank) == []
