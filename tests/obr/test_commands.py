"""Activate, release, unwind, re-arm, reconcile: once, in order, all or nothing, on record."""

from __future__ import annotations

import hashlib
import json
import uuid
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from bank_database import open_customer, open_internal
from neonctl.banking.outbox import read_outbox
from obr.conftest import Resolution, claims, new_key, one, refused

_SCHEMAS = Path(__file__).parents[2] / "schema" / "events"


def test_the_same_key_and_request_give_the_first_answer(obr: Resolution) -> None:
    obr.customer("100.00")
    document = [obr.rbnz.sign(claims("activate", haircut="0.25", de_minimis="0.00", equal_shares=False))]
    first = obr.activate("0.25", key="day", documents=document)
    again = obr.activate("0.2500", key="day", documents=document)
    assert again == {**first, "replayed": True}
    refused("IDEMPOTENCY_KEY_REUSED", lambda: obr.activate("0.26", key="day"))
    refused("OBR_INSTRUCTION_REPLAYED", lambda: obr.activate("0.25", key="other", documents=document))
    refused("ALREADY_ACTIVATED", lambda: obr.activate("0.25", key="other"))
    obr.unwind(key="end")
    assert obr.unwind(key="end")["replayed"]
    assert obr.activate("0.25", key="day", documents=document)["replayed"]  # long after
    assert obr.reader.execute("SELECT count(*) FROM core.obr_partition_events").fetchone() == (2,)


def test_every_step_has_its_state(obr: Resolution) -> None:
    refused("OBR_NOT_ACTIVATED", lambda: obr.release("10"))
    refused("OBR_NOT_ACTIVATED", obr.unwind)
    refused("OBR_NOT_RESOLVED", obr.rearm)
    obr.activate()
    refused("OBR_NOT_RESOLVED", obr.rearm)
    obr.unwind()
    refused("OBR_NOT_PRE_POSITIONED", obr.activate)
    refused("OBR_NOT_ACTIVATED", lambda: obr.release("10"))
    assert obr.state()["resolution_state"] == "resolved"
    obr.rearm()
    assert obr.state()["resolution_state"] == "pre_positioned"
    assert obr.state()["haircut_pct"] is None
    obr.activate("0.5")  # and again
    owner = obr.bank.connect("migrate_user")
    obr.unwind()
    obr.rearm()
    owner.execute("UPDATE core.obr_resolution_state SET resolution_state = 'normal'")
    refused("OBR_NOT_PRE_POSITIONED", obr.activate)
    refused("OBR_NOT_PRE_POSITIONED", obr.reconcile)


def test_tranches_are_percentages_of_what_was_frozen(obr: Resolution) -> None:
    account, odd = obr.customer("100.00"), obr.customer("0.07")
    obr.activate("0.5")
    assert obr.split(odd) == ("0.03", "0.04")
    obr.spend(account, "50.00")
    event = obr.release("10")
    assert obr.split(account) == ("45.00", "5.00")
    assert obr.split(odd) == ("0.02", "0.05")  # what stays frozen is rounded down
    assert (event["event_type"], event["released_pct"]) == ("OBR_RELEASED", Decimal(10))
    assert event["metadata"]["released"] == "5.01"
    obr.spend(account, "5.00")
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(account, "0.01"))
    refused("OBR_RELEASE_EXCEEDS_FROZEN", lambda: obr.release("90.01"))
    obr.release("33.33")
    assert obr.reconcile()["differences"] == 0
    obr.release("56.67")
    assert obr.split(account) == ("0.00", "45.00")
    assert obr.state()["resolution_state"] == "activated"
    obr.spend(account, "45.00")


def test_unwinding_frees_everything_at_once(obr: Resolution) -> None:
    account = obr.customer("100.00", overdraft="10.00")
    obr.activate()
    event = obr.unwind()
    assert (event["status"], event["total_frozen_amount"]) == ("resolved", Decimal("25.00"))
    assert obr.account(account) == {
        "balance": "100.00",
        "unheld": "100.00",
        "partitioned": False,
        "frozen": "0.00",
        "available": "0.00",
        "allows_debit": True,
    }
    obr.spend(account, "110.00")


def test_a_permanent_haircut_is_posted_as_credit_loss(obr: Resolution) -> None:
    plain, dormant, joint = obr.customer("100.00"), obr.customer("200.00"), obr.customer("1.00")
    aud = open_customer(obr.app, money="10.00", currency="AUD", source=open_internal(obr.app, "AUD"))
    obr.app.execute("SELECT accounts.set_account_status(%s, 'DORMANT')", [dormant])
    obr.activate()
    file = json.dumps({str(plain): "25.00", str(dormant): "10.00", str(aud): "2.50"})
    event = obr.unwind(file)
    balances = [obr.account(each)["balance"] for each in (plain, dormant, joint, aud)]
    assert balances == ["75.00", "190.00", "1.00", "7.50"]
    found = event["metadata"]["permanent_haircut"]
    assert found["totals"] == {"NZD": "35.00", "AUD": "2.50"}
    assert event["metadata"]["permanent_haircut_sha256"] == hashlib.sha256(file.encode()).hexdigest()
    for written in found["transactions"]:
        loss = one(obr.reader, "SELECT product_code, is_internal, balance::text, currency FROM accounts.accounts"
                   " WHERE account_id = %s", [written["credit_loss_account_id"]])  # fmt: skip
        assert loss == {
            "product_code": "CREDIT_LOSS",
            "is_internal": True,
            "balance": written["amount"],
            "currency": written["currency"],
        }
        legs = obr.reader.execute(
            "SELECT sum(CASE entry_type WHEN 'DEBIT' THEN -amount ELSE amount END) FROM accounts.postings"
            " WHERE transaction_id = %s",
            [written["transaction_id"]],
        ).fetchone()
        assert legs == (Decimal(0),)
    assert not obr.account(dormant)["allows_debit"]
    obr.rearm()
    obr.activate()
    second = obr.unwind(json.dumps({str(plain): "1.00"}))["metadata"]["permanent_haircut"]["transactions"][0]
    first = next(each for each in found["transactions"] if each["currency"] == "NZD")
    assert second["credit_loss_account_id"] == first["credit_loss_account_id"]


@pytest.mark.parametrize(
    ("amount", "said"),
    [("25.01", "more than"), ("0.00", "no amount"), ("-1.00", "no amount"), ("1", "no amount"), ("x", "no amount")],
)
def test_a_write_off_beyond_the_frozen_amount_is_refused(obr: Resolution, amount: str, said: str) -> None:
    account = obr.customer("100.00")
    obr.activate()
    error = refused("OBR_WRITE_OFF_INVALID", lambda: obr.unwind(json.dumps({str(account): amount})))
    assert said in (error.diag.message_detail or "")
    assert obr.split(account) == ("25.00", "75.00")
    assert obr.state()["resolution_state"] == "activated"


def test_a_write_off_of_unknown_accounts_twice_or_behind_holds_is_refused(obr: Resolution) -> None:
    account = obr.customer("100.00")
    hold = obr.hold(account, "90.00")
    obr.activate()
    for file in ('{"x": "1.00"}', json.dumps({str(uuid.uuid4()): "1.00"}), "[]", "not json", f'{{"{account}": "1.00", "{account}": "2.00"}}',
                 json.dumps({str(obr.till): "1.00"}), f'{{"{account}": null}}', f'{{"{account}": 1.50}}'):  # fmt: skip
        refused("OBR_WRITE_OFF_INVALID", lambda file=file: obr.unwind(file))
    error = refused("OBR_WRITE_OFF_INVALID", lambda: obr.unwind(json.dumps({str(account): "20.00"})))
    assert "holds are in the way" in (error.diag.message_detail or "")
    obr.app.execute("SELECT accounts.release_hold(%s, 'CANCELLED')", [hold])
    obr.unwind(json.dumps({str(account): "20.00"}))


def test_a_file_that_is_not_the_confirmed_one_is_refused(obr: Resolution) -> None:
    account = obr.customer("100.00")
    obr.activate()
    confirmed = hashlib.sha256(b"{}").hexdigest()
    documents = [obr.rbnz.sign(claims("unwind", permanent_haircut_sha256=confirmed))]
    file = json.dumps({str(account): "20.00"})
    refused("OBR_INSTRUCTION_MISMATCH", lambda: obr.unwind(file, documents=documents))
    refused("OBR_INSTRUCTION_MISMATCH", lambda: obr.unwind(None, documents=documents))


@pytest.mark.parametrize(
    ("table", "column"), [("accounts.accounts", "obr_frozen_amount"), ("core.obr_account_partitions", "frozen_amount")]
)
def test_reconciliation_finds_amounts_that_changed_places(obr: Resolution, table: str, column: str) -> None:
    rich, poor = obr.customer("200.00"), obr.customer("100.00")
    obr.activate()
    root = obr.bank.connect("superuser")
    root.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
    swap = f"UPDATE {table} SET {column} = CASE account_id WHEN %s THEN 25.00 ELSE 50.00 END WHERE account_id = ANY(%s)"
    root.execute(swap.encode(), [rich, [rich, poor]])
    found = obr.reconcile()
    assert found["total_frozen_amount"] == Decimal("75.00")
    assert (found["differences"], {each["account_id"] for each in found["metadata"]["accounts"]}) == (
        2,
        {str(rich), str(poor)},
    )


def test_reconciliation_finds_what_was_tampered_with(obr: Resolution) -> None:
    accounts = [obr.customer("100.00") for _ in range(5)]
    assert obr.reconcile()["differences"] == 0
    obr.activate()
    obr.spend(accounts[0], "10.00")
    clean = obr.reconcile()
    assert (clean["differences"], clean["event_type"], clean["status"]) == (0, "OBR_PARTITION_RECONCILED", "activated")
    assert clean["total_frozen_amount"] == Decimal("125.00")
    root = obr.bank.connect("superuser")
    root.execute("ALTER TABLE accounts.accounts DISABLE TRIGGER ALL")
    frozen = "obr_frozen_amount = 24.99, obr_available_amount = 75.01"
    for change in (frozen, "obr_available_amount = 80", "obr_partitioned = false"):
        root.execute(f"UPDATE accounts.accounts SET {change} WHERE account_id = %s".encode(), [accounts.pop()])
    root.execute("UPDATE accounts.accounts SET obr_frozen_amount = 1 WHERE account_id = %s", [obr.till])
    found = obr.reconcile()
    assert found["differences"] == 4
    problems = {each["problem"] for each in found["metadata"]["accounts"]}
    assert problems == {
        "frozen is not what the evidence says",
        "frozen and available are not the balance",
        "is missing in the partition",
        "belongs to no partition",
    }


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO {evidence} SELECT event_id, %(other)s, 0, 'NZD', 10, 5, 5 FROM {evidence}",
        "INSERT INTO {evidence} SELECT event_id, gen_random_uuid(), 0, 'NZD', 10, 5, 5 FROM {evidence}",
        "INSERT INTO {evidence} SELECT event_id, gen_random_uuid(), 0, 'NZD', 10, -5, 5 FROM {evidence}",
        "UPDATE {evidence} SET frozen_amount = -frozen_amount",
        "UPDATE {evidence} SET frozen_amount = 'NaN'",
        "DELETE FROM {evidence}",
        "ALTER TABLE {evidence} DROP CONSTRAINT obr_account_partitions_pkey; INSERT INTO {evidence} TABLE {evidence}",
        (
            "ALTER DOMAIN core.obr_amount DROP CONSTRAINT chk_obr_amount; UPDATE accounts.accounts"
            " SET obr_frozen_amount = -25, obr_available_amount = 125 WHERE obr_partitioned"
        ),
    ],
)
def test_reconciliation_finds_evidence_of_what_is_not(obr: Resolution, change: str) -> None:
    """More evidence than accounts, less, twice the same, or the amount with the other sign, whose hash is the same."""
    obr.customer("100.00")
    obr.activate()
    assert obr.reconcile()["differences"] == 0
    root = obr.bank.connect("superuser")
    for table in ("accounts.accounts", "core.obr_account_partitions"):
        root.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
    for statement in change.format(evidence="core.obr_account_partitions").split("; "):
        root.execute(statement.encode(), {"other": obr.till})
    assert obr.reconcile()["differences"] == 1


def test_each_event_is_published_once_in_the_same_transaction(obr: Resolution) -> None:
    obr.customer("100.00")
    obr.activate()
    obr.release("10")
    obr.unwind()
    obr.rearm()
    obr.reconcile()
    with obr.app.transaction():
        events = [each for each in read_outbox(obr.app, limit=100) if each.event_type.startswith("bank.core.obr")]
    kinds = ["activated", "released", "unwound", "rearmed", "partition_reconciled"]
    assert [each.event_type.removeprefix("bank.core.obr_") for each in events] == kinds
    ids = obr.reader.execute("SELECT event_id::text FROM core.obr_partition_events ORDER BY event_no").fetchall()
    assert [(each.event_id,) for each in events] == ids
    for event in events:
        schema = json.loads((_SCHEMAS / f"{event.event_type}.json").read_text())
        jsonschema.validate(event.detail, schema, cls=jsonschema.Draft202012Validator)
        assert event.detail["jurisdiction"] == "NZ"


def test_the_record_has_no_gaps(obr: Resolution) -> None:
    obr.activate()
    refused("ALREADY_ACTIVATED", obr.activate)
    obr.reconcile()
    obr.unwind(key=new_key())
    numbers = obr.reader.execute("SELECT event_no FROM core.obr_partition_events ORDER BY 1").fetchall()
    assert numbers == [(1,), (2,), (3,)]
    assert obr.state()["last_event_no"] == 3
