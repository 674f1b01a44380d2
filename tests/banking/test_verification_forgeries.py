"""Forgeries whose hashes or sums fit: what only a look at the meaning of the values exposes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID

import pytest

from bank_database import Bank, Connection, open_customer, open_internal
from neonctl.banking.holds import create_hold, release_hold
from neonctl.banking.seals import seal_ledger
from neonctl.banking.verification import Scope, verify_ledger

_TABLES = (
    "accounts.accounts",
    "accounts.postings",
    "core.transaction_log",
    "core.hold_log",
)
_HOLD_HASH = """sha256((l.prev_hash || uuid_send(l.account_id)) || (int8send(l.seq) || uuid_send(l.hold_id))
    || (int8send(l.account_version * 2::bigint + CASE l.event WHEN 'CREATED' THEN 0 ELSE 1 END) || numeric_send(l.amount))
    || (numeric_send(l.available_after) || timestamptz_send(l.expires_at)) || (timestamptz_send(l.recorded_at)
    || convert_to(concat_ws(':', octet_length(l.idempotency_key), l.idempotency_key, 'r' || octet_length(l.reason),
        l.reason, 'p' || octet_length(l.payment_id), l.payment_id), 'UTF8')))"""


@pytest.fixture
def forger(bank: Bank) -> Connection:
    """A superuser, every guard off."""
    superuser = bank.connect("superuser")
    for table in _TABLES:
        superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
    return superuser


@pytest.fixture
def books(bank: Bank) -> tuple[UUID, UUID]:
    """Two customers with 100.00 each; a hold of the first one was released."""
    app = bank.connect("app_user")
    cash = open_internal(app)
    first, second = (open_customer(app, money="100.00", source=cash) for _ in range(2))
    hold = create_hold(app, first, Decimal(1), idempotency_key="k", payment_id="p")
    release_hold(app, hold.hold_id, "DONE")
    return first, second


def _found(bank: Bank, account: UUID | None = None, encoding: str = "UTF8") -> list[str]:
    @contextmanager
    def door() -> Iterator[Connection]:
        with bank.server.connect(bank.name) as conn:
            conn.execute("SELECT set_config('client_encoding', %s, false)", [encoding])
            yield conn

    faults = verify_ledger(door, Scope(account=account), jobs=1).faults
    return [fault.message for fault in faults if fault.row != "guard"]


def test_the_other_side_of_an_amount_below_zero_is_no_posting(bank, books, forger):
    """The hash is over what a leg does to the balance, and minus a debit does what a credit does."""
    forger.execute("ALTER DOMAIN core.positive_amount DROP CONSTRAINT chk_positive_amount")
    for table in ("core.transaction_log", "accounts.postings"):
        forger.execute(
            f"UPDATE {table} SET amount = -amount, entry_type = 'DEBIT' WHERE account_id = %s".encode(), [books[1]]
        )
    for account in (None, books[1]):
        assert _found(bank, account) == [f"row {books[1]}/1: DEBIT of -100.00 is no posting"]


def test_accounts_do_not_change_their_currency_together(bank, books, forger):
    """All balances in each currency still sum to nothing."""
    forger.execute("UPDATE accounts.accounts SET currency = 'AUD'")
    assert len(_found(bank)) == 3
    assert _found(bank, books[0]) == [f"row {books[0]}/1 is in NZD, its account in AUD"]


@pytest.mark.parametrize("column", ["log_seq", "hold_seq"])
def test_numbers_that_are_too_large_to_be_summed_up_are_faults(bank, books, forger, column):
    forger.execute(f"UPDATE accounts.accounts SET {column} = %s WHERE account_id = %s".encode(), [2**63 - 1, books[0]])
    for account in (None, books[0]):
        assert any(
            "is missing: the account has seen 9223372036854775807 rows" in said for said in _found(bank, account)
        )


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE core.hold_log SET expires_at = expires_at - interval '2 days' WHERE event = 'RELEASED'",
        "UPDATE core.hold_log SET payment_id = NULL WHERE event = 'RELEASED'",
        "UPDATE core.hold_log SET account_id = {other}, seq = 1, prev_hash = {zero} WHERE event = 'RELEASED'",
    ],
)
def test_a_release_is_of_the_hold_that_was_created(bank, books, forger, deed):
    """Every chain is made to fit, and every account to its chain."""
    forger.execute(deed.format(other=f"'{books[1]}'", zero="decode(repeat('00', 32), 'hex')").encode())
    forger.execute(f"UPDATE core.hold_log AS l SET row_hash = {_HOLD_HASH} WHERE l.event = 'RELEASED'".encode())
    forger.execute(
        "UPDATE accounts.accounts AS a SET hold_seq = l.seq, hold_head = l.row_hash, version = a.log_seq + l.seq FROM ("
        " SELECT DISTINCT ON (x.account_id) x.* FROM core.hold_log AS x ORDER BY x.account_id, x.seq DESC) AS l"
        " WHERE l.account_id = a.account_id"
    )
    assert _found(bank) == ["the hold is not what its log says"]


def test_what_is_available_is_proven_of_one_account_as_well(bank, books, forger):
    forger.execute("UPDATE accounts.accounts SET available_balance = 1 WHERE account_id = %s", [books[0]])
    said = "available_balance says 1.00, balance less unreleased holds is 100.00"
    assert _found(bank, books[0]) == _found(bank) == [said]


def test_seals_hold_in_every_encoding_of_a_session(bank):
    """Of who seals, and of who verifies."""
    app = bank.connect("app_user")
    app.execute("SELECT core.record_audit('a.test', 'dev/bank_core', 'done', 'Māori é', 't1', 'c1', '{}')")
    open_internal(app)
    app.execute("SET client_encoding = 'LATIN1'")
    seal_ledger(app)
    assert _found(bank) == _found(bank, encoding="LATIN1") == []
