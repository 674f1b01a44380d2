"""Seals commit to every chain; the outbox gives every event, in order per account, at least once."""

from __future__ import annotations

import hashlib
import struct
import uuid
from datetime import UTC, datetime

import psycopg
import pytest

from ledger.conftest import Bank, Teller, refused

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _seal(teller: Teller) -> tuple[int, bytes, int, int, int, bytes, bytes, datetime, bool]:
    row = teller.conn.execute("SELECT * FROM core.seal_log('somebody')").fetchone()
    assert row is not None
    return row  # pyright: ignore[reportReturnType]


def test_a_seal_can_be_computed_outside_the_database(teller: Teller) -> None:
    a, b = teller.open(money="10"), teller.open()
    teller.hold(a, "1")
    first = _seal(teller)
    assert _seal(teller)[:8] == first[:8]
    assert _seal(teller)[8] is False
    teller.move(a, b, "1")
    second = _seal(teller)
    previous = bytes(32)
    for number, seal in enumerate((first, second), 1):
        seal_no, previous_hash, accounts, log_rows, hold_rows, batch_hash, seal_hash, sealed_at, _ = seal
        entries = teller.conn.execute(
            "SELECT account_id, seq, head, hold_seq, hold_head, version, facts FROM core.log_seal_entries WHERE seal_no = %s",
            [seal_no],
        ).fetchall()
        batch = b"".join(
            account.bytes
            + struct.pack(">q", seq)
            + head
            + struct.pack(">q", hold_seq)
            + hold_head
            + struct.pack(">i", version)
            + facts
            for account, seq, head, hold_seq, hold_head, version, facts in sorted(entries)  # pyright: ignore[reportAttributeAccessIssue]
        )
        microseconds = (sealed_at - _EPOCH) // (sealed_at.resolution)
        assert (seal_no, previous_hash, accounts) == (number, previous, len(entries))
        assert batch_hash == hashlib.sha256(batch).digest()
        assert (
            seal_hash
            == hashlib.sha256(
                previous + struct.pack(">qqqqq", seal_no, accounts, log_rows, hold_rows, microseconds) + batch_hash
            ).digest()
        )
        previous = seal_hash
    assert (first[2:5], second[2:5]) == ((3, 2, 1), (2, 4, 1)), "new accounts and those that moved"


def test_a_row_of_the_log_can_be_computed_outside_the_database(bank: Bank, teller: Teller) -> None:
    a, b = teller.open(money="10"), teller.open()
    teller.conn.execute(
        "SELECT accounts.post_transaction(%s, %s::uuid[], '{DEBIT,CREDIT}', '{1.25,1.25}', NULL, '2026-01-02', '2026-01-03',"
        " 'MOD-020', 'Māori 🏦', NULL, '')",
        ["ключ", [a, b]],
    )
    row = teller.conn.execute(
        "SELECT l.*, t.created_at, t.created_by FROM core.transaction_log l JOIN accounts.transactions t USING (transaction_id)"
        " WHERE l.account_id = %s AND l.seq = 2",
        [a],
    ).fetchone()
    assert row is not None
    transaction, created_at, prev_hash = row[2], row[16], row[14]
    assert isinstance(transaction, uuid.UUID)
    assert isinstance(created_at, datetime)
    assert isinstance(prev_hash, bytes)

    def moment(value: datetime) -> bytes:
        return struct.pack(">q", (value - _EPOCH) // value.resolution)

    days = struct.pack(">ii", 9498, 9499)  # 2026-01-02 and -03, counted from 2000-01-01
    header = hashlib.sha256(
        transaction.bytes + moment(created_at) + days + "8:ключ:7:MOD-020:18:bank_core_app_user:d11:Māori 🏦:c0:".encode()
    ).digest()  # fmt: skip
    posted_at = row[12]
    assert isinstance(posted_at, datetime)
    expected = hashlib.sha256(
        prev_hash + header + a.bytes + transaction.bytes + struct.pack(">qq", 2, (2 << 32) + (1 << 16) + 1)
        # -1.25 and 8.75: two groups of four digits, the first before the point; the sign; two decimals
        + struct.pack(">hhHHhh", 2, 0, 0x4000, 2, 1, 2500) + 2 * struct.pack(">hhHHhh", 2, 0, 0, 2, 8, 7500)
        + moment(posted_at)
    ).digest()  # fmt: skip
    assert (row[13], row[15]) == (header, expected)


def _read(conn: psycopg.Connection[tuple[object, ...]], limit: int = 100) -> list[tuple[object, ...]]:
    return conn.execute("SELECT event_no, event_type, event_id, payload FROM core.outbox_read(%s)", [limit]).fetchall()


def test_a_posting_is_told_with_the_balances_it_made(teller: Teller) -> None:
    till, a = teller.internal(), teller.open()
    transaction = teller.move(till, a, "5")
    teller.hold(a, "2")
    events = _read(teller.conn)
    assert [(row[1], row[2]) for row in events] == [
        ("bank.core.posting_completed", str(transaction)),
        *((("bank.core.balance_updated"), f"{account}:1") for account in sorted((till, a))),
        ("bank.core.balance_updated", f"{a}:2"),
    ]
    posting, held = events[0][3], events[3][3]
    assert isinstance(posting, dict)
    assert isinstance(held, dict)
    assert [(leg["account_id"], leg["amount"], leg["balance_after"]) for leg in posting["legs"]] == [
        (str(till), "5.00", "-5.00"),
        (str(a), "5.00", "5.00"),
    ]
    assert (held["balance"], held["available_balance"], held["version"]) == ("5.00", "3.00", 2)


def test_a_relay_marks_what_it_published_and_reads_the_rest_again(bank: Bank, teller: Teller) -> None:
    till, a, b, c = teller.internal(), teller.open(), teller.open(), teller.open(money="1")
    teller.conn.execute("SELECT core.outbox_mark(array_agg(event_no)) FROM core.outbox")
    teller.move(till, a, "1")
    teller.move(c, b, "1")
    teller.move(till, b, "1")
    relay, other = bank.connect("app_user"), bank.connect("app_user")
    first, second, third = sorted({int(str(row[0])) for row in _read(relay)})
    with relay.transaction():
        assert _read(relay, 1)[0][0] == first
        refused("OUTBOX_RELAY_BUSY", lambda: _read(other))
        relay.execute("SELECT core.outbox_fail(%s, 'no answer', 3, '1 hour')", [first])
    # The first waits; the third shares its till; the second goes.
    assert {row[0] for row in _read(relay)} == {second}
    relay.execute("SELECT core.outbox_mark(%s)", [[second]])
    assert _read(relay) == []
    for _ in range(2):
        relay.execute("SELECT core.outbox_fail(%s, 'no answer', 3)", [first])
    assert {row[0] for row in _read(relay)} == {third}  # the first is dead
    relay.execute("SELECT core.outbox_revive(%s)", [[first]])
    assert {row[0] for row in _read(relay)} == {first, third}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        bank.connect("readonly").execute("SELECT core.outbox_read()")


def test_a_hold_with_the_id_of_a_transaction_tells_of_itself_only(bank: Bank, teller: Teller) -> None:
    till, a = teller.internal(), teller.open()
    transaction = teller.move(till, a, "5")
    teller.conn.execute("SELECT core.outbox_mark(array_agg(event_no)) FROM core.outbox")
    bank.connect("migrate_user").execute(
        "INSERT INTO accounts.pending_holds (hold_id, account_id, amount, idempotency_key, account_version)"
        " VALUES (%s, %s, 1, 'k', 1)",
        [transaction, a],
    )
    assert [(row[1], row[2]) for row in _read(teller.conn)] == [("bank.core.balance_updated", f"{a}:2")]


def test_what_lost_its_row_of_the_log_keeps_nothing_else_back(bank: Bank, teller: Teller) -> None:
    till, a = teller.internal(), teller.open(money="5")
    teller.conn.execute("SELECT core.outbox_mark(array_agg(event_no)) FROM core.outbox")
    teller.hold(a, "2")
    superuser = bank.connect("postgres")
    superuser.execute("ALTER TABLE core.hold_log DISABLE TRIGGER ALL")
    superuser.execute("DELETE FROM core.hold_log")
    transaction = teller.move(till, a, "1")
    assert _read(teller.conn, 1)[0][2] == str(transaction)
