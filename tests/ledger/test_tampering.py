"""What nobody may change, who is refused how, and what a superuser with the triggers off is convicted by."""

from __future__ import annotations

import uuid
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from ledger.conftest import Bank, Teller, refused
from ledger.proof import problems

APPEND_ONLY = (
    "accounts.transactions",
    "accounts.postings",
    "accounts.reversals",
    "accounts.status_changes",
    "accounts.daily_balance_snapshots",
    "accounts.daily_balance_snapshots_2026_01",
    "core.transaction_log",
    "core.hold_log",
    "core.log_seals",
    "core.log_seal_entries",
    "core.log_seal_records",
    "core.eod_runs",
    "core.audit_log",
    "core.obr_chain",
    "core.obr_instructions",
    "core.obr_permanent_haircuts",
    "core.obr_keys",
    "core.obr_key_revocations",
    "core.obr_account_partitions",
    "core.obr_holder_partitions",
    "core.obr_drills",
    "treasury.nostro_statements",
    "treasury.positions",
    "assets.asset_valuations",
)
KEPT = ("accounts.accounts", "accounts.pending_holds")


def _filled(bank: Bank, teller: Teller) -> tuple[uuid.UUID, uuid.UUID]:
    a, b = teller.open(money="100"), teller.open()
    for amount in ("1", "2", "3"):
        teller.move(a, b, amount)
    teller.release(teller.hold(a, "5"))
    teller.hold(a, "7")
    teller.conn.execute("SELECT core.seal_log()")
    bank.connect("migrate_user").execute("SELECT accounts.ensure_snapshot_partition('2026-01-15')")
    return a, b


def _column(conn: psycopg.Connection[tuple[object, ...]], table: str) -> sql.Identifier:
    row = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum LIMIT 1", [table]
    ).fetchone()
    assert row is not None
    return sql.Identifier(str(row[0]))


@pytest.mark.parametrize("role", ["app_user", "readonly", "resolution_officer", "migrate_user", "postgres"])
def test_nobody_changes_or_removes_what_is_kept(bank: Bank, teller: Teller, role: str) -> None:
    _filled(bank, teller)
    conn = bank.connect(role)
    for table in (*APPEND_ONLY, *KEPT):
        name = sql.Identifier(*table.split("."))
        column = _column(conn, table)
        statements = [sql.SQL("DELETE FROM {}").format(name), sql.SQL("TRUNCATE {} CASCADE").format(name)]
        if table not in KEPT:
            statements.append(sql.SQL("UPDATE {} SET {c} = {c}").format(name, c=column))
            statements.append(sql.SQL("UPDATE {} SET {c} = {c} WHERE false").format(name, c=column))
        for statement in statements:
            with pytest.raises(psycopg.Error) as caught:
                conn.execute(statement)
            owner = role in ("migrate_user", "postgres")
            assert caught.value.sqlstate == ("NB015" if owner else "42501"), (table, str(caught.value))


def test_a_superuser_in_replica_mode_is_refused_too(bank: Bank, teller: Teller) -> None:
    _filled(bank, teller)
    conn = bank.connect("postgres")
    conn.execute("SET session_replication_role = replica")
    for table in (*APPEND_ONLY, *KEPT):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(*table.split("."))))
        assert caught.value.sqlstate == "NB015", table


def test_every_append_only_table_has_its_triggers_always_on(bank: Bank, teller: Teller) -> None:
    """And no table has an append-only trigger that this list does not know."""
    _filled(bank, teller)
    found = bank.connect("readonly").execute(
        "SELECT t.tgrelid::regclass::text FROM pg_trigger t"
        " WHERE t.tgfoid = 'core.refuse_change()'::regprocedure AND t.tgenabled = 'A' AND t.tgtype & 58 = 58"
    )
    assert {str(row[0]) for row in found} == set(APPEND_ONLY)
    off = bank.connect("readonly").execute(
        "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('accounts', 'core') AND NOT t.tgisinternal AND t.tgenabled <> 'A'"
    )
    assert off.fetchall() == []


@pytest.mark.parametrize("role", ["app_user", "readonly", "migrate_user", "postgres"])
def test_what_only_the_ledger_writes(bank: Bank, teller: Teller, role: str) -> None:
    a, _ = _filled(bank, teller)
    conn = bank.connect(role)
    writes: tuple[LiteralString, ...] = (
        "UPDATE accounts.accounts SET balance = balance + 1",
        "UPDATE accounts.accounts SET available_balance = available_balance + 1",
        "UPDATE accounts.accounts SET version = version - 1",
        "UPDATE accounts.accounts SET log_seq = 0, log_head = sha256('')",
        "UPDATE accounts.accounts SET hold_seq = 0",
        "UPDATE accounts.accounts SET last_posted_at = now()",
        "UPDATE accounts.accounts SET allows_debit = true",
        "UPDATE accounts.accounts SET shards = ARRAY[account_id]",
        "UPDATE accounts.accounts SET overdraft_limit = 1000000",
        "UPDATE accounts.accounts SET product_code = 'OTHER'",
        "UPDATE accounts.accounts SET currency = 'AUD'",
        "UPDATE accounts.accounts SET jurisdiction = 'AU'",
        "UPDATE accounts.accounts SET is_internal = true WHERE NOT is_internal",
        "UPDATE accounts.accounts SET opened_at = now()",
        "UPDATE accounts.accounts SET idempotency_key = 'mine'",
        (
            "INSERT INTO accounts.accounts (account_number, product_code, currency, jurisdiction, balance)"
            " VALUES ('01-0009', 'EVERYDAY', 'NZD', 'NZ', 5)"
        ),
        "INSERT INTO core.transaction_log SELECT * FROM core.transaction_log",
        "INSERT INTO core.hold_log SELECT * FROM core.hold_log",
        "INSERT INTO accounts.reversals SELECT transaction_id, transaction_id FROM accounts.transactions LIMIT 1",
        (
            "INSERT INTO accounts.status_changes (account_id, version, from_status, to_status)"
            " SELECT account_id, 1, 'ACTIVE', 'CLOSED' FROM accounts.accounts LIMIT 1"
        ),
        "UPDATE accounts.pending_holds SET amount = 1",
        "UPDATE accounts.pending_holds SET expires_at = now() + interval '9 days'",
        "UPDATE accounts.pending_holds SET released_at = NULL, release_reason = NULL",
    )
    for statement in writes:
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(statement)
        allowed = ("NB016", "NB013") if role in ("migrate_user", "postgres") else ("42501",)
        assert caught.value.sqlstate in allowed, (statement, str(caught.value))
    assert problems(bank) == []
    assert teller.balance(a) == ("94.00", "87.00")


def test_operators_of_the_applications_own_are_never_called_by_the_ledger(bank: Bank, teller: Teller) -> None:
    """Even where somebody lets it make some, and its search_path finds them first: no rule falls, no other role runs them."""
    bank.connect("postgres").execute("CREATE SCHEMA evil AUTHORIZATION bank_core_app_user")
    app = teller.conn
    app.execute("CREATE TABLE evil.ran (called text)")
    app.execute("GRANT ALL ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.ran TO PUBLIC")
    for kind in ("uuid", "text", "numeric", "integer", "smallint", "bigint", "timestamptz"):
        for name, sign in (("eq", "="), ("ne", "<>"), ("lt", "<"), ("ge", ">=")):
            app.execute(
                sql.SQL(
                    "CREATE FUNCTION evil.{name}({kind}, {kind}) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
                    " INSERT INTO evil.ran VALUES ({said}); RETURN false; END $$;"
                    "CREATE OPERATOR evil.{sign} (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = evil.{name})"
                ).format(
                    name=sql.Identifier(name),
                    kind=sql.SQL(kind),
                    sign=sql.SQL(sign),
                    said=sql.Literal(f"{kind} {sign}"),
                )
            )
    app.execute("SET search_path = evil, pg_catalog")
    a, b = teller.open(money="10"), teller.open()
    teller.release(teller.hold(a, "1"))
    teller.reverse(teller.move(a, b, "1"))
    hot = teller.internal()
    app.execute("SELECT accounts.spread_account(%s, 2)", [hot])
    teller.status(b, "CLOSED")
    refused("STATUS_TRANSITION_REFUSED", lambda: teller.status(b, "ACTIVE"))
    assert app.execute("SELECT DISTINCT called FROM evil.ran").fetchall() == []
    assert problems(bank) == []


def test_the_application_reaches_functions_it_was_given_and_no_other(bank: Bank) -> None:
    rows = bank.connect("readonly").execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname IN ('accounts', 'core', 'treasury', 'contexts', 'assets')"
        " AND (has_function_privilege('bank_core_readonly', p.oid, 'EXECUTE')"
        "  OR has_function_privilege('bank_core_resolution_officer', p.oid, 'EXECUTE')) ORDER BY 1"
    )
    named = [str(row[0]).partition("(")[0] for row in rows]
    assert [name for name in named if not name.startswith("core.obr_") and "drill" not in name] == [
        "accounts.balance",
        "accounts.held",
        "accounts.party_balances",
        "accounts.snapshot_cutoff",
        "accounts.snapshots_due",
        "core.record_audit",  # the resolution officer's
    ]
    unpinned = bank.connect("readonly").execute(
        "SELECT oid::regprocedure FROM pg_proc WHERE prosecdef AND NOT EXISTS"
        " (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search_path=%pg_temp')"
    )
    assert unpinned.fetchall() == []


# What a superuser does with the triggers off, and the first row that the proof then names.
TAMPERING: dict[str, tuple[LiteralString, tuple[str, int, str]]] = {
    "a cent more": (
        "UPDATE core.transaction_log SET amount = amount + 0.01 WHERE account_id = %(a)s AND seq = 2",
        ("log", 2, "was altered"),
    ),
    "a cent more, hashed again": (
        "UPDATE core.transaction_log SET row_hash = sha256(row_hash) WHERE account_id = %(a)s AND seq = 2",
        ("log", 2, "was altered"),
    ),
    "another time": (
        "UPDATE core.transaction_log SET posted_at = posted_at - interval '1 day' WHERE account_id = %(a)s AND seq = 3",
        ("log", 3, "was altered"),
    ),
    "another day": (
        "UPDATE core.transaction_log SET value_date = value_date + 1 WHERE account_id = %(a)s AND seq = 3",
        ("log", 3, "its transaction was altered"),
    ),
    "a row removed": (
        "DELETE FROM core.transaction_log WHERE account_id = %(a)s AND seq = 2",
        ("log", 3, "rows before it are missing"),
    ),
    "the tail cut": (
        "DELETE FROM core.transaction_log WHERE account_id = %(a)s AND seq = 4",
        ("account", 0, "its log does not end at its head"),
    ),
    "two rows swapped": (
        (
            "UPDATE core.transaction_log SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE account_id = %(a)s AND seq IN (2, 3);"
            " UPDATE core.transaction_log SET seq = -seq WHERE account_id = %(a)s AND seq < 0"
        ),
        ("log", 2, "does not follow the row before"),
    ),
    "a row inserted": (
        (
            "INSERT INTO core.transaction_log SELECT account_id, 5, gen_random_uuid(), leg, entry_type, amount, currency,"
            " balance_after, available_after, account_version, posting_date, value_date, posted_at, transaction_hash, row_hash,"
            " sha256(row_hash) FROM core.transaction_log WHERE account_id = %(a)s AND seq = 4"
        ),
        ("log", 5, "was altered"),
    ),
    "a header's reason": (
        (
            "UPDATE accounts.transactions SET description = 'rent' WHERE transaction_id ="
            " (SELECT transaction_id FROM core.transaction_log WHERE account_id = %(a)s AND seq = 4)"
        ),
        ("log", 4, "its transaction was altered"),
    ),
    "a posting": (
        (
            "UPDATE accounts.postings SET amount = 9 WHERE transaction_id ="
            " (SELECT transaction_id FROM core.transaction_log WHERE account_id = %(a)s AND seq = 3)"
        ),
        ("log", 3, "its posting was altered"),
    ),
    "a balance": (
        "UPDATE accounts.accounts SET balance = balance + 1 WHERE account_id = %(a)s",
        ("account", 0, "balance differs from the log"),
    ),
    "an available balance": (
        "UPDATE accounts.accounts SET available_balance = available_balance + 1 WHERE account_id = %(a)s",
        ("account", 0, "available balance is not balance less holds"),
    ),
    "a hold's amount": (
        (
            "UPDATE accounts.pending_holds SET amount = 1 WHERE account_id = %(a)s AND released_at IS NULL;"
            " UPDATE accounts.accounts SET available_balance = balance - 1 WHERE account_id = %(a)s"
        ),
        ("account", 0, "holds differ from their log"),
    ),
    "a hold's log": (
        "UPDATE core.hold_log SET amount = 1 WHERE account_id = %(a)s AND seq = 3",
        ("hold log", 3, "was altered"),
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_what_a_superuser_alters_with_triggers_off_is_named(bank: Bank, teller: Teller, how: str) -> None:
    a, _ = _filled(bank, teller)
    assert problems(bank) == []
    statement, (what, number, why) = TAMPERING[how]
    superuser = bank.connect("postgres")
    for table in (
        "core.transaction_log",
        "core.hold_log",
        "accounts.accounts",
        "accounts.transactions",
        "accounts.postings",
        "accounts.pending_holds",
    ):
        superuser.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(*table.split("."))))
    for part in statement.split(";"):
        superuser.execute(sql.SQL(part), {"a": a})  # pyright: ignore[reportArgumentType]
    named = [(row[0], row[2] or 0, row[3]) for row in problems(bank) if row[0] == what and row[1] == str(a)]
    assert named[:1] == [(what, number, why)], problems(bank)
