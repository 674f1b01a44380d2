"""Holds: optimistic, idempotent, never more than there is, released once."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from ledger.conftest import Bank, Teller, refused
from ledger.proof import problems


def test_a_hold_takes_from_what_is_available_and_gives_it_back_once(bank: Bank, teller: Teller) -> None:
    till, account = teller.internal(), teller.open(money="10")
    hold = teller.hold(account, "6.00")
    assert teller.balance(account) == ("10.00", "4.00")
    refused("INSUFFICIENT_FUNDS", lambda: teller.hold(account, "4.01"))
    refused("INSUFFICIENT_FUNDS", lambda: teller.move(account, till, "4.01"))
    assert teller.release(hold, "CAPTURED")
    assert not teller.release(hold, "CANCELLED")
    row = teller.conn.execute("SELECT release_reason FROM accounts.pending_holds WHERE hold_id = %s", [hold]).fetchone()
    assert row == ("CAPTURED",)
    assert teller.balance(account) == ("10.00", "10.00")
    refused("HOLD_NOT_FOUND", lambda: teller.release(uuid.uuid4()))
    refused("ACCOUNT_NOT_FOUND", lambda: teller.hold(uuid.uuid4(), "1"))
    assert problems(bank) == []


def test_the_same_key_gives_the_first_hold_again(bank: Bank, teller: Teller) -> None:
    account, other, key = teller.open(money="10"), teller.open(money="10"), bank.key()
    hold = teller.hold(account, "6", key)
    assert teller.hold(account, "6.00", key) == hold
    teller.release(hold)
    assert teller.hold(account, "6", key) == hold
    refused("IDEMPOTENCY_KEY_REUSED", lambda: teller.hold(account, "5", key))
    refused("IDEMPOTENCY_KEY_REUSED", lambda: teller.hold(other, "6", key))
    assert teller.hold(account, "6", key, ttl="1 day") == hold
    refused("IDEMPOTENCY_KEY_REUSED", lambda: teller.hold(account, "6", key, ttl="25 hours"))
    assert teller.balance(account) == ("10.00", "10.00")


@pytest.mark.parametrize(("amount", "ttl", "code"), [
    ("0", "1 hour", "AMOUNT_INVALID"),
    ("1.001", "1 hour", "AMOUNT_INVALID"),
    ("NaN", "1 hour", "AMOUNT_INVALID"),
    ("1", "0", "HOLD_INVALID"),
    ("1", "-1 hour", "HOLD_INVALID"),
    ("1", "367 days", "HOLD_INVALID"),
])  # fmt: skip
def test_what_is_no_hold(teller: Teller, amount: str, ttl: str, code: str) -> None:
    account = teller.open(money="10")
    refused(code, lambda: teller.hold(account, amount, ttl=ttl))


@pytest.mark.parametrize(("lasting", "reason"), [
    ("0", None),
    ("-1 hour", None),
    ("8784 hours 1 second", None),
    ("1 hour", "BORN_DEAD"),
])  # fmt: skip
def test_what_is_no_hold_is_none_for_the_owner_either(
    bank: Bank, teller: Teller, lasting: str, reason: str | None
) -> None:
    account, owner, replica = teller.open(money="10"), bank.connect("migrate_user"), bank.connect("postgres")
    replica.execute("SET session_replication_role = replica")

    def make(conn: psycopg.Connection[tuple[object, ...]]) -> None:
        conn.execute(
            "INSERT INTO accounts.pending_holds (account_id, amount, idempotency_key, account_version, created_at, expires_at,"
            " release_reason) SELECT a.account_id, 1, 'owner', a.version, now(), now() + %s::interval, %s"
            " FROM accounts.accounts AS a WHERE a.account_id = %s",
            [lasting, reason, account],
        )

    refused("HOLD_INVALID", lambda: make(owner))
    refused("HOLD_INVALID", lambda: make(replica))
    assert problems(bank) == []


def test_an_expired_hold_stops_counting_by_itself_and_is_swept_later(bank: Bank, teller: Teller) -> None:
    till, account = teller.internal(), teller.open(money="10")
    teller.hold(account, "10", ttl="1 microsecond")
    assert teller.balance(account) == ("10.00", "0.00")  # stored: still to be swept
    kept = teller.hold(account, "4")
    teller.move(account, till, "6")
    refused("INSUFFICIENT_FUNDS", lambda: teller.move(account, till, "0.01"))
    swept = teller.conn.execute("SELECT account_id, amount::text FROM accounts.sweep_holds()").fetchall()
    assert swept == [(account, "10.00")]
    assert teller.conn.execute("SELECT * FROM accounts.sweep_holds()").fetchall() == []
    assert teller.balance(account) == ("4.00", "0.00")
    assert teller.release(kept)
    assert problems(bank) == []


def test_a_hold_decided_on_an_old_version_is_refused(bank: Bank, teller: Teller) -> None:
    till, account = teller.internal(), teller.open(money="10")
    posting, holding = bank.connect("app_user"), Teller(bank, bank.connect("app_user"))
    # The posting has the account; the hold reads the version before, waits, and finds another one.
    with posting.transaction():
        Teller(bank, posting).move(account, till, "1")
        with holding.conn.pipeline():
            pending = holding.conn.execute("SELECT hold_id FROM accounts.create_hold(%s, 1, %s)", [account, bank.key()])
            holding.conn.pgconn.flush()
            waiter = bank.connect("postgres")
            while not waiter.execute(
                "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
                [holding.conn.info.backend_pid],
            ).fetchall():
                pass
            posting.execute("COMMIT")
            with pytest.raises(psycopg.Error) as caught:
                pending.fetchone()
    assert (caught.value.sqlstate, caught.value.diag.constraint_name) == ("NB009", "CONCURRENT_MODIFICATION")


def test_every_step_tells_the_others(teller: Teller) -> None:
    till, account = teller.internal(), teller.open(money="10")
    hold = teller.hold(account, "3")
    teller.release(hold)
    teller.move(account, till, "1")  # told of later than the hold, so nothing of it is in what is told of the hold
    rows = teller.conn.execute(
        "SELECT payload - 'occurred_at', (payload ->> 'occurred_at')::timestamptz FROM core.outbox_read()"
        " WHERE payload ->> 'cause' LIKE 'HOLD%' ORDER BY event_no"
    ).fetchall()
    moments = "SELECT created_at, released_at FROM accounts.pending_holds WHERE hold_id = %s"
    created, released = teller.conn.execute(moments, [hold]).fetchall()[0]
    told = {
        "schema_version": "1",
        "account_id": str(account),
        "currency": "NZD",
        "balance": "10.00",
        "transaction_id": None,
        "hold_id": str(hold),
        "trace_id": None,
        "correlation_id": None,
    }
    assert rows == [
        ({**told, "cause": "HOLD_CREATED", "available_balance": "7.00", "version": 2}, created),
        ({**told, "cause": "HOLD_RELEASED", "available_balance": "10.00", "version": 3}, released),
    ]
