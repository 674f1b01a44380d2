"""Records of who did what to the bank: there with what they are about, or neither is."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest

from bank_database import Bank, open_customer, open_internal
from neonctl.banking.audit import Act, audited, record
from neonctl.banking.holds import create_hold, sweep_holds
from neonctl.banking.posting import post, transfer
from neonctl.banking.seals import seal_ledger
from neonctl.banking.statement import Trace
from neonctl.banking.verification import verify_ledger
from neonctl.errors import NeonctlError
from neonctl.postgres.queryfile import query

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


def test_a_record_that_was_sealed_is_not_changed_unseen(bank, app, door):
    """Each record is under one seal, also when its transaction ended late."""

    def sealed():
        rows = app.execute("SELECT seal_no, records FROM core.log_seal_records ORDER BY seal_no").fetchall()
        return [tuple(row) for row in rows]

    anna, late = open_customer(app, money="10.00"), bank.connect("app_user")
    record(app, ACT)
    with late.transaction():
        record(late, Act("test.late", "dev/bank_core"))
        record(app, ACT)
        seal_ledger(app)
        assert sealed() == [(1, 1)], "what began after one that is still under way waits with it"
    create_hold(app, anna, ONE, idempotency_key="h")
    seal_ledger(app)
    assert sealed() == [(1, 1), (2, 2)]
    assert verify_ledger(door).intact
    superuser = bank.connect("superuser")
    superuser.execute("ALTER TABLE core.audit_log DISABLE TRIGGER ALL")
    another = "SELECT (json_populate_record(l, '{\"audit_no\": 99}')).* FROM core.audit_log AS l WHERE audit_no = 1"
    for deed, seal in (
        ("UPDATE core.audit_log SET actor = 'kate' WHERE action = 'test.late'", 2),
        (f"INSERT INTO core.audit_log {another}", 1),
        ("DELETE FROM core.audit_log WHERE audit_no = 1", 1),
    ):
        with superuser.transaction(force_rollback=True):
            superuser.execute(deed)
            found = superuser.execute(query("verify_seals", "seal_records", "banking"), {"seal_no": seal}).fetchall()
            assert [row[0] for row in found] == [f"{seal}/core.audit_log"], deed
    superuser.execute("DELETE FROM core.audit_log WHERE action = 'test.late'")
    superuser.execute("DELETE FROM core.sealed_tables")
    found = {(fault.table, fault.row) for fault in verify_ledger(door).faults if fault.row != "guard"}
    assert found == {
        ("core.audit_log", "2/core.audit_log"),
        ("core.sealed_tables", "core.audit_log"),
        ("core.sealed_tables", "core.obr_chain"),
    }


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
