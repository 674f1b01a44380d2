"""What may be spent while a resolution is activated: the available part and what was credited since, never a cent more."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from bank_database import open_customer
from neonctl.banking.balances import balance_at, balances_by_party, get_balance
from neonctl.banking.holds import create_hold
from neonctl.banking.posting import reverse
from obr.conftest import Resolution, new_key, one, refused


def test_available_and_later_credits_are_spent_to_the_cent(obr: Resolution) -> None:
    account = obr.customer("100.00")
    obr.activate()
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(account, "75.01"))
    obr.spend(account, "70.00")
    obr.pay_in(account, "1000.00")
    assert obr.split(account) == ("25.00", "1005.00")
    obr.spend(account, "1005.00")
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(account, "0.01"))
    assert obr.account(account)["balance"] == "25.00"


def test_the_order_of_the_gate(obr: Resolution) -> None:
    text = one(obr.reader, "SELECT prosrc FROM pg_proc WHERE proname = 'fn_posting_obr_channel_gate'", [])["prosrc"]
    steps = [
        "core.obr_resolution_state",
        "state <> 'activated' THEN RETURN NEW",
        "NEW.entry_type = 'CREDIT' THEN RETURN NEW",
    ]
    assert [text.index(step) for step in [*steps, "obr_available_amount"]] == sorted(
        text.index(step) for step in [*steps, "obr_available_amount"]
    )
    kinds = one(obr.reader, "SELECT tgtype & 7 AS kind, tgenabled FROM pg_trigger WHERE tgfoid = %s::regproc",
                ["core.fn_posting_obr_channel_gate"])  # fmt: skip
    assert (kinds["kind"], kinds["tgenabled"]) == (7, "A")  # for each row, before, insert


def test_without_the_state_row_nothing_is_posted(obr: Resolution) -> None:
    account = obr.customer("100.00")
    root = obr.bank.connect("superuser")
    root.execute("ALTER TABLE core.obr_resolution_state DISABLE TRIGGER ALL")
    root.execute("DELETE FROM core.obr_resolution_state")
    for call in (
        lambda: obr.spend(account, "1.00"),
        lambda: obr.pay_in(account, "1.00"),
        obr.activate,
        lambda: obr.release("1"),
        obr.unwind,
        obr.rearm,
        obr.reconcile,
        lambda: obr.register(obr.alice),
        lambda: obr.revoke(obr.alice),
    ):
        refused("OBR_STATE_TABLE_EMPTY", call)


def test_a_debit_split_into_legs_is_one_debit(obr: Resolution) -> None:
    account = obr.customer("100.00")
    obr.activate()

    def post(*legs: tuple[str, str, str]) -> None:
        sides, accounts, amounts = zip(*legs, strict=True)
        ids = [account if name == "customer" else obr.till for name in accounts]
        obr.app.execute(
            "SELECT accounts.post_transaction(%s, %s, %s, %s)",
            [new_key(), ids, list(sides), [Decimal(amount) for amount in amounts]],
        )

    halves = [("DEBIT", "customer", "40.00"), ("DEBIT", "customer", "40.00"), ("CREDIT", "till", "80.00")]
    refused("OBR_FROZEN_BALANCE", lambda: post(*halves))
    post(("DEBIT", "customer", "40.00"), ("DEBIT", "customer", "35.00"), ("CREDIT", "till", "75.00"))
    # A credit of the same transaction counts in the end, but no debit is larger than what is available before it.
    post(("CREDIT", "customer", "10.00"), ("DEBIT", "till", "10.00"))
    post(("DEBIT", "customer", "10.00"), ("CREDIT", "customer", "3.00"), ("CREDIT", "till", "7.00"))
    assert obr.split(account) == ("25.00", "3.00")


def test_the_owner_who_inserts_legs_himself_is_gated_too(obr: Resolution) -> None:
    account = obr.customer("100.00")
    obr.activate()
    owner, transaction = obr.bank.connect("migrate_user"), uuid4()

    def insert() -> None:
        with owner.transaction():
            owner.execute(
                "INSERT INTO accounts.transactions (transaction_id, idempotency_key) VALUES (%s, %s)",
                [transaction, new_key()],
            )
            owner.execute(
                "INSERT INTO accounts.postings VALUES (%s, 1, %s, 'DEBIT', 76, 'NZD'), (%s, 2, %s, 'CREDIT', 76, 'NZD')",
                [transaction, account, transaction, obr.till],
            )

    refused("OBR_FROZEN_BALANCE", insert)


def test_what_is_left_beside_the_frozen_is_kept_whoever_moves_the_balance(obr: Resolution) -> None:
    account = obr.customer("100.00")
    obr.activate()
    root = obr.bank.connect("superuser")
    root.execute("ALTER TABLE accounts.accounts DISABLE TRIGGER trg_accounts_money")
    moved = "UPDATE accounts.accounts SET balance = balance + {0}, available_balance = available_balance + {0} WHERE account_id = %s"
    for amount in (10, -10):
        refused("LEDGER_MANAGED", lambda amount=amount: root.execute(moved.format(amount).encode(), [account]))
    assert obr.split(account) == ("25.00", "75.00")


def test_an_overdraft_is_no_way_round(obr: Resolution) -> None:
    rich = obr.customer("100.00", overdraft="500.00")
    small = obr.customer("10.00", overdraft="500.00")
    overdrawn = open_customer(obr.app, overdraft="500.00")
    obr.spend(overdrawn, "50.00")
    obr.activate("0.25", de_minimis="10.00")
    assert obr.split(small) == ("0.00", "10.00")
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(rich, "77.51"))
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(small, "10.01"))
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(overdrawn, "0.01"))
    obr.pay_in(overdrawn, "20.00")  # credits always land
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(overdrawn, "0.01"))
    obr.pay_in(overdrawn, "40.00")
    obr.spend(overdrawn, "10.00")
    assert obr.account(overdrawn)["balance"] == "0.00"


def test_a_reversal_that_debits_is_gated_and_one_that_credits_lands(obr: Resolution) -> None:
    account = obr.customer("100.00")
    paid_in, spent = obr.pay_in(account, "100.00"), obr.spend(account, "100.00")
    obr.activate()
    refused_key = new_key()
    text = "SELECT accounts.reverse_transaction(%s, %s)"
    refused("OBR_FROZEN_BALANCE", lambda: obr.app.execute(text, [paid_in, refused_key]))
    reverse(obr.app, spent, idempotency_key=new_key())
    assert obr.split(account) == ("25.00", "175.00")


def test_an_account_opened_meanwhile_spends_its_credits(obr: Resolution) -> None:
    obr.activate()
    account = obr.customer("40.00")
    assert obr.split(account) == ("0.00", "40.00")
    assert get_balance(obr.reader, account).available_balance == Decimal("40.00")
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(account, "40.01"))
    obr.spend(account, "40.00")
    noticed = obr.customer("5.00")
    obr.app.execute("SELECT accounts.set_account_status(%s, 'ACTIVE', 'NOTICE_PENDING')", [noticed])
    obr.spend(noticed, "5.00")
    assert obr.reconcile()["differences"] == 0


def test_accounts_outside_the_partition_are_not_gated(obr: Resolution) -> None:
    australian = open_customer(obr.app, money="100.00", jurisdiction="AU")
    obr.activate("1")
    obr.spend(australian, "100.00")


def test_no_more_is_held_than_may_be_spent(obr: Resolution) -> None:
    account = obr.customer("100.00")
    early = obr.hold(account, "20.00")
    obr.activate()
    assert obr.split(account) == ("25.00", "75.00")  # open holds do not change the split
    assert get_balance(obr.reader, account).available_balance == Decimal("55.00")
    refused("OBR_FROZEN_BALANCE", lambda: obr.hold(account, "55.01"))
    late = obr.hold(account, "55.00")
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(account, "0.01"))
    for hold in (early, late):
        obr.app.execute("SELECT accounts.release_hold(%s, 'CAPTURED')", [hold])
    obr.spend(account, "75.00")


def test_holds_that_have_expired_are_left_out(obr: Resolution) -> None:
    account = obr.customer("100.00")
    text = "SELECT expires_at FROM accounts.create_hold(%s, 70, %s, '200 milliseconds')"
    expires = one(obr.app, text, [account, new_key()])["expires_at"]
    obr.activate()
    obr.app.execute("SELECT pg_sleep_until(%s)", [expires])
    obr.spend(account, "75.00")


def test_balances_are_what_the_customer_may_use(obr: Resolution) -> None:
    party = uuid4()
    account = obr.customer("100.00", parties=(party,))
    create_hold(obr.app, account, Decimal("90.00"), idempotency_key=new_key())
    before = get_balance(obr.reader, account)
    obr.activate()
    assert (before.available_balance, get_balance(obr.reader, account).available_balance) == (Decimal(10), Decimal(0))
    assert balances_by_party(obr.reader, party)[0].available_balance == 0
    obr.pay_in(account, "30.00")
    for reader in (obr.reader, obr.bank.connect("readonly", prepare_threshold=None)):
        found = get_balance(reader, account)
        assert (found.balance, found.held, found.available_balance) == (Decimal(130), Decimal(90), Decimal(15))
        assert balances_by_party(reader, party)[0].available_balance == 15
    obr.unwind()
    assert get_balance(obr.reader, account).available_balance == 40


def test_the_past_is_what_the_customer_could_use_then(obr: Resolution) -> None:
    """At each moment the reconstruction says what the live balance said, also after the resolution is over."""
    account = obr.customer("100.00")
    create_hold(obr.app, account, Decimal("10.00"), idempotency_key=new_key())
    seen: list[tuple[datetime, Decimal]] = []

    def look() -> None:
        live = get_balance(obr.reader, account)
        now = balance_at(obr.reader, account, None)
        assert (now.available_balance, now.differences) == (live.available_balance, ())
        seen.append((live.as_of, live.available_balance))

    look()
    obr.activate()
    look()
    obr.pay_in(account, "30.00")
    opened = obr.customer("7.00")
    look()
    obr.release("50.00")
    look()
    obr.unwind()
    look()
    assert len({available for _, available in seen}) == len(seen), "each step shows"
    for moment, available in seen:
        assert balance_at(obr.reader, account, moment).available_balance == available
    assert balance_at(obr.reader, opened, seen[3][0]).available_balance == Decimal("7.00")
    assert balance_at(obr.reader, obr.till, seen[1][0]).available_balance == Decimal("-100.00")
