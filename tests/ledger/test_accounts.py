"""Opening accounts, who holds them, and what their standing may become."""

from __future__ import annotations

import uuid
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from ledger.conftest import Bank, Teller, refused

_OPEN = "SELECT account_id, replayed FROM accounts.open_account(%s, %s, %s::uuid[], %s::numeric[], false, 0, %s)"


def test_an_account_is_opened_once_per_key(bank: Bank, teller: Teller) -> None:
    parties, key = [uuid.uuid4(), uuid.uuid4(), uuid.uuid4()], bank.key()
    first = teller.conn.execute(_OPEN, ["NZD", "NZ", parties, None, key]).fetchone()
    again = teller.conn.execute(_OPEN, ["NZD", "NZ", parties, None, key]).fetchone()
    assert first is not None
    assert again is not None
    assert (first[0], first[1], again) == (again[0], False, (first[0], True))
    shares = teller.conn.execute(
        "SELECT balance_share_pct::text FROM accounts.account_party_relationships WHERE account_id = %s ORDER BY 1",
        [first[0]],
    ).fetchall()
    assert shares == [("33.3333",), ("33.3333",), ("33.3334",)]
    refused("IDEMPOTENCY_KEY_REUSED", lambda: teller.conn.execute(_OPEN, ["AUD", "NZ", parties, None, key]))


@pytest.mark.parametrize("shares", [["50", "49.99"], ["100", "0.0001"]])
def test_shares_sum_to_the_whole(teller: Teller, shares: list[str]) -> None:
    parties = [uuid.uuid4(), uuid.uuid4()]
    wrong = [Decimal(share) for share in shares]
    refused("SHARES_NOT_100", lambda: teller.conn.execute(_OPEN, ["NZD", "NZ", parties, wrong, None]))


@pytest.mark.parametrize(
    ("parties", "shares"),
    [(0, None), (2, ["100"]), (2, ["0", "100"]), (2, ["NaN", "100"]), (2, ["33.33333", "66.66667"])],
)
def test_shares_that_are_none(teller: Teller, parties: int, shares: list[str] | None) -> None:
    ids = [uuid.uuid4() for _ in range(parties)]
    wrong = None if shares is None else [Decimal(share) for share in shares]
    refused("SHARES_INVALID", lambda: teller.conn.execute(_OPEN, ["NZD", "NZ", ids, wrong, None]))
    twice = [uuid.uuid4()] * 2
    refused("SHARES_INVALID", lambda: teller.conn.execute(_OPEN, ["NZD", "NZ", twice, None, None]))


@pytest.mark.parametrize(("currency", "jurisdiction"), [("USD", "NZ"), ("NZD", "US"), ("nzd", "NZ")])
def test_only_what_the_bank_deals_in(teller: Teller, currency: str, jurisdiction: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        teller.open(currency=currency, jurisdiction=jurisdiction)


def test_nothing_is_not_nobody(teller: Teller) -> None:
    """NULL where parties or a number of shards belong is refused, not passed over."""
    refused("SHARES_INVALID", lambda: teller.conn.execute("SELECT accounts.open_account('NZD', 'NZ', NULL)"))
    till = teller.internal()
    refused("SHARDS_INVALID", lambda: teller.conn.execute("SELECT accounts.spread_account(%s, NULL)", [till]))


def test_a_holder_leaves_and_another_takes_the_share(bank: Bank, teller: Teller) -> None:
    account = teller.open()
    end = "UPDATE accounts.account_party_relationships SET valid_to = clock_timestamp() WHERE account_id = %s"
    teller.conn.execute(end, [account])  # nobody holds it: allowed, for a moment or for good
    join = (
        "INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)"
        " VALUES (%s, gen_random_uuid(), 'HOLDER', %s)"
    )
    refused("SHARES_NOT_100", lambda: teller.conn.execute(join, [account, 60]))
    with teller.conn.transaction():
        teller.conn.execute(join, [account, 60])
        teller.conn.execute(join, [account, 40])


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_two_who_add_holders_at_once_see_each_other(bank: Bank, teller: Teller, level: str) -> None:
    """In an older snapshot each would find his own shares alone, and 200 percent would be in the way of a resolution."""
    opened = (
        bank.connect("migrate_user")
        .execute(
            "INSERT INTO accounts.accounts (account_number, product_code, currency, jurisdiction, status)"
            " VALUES ('NOBODY-1', 'EVERYDAY', 'NZD', 'NZ', 'ACTIVE') RETURNING account_id"
        )
        .fetchone()
    )
    assert opened is not None
    join = (
        "INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)"
        " VALUES (%s, gen_random_uuid(), 'HOLDER', 100)"
    )
    late = bank.connect("app_user")
    late.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    late.execute("SELECT count(*) FROM accounts.account_party_relationships")
    teller.conn.execute(join, [opened[0]])
    late.execute(join, [opened[0]])
    refused("READ_COMMITTED_REQUIRED", lambda: late.execute("COMMIT"))
    refused("SHARES_NOT_100", lambda: teller.conn.execute(join, [opened[0]]))


def test_who_changed_a_standing_is_on_record(bank: Bank, teller: Teller) -> None:
    account = teller.open()
    changed = "SELECT version, changed FROM accounts.set_account_status(%s, %s, %s, 'kate', 'trace-1')"
    assert teller.conn.execute(changed, [account, "RESTRICTED", "FROZEN"]).fetchone() == (1, True)
    assert teller.conn.execute(changed, [account, "RESTRICTED", "FROZEN"]).fetchone() == (1, False)
    bank.connect("migrate_user").execute("UPDATE accounts.accounts SET status = 'ACTIVE', restriction_reason = NULL")
    rows = teller.conn.execute(
        "SELECT version, to_status, to_restriction_reason, actor, trace_id FROM accounts.status_changes ORDER BY version"
    ).fetchall()
    assert rows == [(1, "RESTRICTED", "FROZEN", "kate", "trace-1"), (2, "ACTIVE", None, None, None)]


def test_an_account_is_not_closed_over_money_that_the_same_statement_brings(bank: Bank, teller: Teller) -> None:
    account, source = teller.open(), teller.internal()
    both = (
        "WITH closing AS (UPDATE accounts.accounts SET status = 'CLOSED' WHERE account_id = %s RETURNING account_id)"
        " SELECT transaction_id FROM closing, accounts.post_transaction('both', ARRAY[%s, account_id]::uuid[], '{DEBIT,CREDIT}', '{1,1}')"
    )
    with pytest.raises(psycopg.Error) as caught:
        bank.connect("migrate_user").execute(both, [account, source])
    assert caught.value.diag.constraint_name in {"ACCOUNT_NOT_EMPTY", "ACCOUNT_CLOSED"}
    state = "SELECT status, balance::text FROM accounts.accounts WHERE account_id = %s"
    assert teller.conn.execute(state, [account]).fetchone() == ("ACTIVE", "0.00")


@pytest.mark.parametrize(("first", "then"), [("ACTIVE", "CLOSED"), ("ACTIVE", "DORMANT"), ("DORMANT", "ACTIVE")])
def test_a_standing_changes_once_in_a_statement(bank: Bank, teller: Teller, first: str, then: str) -> None:
    """What an account may do is that of its last standing, not of the one whose trigger comes last."""
    account = teller.open()
    teller.status(account, "RESTRICTED", "FROZEN")
    change = (
        "UPDATE accounts.accounts SET status = %s, restriction_reason = NULL WHERE account_id = %s RETURNING account_id"
    )
    again = "accounts.set_account_status(account_id, %s)"
    conn = bank.connect("migrate_user")
    for text in (f"{change}, {again}", f"WITH x AS ({change}) SELECT {again} FROM x"):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(text.encode(), [first, account, then])
        assert caught.value.diag.constraint_name == "STATUS_TRANSITION_REFUSED"
    state = "SELECT status, allows_debit, allows_credit, version FROM accounts.accounts WHERE account_id = %s"
    assert teller.conn.execute(state, [account]).fetchone() == ("RESTRICTED", False, False, 1)


@pytest.mark.parametrize("role", ["app_user", "readonly", "resolution_officer"])
def test_no_login_holds_the_ledger_up(bank: Bank, teller: Teller, role: str) -> None:
    account, source = teller.open(), teller.internal()
    other = bank.connect(role)
    for table in ("ledger_lock", "relay_lock"):
        for mode in ("ROW SHARE", "SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), other.transaction():
                other.execute(f"LOCK TABLE core.{table} IN {mode} MODE".encode())
    with other.transaction():
        # All that is left: to look, and advisory locks, whatever their numbers.
        other.execute("LOCK TABLE core.ledger_lock, core.relay_lock IN ACCESS SHARE MODE")
        other.execute("SELECT pg_advisory_xact_lock(1313620290, n) FROM generate_series(1, 3) AS n")
        teller.conn.execute("SET lock_timeout = '2s'")
        teller.move(source, account, "1.00")
        teller.conn.execute("SELECT count(*) FROM core.outbox_read(1)")


def test_what_an_account_is_never_changes(bank: Bank, teller: Teller) -> None:
    account = teller.open()
    owner = bank.connect("migrate_user")
    for change in ("account_id = gen_random_uuid()", "currency = 'AUD'", "is_internal = true", "opened_at = now()",
                   "shard_of = account_id", "account_number = 'NEW-1'", "held_jointly = true"):  # fmt: skip
        update = f"UPDATE accounts.accounts SET {change} WHERE account_id = %s"
        refused("LEDGER_MANAGED", lambda update=update: owner.execute(update.encode(), [account]))


def test_neighbours_of_the_ledger_keep_their_rules(bank: Bank, teller: Teller) -> None:
    internal, customer = teller.internal(), teller.open()
    nostro = (
        "INSERT INTO treasury.nostro_accounts (account_id, correspondent_bic, correspondent_account, currency, opened_on)"
        " VALUES (%s, %s, '1', %s, '2026-01-01') RETURNING nostro_id"
    )
    refused("CURRENCY_MISMATCH", lambda: teller.conn.execute(nostro, [customer, "ANZBNZ22", "NZD"]))
    refused("CURRENCY_MISMATCH", lambda: teller.conn.execute(nostro, [internal, "ANZBNZ22", "AUD"]))
    with pytest.raises(psycopg.errors.CheckViolation):
        teller.conn.execute(nostro, [internal, "anz", "NZD"])
    row = teller.conn.execute(nostro, [internal, "ANZBNZ22", "NZD"]).fetchone()
    assert row is not None
    teller.conn.execute("INSERT INTO treasury.nostro_statements VALUES (%s, '2026-01-01', -5)", [row[0]])
    asset = (
        "INSERT INTO assets.asset_register (asset_code, asset_class, name, account_id, currency, cost, acquired_on)"
        " VALUES ('B-1', %s, 'Bond', %s, 'NZD', %s, '2026-01-01')"
    )
    teller.conn.execute(asset, ["GOVERNMENT_BOND", internal, 10])
    for wrong in (["GOLD", internal, 10], ["LOAN", internal, 0], ["LOAN", internal, Decimal("NaN")]):
        with pytest.raises(psycopg.errors.CheckViolation):
            teller.conn.execute(asset, wrong)
    context = "INSERT INTO contexts.business_contexts (context_code, name, jurisdiction) VALUES (%s, 'Retail', 'NZ')"
    teller.conn.execute(context, ["RETAIL"])
    with pytest.raises(psycopg.errors.UniqueViolation):
        teller.conn.execute(context, ["RETAIL"])
    assert bank.connect("readonly").execute("SELECT count(*) FROM contexts.business_contexts").fetchone() == (1,)


def test_the_documented_table_is_the_one_in_force(teller: Teller) -> None:
    page = (Path(__file__).parents[2] / "docs" / "concepts" / "ledger.md").read_text()
    lines = page.partition("## Standing")[2].partition("`accounts.status_rules`")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    names = {"": "*", "none": "", "any other": "*", "any other, or none": "*"}
    says = {"yes": (True, False), "no": (False, False), "not before a resolution is activated": (False, True)}
    documented = {(c[0], names.get(c[1], c[1])): (*says[c[2]], says[c[3]][0]) for c in cells}
    rows = teller.conn.execute(
        "SELECT status, restriction_reason, allows_debit, lifted_in_resolution, allows_credit FROM accounts.status_rules"
    )
    assert documented == {(row[0], row[1]): row[2:] for row in rows}
