"""Whoever changes the ledger behind its back, triggers off, is convicted: by the first row that is not as written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from psycopg.rows import class_row

from bank_database import Bank, Connection, open_customer, open_internal
from neonctl.banking import verification_tasks
from neonctl.banking.chain import ZERO_HASH, HoldRow, LogRow
from neonctl.banking.holds import create_hold, release_hold
from neonctl.banking.posting import post, reverse, transfer
from neonctl.banking.seals import anchor_text, parse_anchor, seal_ledger
from neonctl.banking.verification import Scope, Verification, verify_ledger
from neonctl.errors import NeonctlError, UsageError
from neonctl.postgres.queryfile import query

TABLES = (
    "accounts.accounts",
    "accounts.transactions",
    "accounts.postings",
    "accounts.reversals",
    "accounts.pending_holds",
    "accounts.daily_balance_snapshots",
    "core.transaction_log",
    "core.hold_log",
    "core.log_seals",
    "core.log_seal_entries",
    "core.eod_runs",
)


@dataclass
class Books:
    """A ledger with something of everything in it."""

    bank: Bank
    app: Connection
    cash: UUID
    account: UUID
    other: UUID
    transactions: list[UUID]
    holds: list[UUID]

    def verify(self, **scope) -> Verification:
        @contextmanager
        def door() -> Iterator[Connection]:
            yield self.bank.connect("readonly")

        return verify_ledger(door, Scope(**scope), jobs=2)

    @contextmanager
    def behind_its_back(self) -> Iterator[Connection]:
        """A superuser with every trigger off, who cleans up after himself."""
        superuser = self.bank.connect("superuser")
        for table in TABLES:
            superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield superuser
        for table in TABLES:
            superuser.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            for (name,) in superuser.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", (table,)
            ).fetchall():
                superuser.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")

    def rows(self, account: UUID) -> list[LogRow]:
        with self.app.cursor(row_factory=class_row(LogRow)) as cursor:
            return cursor.execute(
                query("verify_account", "account_log", "banking"), {"account_id": account, "seq": 0}
            ).fetchall()


@pytest.fixture
def books(bank):
    app = bank.connect("app_user")
    cash = open_internal(app)
    account, other = (open_customer(app, money="100.00", source=cash) for _ in range(2))
    posted = [
        post(app, transfer(account, other, Decimal(number)), idempotency_key=f"p{number}").transaction_id
        for number in range(1, 9)
    ]
    posted.append(reverse(app, posted[2], idempotency_key="r").transaction_id)
    holds = [
        create_hold(app, account, Decimal(number), idempotency_key=f"h{number}", payment_id=payment).hold_id
        for number, payment in ((1, "pay"), (2, None), (3, None))
    ]
    release_hold(app, holds[1], "DONE")
    seal_ledger(app)
    return Books(bank, app, cash, account, other, posted, holds)


def faults(found: Verification) -> list[tuple[str, str, str]]:
    return [(fault.kind, fault.table, fault.row) for fault in found.faults]


def test_an_honest_ledger_is_intact(books):
    found = books.verify()
    assert found.intact, found.faults
    assert (found.accounts, found.log_rows, found.hold_rows, found.transactions) == (3, 22, 4, 11)


def test_python_and_sql_compute_the_same_hashes(books):
    for account in (books.account, books.other, books.cash):
        assert all(row.computed() == row.row_hash for row in books.rows(account))


@pytest.mark.parametrize(
    "amount",
    ["0.00", "0.01", "-0.01", "0.10", "99.99", "100.00", "-9999.99", "10000.00", "-10000.01", "100000000.00",
     "12345678.90", "1000000000000000.00", "9999999999999999.99", "NaN"],
)  # fmt: skip
def test_amounts_of_every_size_have_the_same_hash_in_python_and_sql(books, amount):
    row = replace(
        books.rows(books.account)[3], amount=Decimal(amount), balance_after=Decimal(amount), entry_type="CREDIT"
    )
    found = books.app.execute(
        "SELECT sha256(%(prev)s || %(hash)s || uuid_send(%(account)s) || uuid_send(%(transaction)s) || int8send(%(seq)s)"
        " || int8send(%(kind)s) || numeric_send(%(amount)s::numeric(18, 2)) || numeric_send(%(amount)s::numeric(18, 2))"
        " || numeric_send(%(available)s::numeric(18, 2)) || timestamptz_send(%(posted_at)s))",
        {
            "prev": row.prev_hash,
            "hash": row.transaction_hash,
            "account": row.account_id,
            "transaction": row.transaction_id,
            "seq": row.seq,
            "kind": row.account_version * 2**32 + 2**16 + row.leg,
            "amount": row.amount,
            "available": row.available_after,
            "posted_at": row.posted_at,
        },
    ).fetchone()
    assert found == (row.computed(),)


Deed = Callable[[Connection, Books], object]
LOG = "core.transaction_log"


def sql(text: str) -> Deed:
    """A statement in which {account}, {other} and so on stand for ids."""

    def deed(superuser: Connection, books: Books) -> None:
        names = {"account": books.account, "other": books.other, "cash": books.cash}
        names |= {f"t{number}": each for number, each in enumerate(books.transactions)}
        names |= {f"h{number}": each for number, each in enumerate(books.holds)}
        superuser.execute(text.format(**names))

    return deed


def rewrite(superuser: Connection, books: Books, *, seq: int = 4) -> None:
    """Raise an amount by a cent and make that one row's hash fit."""
    row = books.rows(books.account)[seq - 1]
    forged = replace(row, amount=row.amount + Decimal("0.01"), balance_after=row.balance_after - Decimal("0.01"))
    superuser.execute(
        "UPDATE core.transaction_log SET amount = %s, balance_after = %s, row_hash = %s WHERE account_id = %s AND seq = %s",
        (forged.amount, forged.balance_after, forged.computed(), books.account, seq),
    )


DEEDS: dict[str, tuple[Deed, str, str, str]] = {
    "amount": (sql(f"UPDATE {LOG} SET amount = amount + 1 WHERE account_id = '{{account}}' AND seq = 4"), "altered", LOG, "{account}/4"),
    "moment": (sql(f"UPDATE {LOG} SET posted_at = posted_at + interval '1us' WHERE account_id = '{{account}}' AND seq = 4"), "altered", LOG, "{account}/4"),
    **{
        f"{column} {value}": (sql(f"UPDATE {LOG} SET {column} = '{value}' WHERE account_id = '{{account}}' AND seq = 4"), "altered", LOG, "{account}/4")
        for column, value in (
            ("amount", "NaN"), ("balance_after", "NaN"), ("available_after", "NaN"),
            ("posted_at", "infinity"), ("posted_at", "-infinity"), ("posted_at", "0044-03-15 BC"),
        )
    },
    "first row": (sql(f"UPDATE {LOG} SET balance_after = 0 WHERE account_id = '{{account}}' AND seq = 1"), "altered", LOG, "{account}/1"),
    "last row": (sql(f"UPDATE {LOG} SET balance_after = 0 WHERE account_id = '{{account}}' AND seq = 10"), "altered", LOG, "{account}/10"),
    "row with its hash": (rewrite, "altered", LOG, "{account}/4"),
    "last row with its hash": (lambda su, books: rewrite(su, books, seq=10), "altered", LOG, "{account}/10"),
    "one row gone": (sql(f"DELETE FROM {LOG} WHERE account_id = '{{account}}' AND seq = 4"), "removed", LOG, "{account}/4"),
    "first row gone": (sql(f"DELETE FROM {LOG} WHERE account_id = '{{account}}' AND seq = 1"), "removed", LOG, "{account}/1"),
    "tail gone": (sql(f"DELETE FROM {LOG} WHERE account_id = '{{account}}' AND seq > 8"), "removed", LOG, "{account}/9"),
    "all rows gone": (sql(f"TRUNCATE {LOG}"), "removed", LOG, "{account}/1"),
    "two rows changed places": (
        sql(
            f"UPDATE {LOG} SET seq = -seq WHERE account_id = '{{account}}' AND seq IN (4, 5);"
            f"UPDATE {LOG} SET seq = 9 + seq WHERE account_id = '{{account}}' AND seq < 0"
        ),
        "reordered",
        LOG,
        "{account}/4",
    ),
    "a row more": (
        sql(
            f"INSERT INTO {LOG} SELECT (r).* FROM (SELECT json_populate_record(l, json_build_object('seq', 11, 'leg', 9)) AS r"
            f" FROM {LOG} AS l WHERE account_id = '{{account}}' AND seq = 10) AS x"
        ),
        "inserted",
        LOG,
        "{account}/11",
    ),
    "a balance": (sql("UPDATE accounts.accounts SET balance = balance + 1 WHERE account_id = '{account}'"), "balance", "accounts.accounts", "{account}"),
    "a head": (sql("UPDATE accounts.accounts SET log_head = sha256('x') WHERE account_id = '{account}'"), "altered", LOG, "{account}/10"),
    "an account gone": (sql("DELETE FROM accounts.accounts WHERE account_id = '{account}'"), "removed", "accounts.accounts", "{account}"),
    "a posting's amount": (sql("UPDATE accounts.postings SET amount = 99 WHERE transaction_id = '{t3}' AND leg = 2"), "altered", "accounts.postings", "{t3}/2"),
    "a posting gone": (sql("DELETE FROM accounts.postings WHERE transaction_id = '{t3}' AND leg = 2"), "removed", "accounts.postings", "{t3}/2"),
    "a posting more": (
        sql("INSERT INTO accounts.postings SELECT transaction_id, 3, account_id, entry_type, amount, currency FROM accounts.postings WHERE transaction_id = '{t3}' AND leg = 2"),
        "inserted",
        "accounts.postings",
        "{t3}/3",
    ),
    "a header": (sql("UPDATE accounts.transactions SET description = 'x' WHERE transaction_id = '{t3}'"), "altered", "accounts.transactions", "{t3}"),
    "a header gone": (sql("DELETE FROM accounts.transactions WHERE transaction_id = '{t3}'"), "removed", "accounts.transactions", "{t3}"),
    "a value date in the log": (sql(f"UPDATE {LOG} SET value_date = value_date + 1 WHERE transaction_id = '{{t3}}' AND leg = 1"), "altered", "accounts.transactions", "{t3}"),
    "a reversal forgotten": (sql("DELETE FROM accounts.reversals WHERE reversed_transaction_id = '{t2}'"), "altered", "accounts.transactions", "{t8}"),
    "a hold's amount": (sql("UPDATE accounts.pending_holds SET amount = 9 WHERE hold_id = '{h0}'"), "altered", "accounts.pending_holds", "{h0}"),
    "a hold gone": (sql("DELETE FROM accounts.pending_holds WHERE hold_id = '{h0}'"), "removed", "accounts.pending_holds", "{h0}"),
    "a hold open again": (sql("UPDATE accounts.pending_holds SET released_at = NULL, release_reason = NULL WHERE hold_id = '{h1}'"), "altered", "accounts.pending_holds", "{h1}"),
    "a hold's log": (sql("UPDATE core.hold_log SET reason = 'OTHER' WHERE hold_id = '{h1}' AND event = 'RELEASED'"), "altered", "core.hold_log", "{account}/4"),
    "a hold's log without a number": (sql("UPDATE core.hold_log SET amount = 'NaN' WHERE account_id = '{account}' AND seq = 2"), "altered", "core.hold_log", "{account}/2"),
    "a hold's log without an end": (sql("UPDATE core.hold_log SET expires_at = 'infinity' WHERE account_id = '{account}' AND seq = 2"), "altered", "core.hold_log", "{account}/2"),
    "a hold's log gone": (sql("DELETE FROM core.hold_log WHERE account_id = '{account}' AND seq = 2"), "removed", "core.hold_log", "{account}/2"),
    "a limit": (sql("UPDATE accounts.accounts SET is_internal = true WHERE account_id = '{account}'"), "altered", "core.log_seal_entries", "1/{account}"),
    "a standing": (sql("UPDATE accounts.accounts SET allows_debit = false WHERE account_id = '{account}'"), "altered", "accounts.accounts", "{account}"),
    "a balance that is no number": (sql("UPDATE accounts.accounts SET balance = 'NaN' WHERE account_id = '{account}'"), "balance", "accounts.accounts", "{account}"),
    "a seal that has no time": (sql("UPDATE core.log_seals SET sealed_at = 'infinity'"), "altered", "core.log_seals", "1"),
    "heads without a seal": (sql("DELETE FROM core.log_seals"), "inserted", "core.log_seal_entries", "1/{account}"),
    "a reversal that was none": (sql("INSERT INTO accounts.reversals VALUES ('{t0}', '{t1}')"), "inserted", "accounts.reversals", "{t0}"),
    "an available balance": (sql("UPDATE accounts.accounts SET available_balance = available_balance + 1 WHERE account_id = '{account}'"), "balance", "accounts.accounts", "{account}"),
}  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS)
def test_the_first_wrong_row_is_named(books, deed):
    do, kind, table, row = DEEDS[deed]
    with books.behind_its_back() as superuser:
        do(superuser, books)
    names = {"account": books.account} | {f"t{n}": each for n, each in enumerate(books.transactions)}
    names |= {f"h{n}": each for n, each in enumerate(books.holds)}
    found = books.verify()
    assert (kind, table, row.format(**names)) in faults(found), found.faults
    if table == LOG:
        assert (kind, table, row.format(**names)) in faults(books.verify(account=books.account))


@pytest.mark.parametrize(
    "deed", ["amount", "tail gone", "all rows gone", "a posting gone", "a hold's log", "an account gone"]
)
def test_parts_find_together_what_one_finds(books, deed, monkeypatch):
    """As small as parts can be: each account, and each transaction, by itself, and what lies between them."""

    def each_by_itself(conn, name):
        table, column = ("accounts", "account_id") if name == "account_bounds" else ("transactions", "transaction_id")
        bounds = [row[0] for row in conn.execute(f"SELECT {column} FROM accounts.{table} ORDER BY 1").fetchall()]
        lasts = [*(UUID(int=bound.int - 1) for bound in bounds), UUID(int=2**128 - 1)]
        return list(zip([UUID(int=0), *bounds], lasts, strict=True))

    whole = books.verify()
    with monkeypatch.context() as patched:
        patched.setattr(verification_tasks, "_ranges", each_by_itself)
        assert replace(books.verify(), as_of=whole.as_of) == whole
    with books.behind_its_back() as superuser:
        DEEDS[deed][0](superuser, books)
    found = set(faults(books.verify()))
    monkeypatch.setattr(verification_tasks, "_ranges", each_by_itself)
    assert set(faults(books.verify())) == found


def test_a_header_that_is_there_twice_is_seen(books):
    """Only how many there are tells: nothing about one of the two is wrong."""
    with books.behind_its_back() as superuser:
        superuser.execute("ALTER TABLE accounts.transactions DROP CONSTRAINT transactions_pkey CASCADE")
        superuser.execute("ALTER TABLE accounts.transactions DROP CONSTRAINT uniq_transactions_idempotency_key")
        superuser.execute(
            "INSERT INTO accounts.transactions SELECT * FROM accounts.transactions WHERE transaction_id = %s",
            (books.transactions[3],),
        )
    [fault] = books.verify().faults
    assert (fault.kind, fault.table) == ("altered", "accounts.transactions")
    assert "does not add up" in fault.message


@pytest.mark.parametrize("seq", [1, 4, 10])
def test_a_row_of_the_log_that_is_there_twice_is_named(books, seq):
    with books.behind_its_back() as superuser:
        for name in ("transaction_log_pkey", "uniq_transaction_log_leg"):
            superuser.execute(f"ALTER TABLE {LOG} DROP CONSTRAINT {name}")
        superuser.execute(
            f"INSERT INTO {LOG} SELECT * FROM {LOG} WHERE account_id = %s AND seq = %s", (books.account, seq)
        )
    assert str(books.account) in {fault.row.split("/")[0] for fault in books.verify().faults if fault.table == LOG}


def test_every_account_whose_chain_is_broken_is_counted(books):
    with books.behind_its_back() as superuser:
        superuser.execute("UPDATE core.transaction_log SET amount = amount + 1 WHERE seq = 2")
    found = books.verify()
    assert {fault.row.split("/")[0] for fault in found.faults if fault.table == LOG} == {
        str(books.account),
        str(books.other),
        str(books.cash),
    }


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE core.transaction_log DISABLE TRIGGER trg_transaction_log_append_only", "switched off"),
        ("ALTER TABLE core.hold_log ENABLE TRIGGER trg_hold_log_append_only", "not ALWAYS on"),
        ("DROP TRIGGER trg_postings_append_only ON accounts.postings", "lost its guard"),
        (
            "CREATE OR REPLACE FUNCTION core.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "does not refuse",
        ),
        (
            (
                "CREATE OR REPLACE TRIGGER trg_hold_log_append_only BEFORE UPDATE ON core.hold_log FOR EACH STATEMENT"
                " EXECUTE FUNCTION core.refuse_change();"
                "ALTER TABLE core.hold_log ENABLE ALWAYS TRIGGER trg_hold_log_append_only"
            ),
            "does not refuse",
        ),
        ("CREATE RULE hidden AS ON INSERT TO core.log_seals DO INSTEAD NOTHING", "rules"),
        ("ALTER TABLE core.hold_log DROP CONSTRAINT hold_log_pkey", "lost its primary key"),
    ],
)
def test_an_owner_who_takes_the_guards_away_is_seen(books, statement, said):
    books.bank.connect("migrate_user").execute(statement)
    assert said in " ".join(fault.message for fault in books.verify().faults)


def test_without_a_key_every_row_is_looked_at_and_only_the_key_is_missed(books):
    with books.behind_its_back() as superuser:
        superuser.execute("ALTER TABLE core.hold_log DROP CONSTRAINT hold_log_pkey")
    assert [fault.message for fault in books.verify().faults] == ["core.hold_log has lost its primary key"]


def test_a_shard_that_its_account_does_not_list_is_seen(books):
    hot = open_internal(books.app)
    books.app.execute("SELECT accounts.spread_account(%s, 3)", [hot])
    assert books.verify().intact
    with books.behind_its_back() as superuser:
        superuser.execute("UPDATE accounts.accounts SET shards = shards[1:2] WHERE account_id = %s", (hot,))
    assert "does not list it" in books.verify().faults[0].message
    assert "list of shards" in books.verify(account=hot).faults[0].message
    with books.behind_its_back() as superuser:
        superuser.execute("UPDATE accounts.accounts SET shards = shards || %s WHERE account_id = %s", (books.cash, hot))
    assert "list of shards" in " ".join(fault.message for fault in books.verify().faults)


def test_functions_of_the_owners_own_deceive_nobody(books):
    with books.behind_its_back() as superuser:
        superuser.execute("UPDATE core.transaction_log SET amount = amount + 1 WHERE seq = 4")
        superuser.execute("CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea'")
        superuser.execute("ALTER ROLE bank_core_readonly SET search_path = public, core, pg_catalog")
    assert not books.verify().intact


def forge(superuser: Connection, books: Books) -> None:
    """A complete rewrite: a transaction twice as large, every row after it, and the account's own figures."""
    for account, sign in ((books.account, -1), (books.other, 1)):
        previous, grown = ZERO_HASH, Decimal(0)
        rows = books.rows(account)
        for row in rows:
            if row.transaction_id == books.transactions[3]:
                grown = row.amount
                row = replace(row, amount=row.amount * 2)
            forged = replace(
                row,
                balance_after=row.balance_after + sign * grown,
                available_after=row.available_after + sign * grown,
                prev_hash=previous,
            )
            previous = forged.computed()
            superuser.execute(
                "UPDATE core.transaction_log SET amount = %s, balance_after = %s, available_after = %s, prev_hash = %s,"
                " row_hash = %s WHERE account_id = %s AND seq = %s",
                (
                    forged.amount,
                    forged.balance_after,
                    forged.available_after,
                    forged.prev_hash,
                    previous,
                    account,
                    row.seq,
                ),
            )
        superuser.execute(
            "UPDATE accounts.accounts SET balance = balance + %s, available_balance = available_balance + %s,"
            " log_head = %s WHERE account_id = %s",
            (sign * grown, sign * grown, previous, account),
        )
    superuser.execute(
        "UPDATE accounts.postings SET amount = amount * 2 WHERE transaction_id = %s", (books.transactions[3],)
    )


def test_a_complete_rewrite_is_exposed_by_the_seals(books):
    seal_ledger(books.app)
    with books.behind_its_back() as superuser:
        forge(superuser, books)
    found = faults(books.verify())
    assert {table for _, table, _ in found} == {"core.log_seal_entries"}
    assert books.verify(account=books.account).faults[0].table == "core.log_seal_entries"


def test_a_complete_rewrite_with_the_seals_is_exposed_by_an_anchor(books):
    seal_ledger(books.app)
    anchor = parse_anchor(anchor_text(seal_ledger(books.app)))
    assert books.verify(anchor=anchor).intact
    with books.behind_its_back() as superuser:
        forge(superuser, books)
        superuser.execute("DELETE FROM core.log_seal_entries; DELETE FROM core.log_seals")
    seal_ledger(books.app)
    assert books.verify().intact, "without an anchor nobody can know"
    assert faults(books.verify(anchor=anchor)) == [("altered", "core.log_seals", "1")]


def test_a_release_told_twice_is_named_though_all_its_figures_fit(books):
    with books.behind_its_back() as superuser:
        kept = query("verify_account", "account_hold_log", "banking")
        found = superuser.cursor(row_factory=class_row(HoldRow)).execute(kept, {"account_id": books.account, "seq": 0})
        last = found.fetchall()[-1]
        assert last.event == "RELEASED"
        again = replace(last, seq=last.seq + 1, prev_hash=last.row_hash, account_version=last.account_version + 1)
        superuser.execute(
            "INSERT INTO core.hold_log SELECT l.account_id, l.seq + 1, l.hold_id, l.event, l.amount, l.available_after,"
            " l.account_version + 1, l.expires_at, l.recorded_at, l.reason, l.idempotency_key, l.payment_id, l.row_hash, %s"
            " FROM core.hold_log AS l WHERE l.account_id = %s AND l.seq = %s",
            (again.computed(), books.account, last.seq),
        )
        superuser.execute(
            "UPDATE accounts.accounts SET hold_seq = hold_seq + 1, hold_head = %s, version = version + 1"
            " WHERE account_id = %s",
            (again.computed(), books.account),
        )
    assert faults(books.verify()) == [("inserted", "accounts.pending_holds", str(last.hold_id))]


def test_an_anchor_outlives_its_seal(books):
    anchor = parse_anchor(anchor_text(seal_ledger(books.app)))
    with books.behind_its_back() as superuser:
        superuser.execute("DELETE FROM core.log_seal_entries; DELETE FROM core.log_seals")
    assert faults(books.verify(anchor=anchor)) == [("removed", "core.log_seals", "1")]


def test_from_a_seal_on_only_the_new_is_looked_at(books):
    first = seal_ledger(books.app)
    post(books.app, transfer(books.account, books.other, Decimal(1)), idempotency_key="new")
    create_hold(books.app, books.account, Decimal(1), idempotency_key="new")
    found = books.verify(since=first.seal_no)
    assert found.intact, found.faults
    assert (found.log_rows, found.hold_rows, found.transactions) == (2, 1, 1)
    with books.behind_its_back() as superuser:
        superuser.execute(
            "UPDATE core.transaction_log SET amount = 2 WHERE account_id = %s AND seq = 11", (books.account,)
        )
    assert ("altered", LOG, f"{books.account}/11") in faults(books.verify(since=first.seal_no))


def test_seals_are_a_chain_of_their_own(books):
    seal_ledger(books.app)
    for number in range(3):
        post(books.app, transfer(books.account, books.other, Decimal(1)), idempotency_key=f"s{number}")
        assert seal_ledger(books.app).created
    assert not seal_ledger(books.app).created
    assert books.verify().intact
    with books.behind_its_back() as superuser:
        superuser.execute("UPDATE core.log_seals SET log_rows = log_rows + 1 WHERE seal_no = 2")
    assert faults(books.verify())[0] == ("altered", "core.log_seals", "2")
    with books.behind_its_back() as superuser:
        superuser.execute(
            "DELETE FROM core.log_seal_entries WHERE seal_no = 2; DELETE FROM core.log_seals WHERE seal_no = 2"
        )
    assert faults(books.verify())[0] == ("removed", "core.log_seals", "2")


def test_a_seal_that_is_not_there_is_an_error(books):
    with pytest.raises(NeonctlError) as caught:
        books.verify(since=7)
    assert caught.value.code == "SEAL_NOT_FOUND"
    with pytest.raises(NeonctlError) as caught:
        books.verify(account=uuid4())
    assert caught.value.code == "ACCOUNT_NOT_FOUND"


def test_a_file_is_an_anchor_only_as_it_was_written(books):
    text = anchor_text(seal_ledger(books.app))
    for broken in (
        "",
        "{}",
        "[]",
        "[" * 100_000,
        text.replace('"log_rows": 22', '"log_rows": 23'),
        text.replace('"log_rows": 22', f'"log_rows": {2**70}'),
        text.replace("neonctl", "other"),
    ):
        with pytest.raises(UsageError) as caught:
            parse_anchor(broken)
        assert caught.value.code == "ANCHOR_INVALID"


def test_postings_go_on_while_the_ledger_is_verified(books):
    """Every session looks at the instant at which verifying began."""
    seen = []

    @contextmanager
    def door():
        if seen:
            post(books.app, transfer(books.account, books.other, Decimal("0.01")), idempotency_key=f"during{len(seen)}")
        seen.append(1)
        yield books.bank.connect("readonly")

    found = verify_ledger(door, jobs=2)
    assert found.intact, found.faults
    assert found.log_rows == 22


def test_more_sessions_than_parts_come_to_an_end(bank):
    app = bank.connect("app_user")
    open_customer(app, money="5.00")

    @contextmanager
    def door() -> Iterator[Connection]:
        yield bank.connect("readonly")

    for _ in range(3):  # each worker that finds nothing left must end, whoever took the last part
        assert verify_ledger(door, jobs=12).intact
