"""Records of who did what to the bank: there with what they are about, or neither is."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest

from bank_database import Bank, open_customer, open_internal
from neonctl.banking.audit import Act, audited, record
from neonctl.banking.holds import create_hold, sweep_holds
from neonctl.banking.posting import post, transfer
from neonctl.banking.statement import Trace
from neonctl.errors import NeonctlError

ONE = Decimal("1.00")
ACT = Act("ledger.post", "dev/bank_core", Trace("anna", "t1", "c1"), {"amount": "1.00"})


@pytest.fixture
def app(bank: Bank):
    return bank.connect("app_user")


def records(bank: Bank):
    rows = bank.connect("readonly").execute(
        "SELECT action, target, outcome, actor, trace_id, correlation_id, details, db_user FROM core.audit_log"
        " ORDER BY audit_no"
    )
    return rows.fetchall()


def test_a_change_and_its_record_are_one_transaction(bank, app):
    till, anna = open_internal(app), open_customer(app)
    posted = audited(
        app,
        ACT,
        lambda: post(app, transfer(till, anna, ONE), idempotency_key="k"),
        facts=lambda done: {"transaction_id": str(done.transaction_id)},
    )
    details = {"amount": "1.00", "transaction_id": str(posted.transaction_id)}
    who = ("anna", "t1", "c1")
    assert records(bank) == [("ledger.post", "dev/bank_core", "done", *who, details, "bank_core_app_user")]
    same = bank.connect("superuser").execute(
        "SELECT t.xmin = l.xmin FROM core.audit_log AS l, accounts.transactions AS t WHERE t.transaction_id = %s",
        [posted.transaction_id],
    )
    assert same.fetchone() == (True,)


def test_what_cannot_be_recorded_is_not_done(bank, app):
    till, anna = open_internal(app), open_customer(app)
    nameless = Act("Ledger Post", "dev/bank_core")
    with pytest.raises(NeonctlError) as caught:
        audited(app, nameless, lambda: post(app, transfer(till, anna, ONE), idempotency_key="k"))
    assert caught.value.details["constraint"] == "chk_audit_log_action"
    assert app.execute("SELECT count(*) FROM accounts.transactions").fetchone() == (0,)
    assert records(bank) == []


def test_a_refusal_is_on_record_by_itself(bank, app):
    anna = open_customer(app)
    with pytest.raises(NeonctlError):
        audited(app, ACT, lambda: create_hold(app, anna, ONE, idempotency_key="k"))
    with pytest.raises(NeonctlError):
        audited(app, ACT, lambda: create_hold(app, anna, Decimal("0.001"), idempotency_key="k"))
    found = [(row[2], row[6]["code"]) for row in records(bank)]
    assert found == [("refused", "INSUFFICIENT_FUNDS"), ("refused", "AMOUNT_INVALID")]


def test_a_change_that_is_tried_again_has_one_record(bank, app):
    anna = open_customer(app, money="10.00")
    other, tries = bank.connect("app_user"), []

    def contended():
        if not tries:  # a serialization failure, made to happen: another's hold after this transaction's snapshot
            app.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            app.execute("SELECT FROM accounts.accounts")
            create_hold(other, anna, ONE, idempotency_key="other")
        tries.append(record(app, Act("test.try", "dev/bank_core")))
        return create_hold(app, anna, ONE, idempotency_key="k")

    audited(app, ACT, contended)
    assert len(tries) == 2
    assert [(row[0], row[2]) for row in records(bank)] == [("test.try", "done"), ("ledger.post", "done")]


def test_without_a_connection_the_first_error_is_told(bank, app):
    def lost():
        app.close()
        raise NeonctlError("LOST", "gone")

    with pytest.raises(NeonctlError, match="gone"):
        audited(app, ACT, lost)
    assert records(bank) == []


def test_each_batch_of_a_sweep_is_on_record_with_it(bank, app):
    anna = open_customer(app, money="10.00")
    act, expired = Act("hold.sweep", "dev/bank_core"), 3
    for number in range(expired):
        app.execute("SELECT accounts.create_hold(%s, 1, %s, interval '1 microsecond')", [anna, f"hold {number}"])

    def noted(holds):
        record(app, act, facts={"hold_ids": [str(hold.hold_id) for hold in holds]})

    batches = [len(batch) for batch in sweep_holds(app, batch=2, record=noted)]
    assert [len(row[6]["hold_ids"]) for row in records(bank)] == batches == [2, 1]


@pytest.mark.parametrize("role", ["app_user", "readonly", "resolution_officer", "migrate_user", "superuser"])
def test_nobody_forges_or_unmakes_a_record(bank, role):
    conn = bank.connect(role)
    record(bank.connect("app_user"), ACT)
    writes = ("app_user", "resolution_officer")
    if role in writes:
        record(conn, ACT, "failed")
    elif role == "readonly":
        with pytest.raises(NeonctlError):
            record(conn, ACT)
    forge = (
        "INSERT INTO core.audit_log (audit_no, occurred_at, db_user, action, target, outcome)"
        " VALUES (1000, '2020-01-01', 'kate', 'obr.activate', 'prod/bank_core', 'done')"
    )
    owner = role in ("migrate_user", "superuser")
    if owner:  # may insert, but not say who, when or which number
        if role == "superuser":
            conn.execute("SET session_replication_role = replica")
        conn.execute(forge)
        row = conn.execute(
            "SELECT audit_no < 1000, occurred_at > now() - interval '1 minute', db_user = session_user"
            " FROM core.audit_log WHERE action = 'obr.activate'"
        )
        assert row.fetchone() == (True, True, True)
    else:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(forge)
    for statement in (
        "UPDATE core.audit_log SET outcome = 'refused'",
        "DELETE FROM core.audit_log",
        "TRUNCATE core.audit_log",
    ):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(statement)
        assert caught.value.sqlstate == ("NB015" if owner else "42501")
