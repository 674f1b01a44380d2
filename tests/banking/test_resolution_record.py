"""The regulatory record, verified: what the database let in is intact; what somebody wrote past it is named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from neonctl.banking.moments import show_moment
from neonctl.banking.resolution_export import export_bytes
from neonctl.banking.resolution_keys import NewKey, list_keys, read_instructions, register_key
from neonctl.banking.resolution_reading import read_record
from neonctl.banking.resolution_record import read_status, readiness_gaps, status_document
from neonctl.banking.resolution_trust import verifying_keys
from neonctl.banking.resolution_verification import record_faults
from neonctl.banking.signing.authority import Document, check_authority
from neonctl.banking.signing.instruction import parse_instruction
from recorded_bank import SCOPE, SIGNERS, TRACE, faults, tamper


def test_what_the_database_let_in_is_intact_and_every_change_is_named(history):
    reader = history.connect("readonly")
    record = read_record(reader)
    assert [each.event_type for each in record.events] == [
        "OBR_ACTIVATED",
        "OBR_RELEASED",
        "OBR_PARTITION_RECONCILED",
        "OBR_UNWOUND",
        "OBR_REARMED",
    ]
    assert faults(record) == []

    def changed(where, row, **values):
        rows = list(getattr(record, where))
        rows[row] = replace(rows[row], **values)
        return faults(replace(record, **{where: rows}))

    def without(where, row):
        rows = list(getattr(record, where))
        del rows[row]
        return faults(replace(record, **{where: rows}))

    # Events: any figure that was signed or summed, and a row that is missing.
    for values in (
        {"haircut_pct": Decimal("0.2501")},
        {"de_minimis_amount": Decimal("0.01")},
        {"equal_shares": True},
        {"rbnz_instruction_ref": "another"},
        {"jurisdiction": "AU"},
        {"authority": "EMERGENCY"},
        {"total_frozen_amount": Decimal("24.99")},
        {"accounts_partitioned": 2},
        {"event_type": "OBR_REARMED"},
    ):
        assert changed("events", 0, **values), values
    assert changed("events", 1, released_pct=Decimal(20))
    assert changed("events", 1, metadata={"percent": 20})
    assert changed("events", 3, metadata={"permanent_haircut_sha256": "0" * 64})
    for row in range(len(record.events)):
        assert any(f"event {row + 1}: is missing" in each for each in without("events", row))
    # Documents: one that is missing, altered, another's, used twice, filed wrongly.
    for row, document in enumerate(record.documents):
        assert without("documents", row), document.action
        assert changed("documents", row, document=document.document[:-4] + "AAAA"), document.action
        assert changed("documents", row, jti="another")
        assert changed("documents", row, recorded_at=document.recorded_at + timedelta(days=1))
        assert changed("documents", row, recorded_at=document.recorded_at - timedelta(days=1))
    (rearmed,) = (row for row, each in enumerate(record.documents) if each.action == "rearm")
    _, instruction = parse_instruction(record.documents[rearmed].document, name="d")
    forged = instruction.sign(SIGNERS["mallory"])
    assert any("not registered" in each for each in changed("documents", rearmed, document=forged))
    # Keys: another key under the same id, another kind, one that had not been valid, one that was revoked before.
    for row, key in enumerate(record.keys):
        assert changed("keys", row, public_jwk=SIGNERS["mallory"].public.jwk), key.name
        assert changed("keys", row, kind="officer" if key.kind == "regulator" else "regulator"), key.name
        assert changed("keys", row, valid_from=key.valid_from + timedelta(days=1)), key.name
        assert changed("keys", row, registered_at=key.registered_at + timedelta(days=1)), key.name
    assert any("was revoked before" in each for each in changed("keys", 3, revoked_at=record.keys[3].registered_at))
    assert changed("keys", 2, authority="BOOTSTRAP")
    extra = replace(record.keys[0], key_id=SIGNERS["mallory"].public.key_id, public_jwk=SIGNERS["mallory"].public.jwk)
    assert faults(replace(record, keys=[*record.keys, replace(extra, name="mallory")]))
    # The tail cut off, and another environment's instructions.
    assert faults(replace(record, last_event_no=6)) == ["event 6: is missing"]
    assert list(record_faults(record, scope="bank/prod"))


def test_a_row_written_by_the_owner_is_exposed(history):
    """Past every trigger, as only the owner of the tables can."""
    owner = history.connect("superuser")
    with owner.transaction():
        for name in ("no_update", "applied"):
            owner.execute(f"ALTER TABLE core.obr_partition_events DISABLE TRIGGER trg_obr_partition_events_{name}")
        owner.execute(
            "INSERT INTO core.obr_partition_events (event_no, event_type, jurisdiction, status, rbnz_instruction_ref, authority,"
            " accounts_partitioned, total_frozen_amount, total_available_amount, activated_by, db_user, idempotency_key,"
            " request_hash, occurred_at) SELECT 6, 'OBR_REARMED', 'NZ', 'pre_positioned', 'none', 'REGULATOR', 0, 0, 0, 'me',"
            " 'bank_core_resolution_officer', 'x', sha256(''), now()"
        )
        owner.execute("UPDATE core.obr_partition_events SET haircut_pct = 0.1 WHERE event_no = 1")
    said = {each.subject: each.message for each in record_faults(read_record(history.connect("readonly")), scope=SCOPE)}
    assert said["event 6"] in {"was written without a signature", "the state has seen 5 events"}
    assert "haircut 0.2500" in said["event 1"]


_NOTHING = (
    "haircut_pct = NULL, de_minimis_amount = NULL, equal_shares = NULL, rbnz_instruction_ref = NULL,"
    " activation_event_id = NULL, partition_event_id = NULL, quantified_at = NULL, released_pct = NULL,"
    " activated_at = NULL, activated_by = NULL"
)


@pytest.mark.parametrize(
    "change",
    [
        f"resolution_state = 'normal', {_NOTHING}",  # the gate is open, and nothing else would say so
        f"resolution_state = 'pre_positioned', {_NOTHING}",
        "resolution_state = 'resolved', resolved_at = now(), resolved_by = 'me'",
        "jurisdiction = 'AU'",
        "haircut_pct = 0.1",
        "de_minimis_amount = 1",
        "released_pct = 50",
        "rbnz_instruction_ref = 'another'",
        "partition_event_id = activation_event_id",
        "quantified_at = now()",
        "activated_by = 'another'",
    ],
)
def test_a_state_that_no_event_left_is_exposed(under_way, change):
    reader = under_way.connect("readonly")
    assert faults(read_record(reader)) == []
    tamper(under_way, f"UPDATE core.obr_resolution_state SET {change}")
    found = faults(read_record(under_way.connect("readonly")))
    assert found
    assert all(each.startswith("the state: ") for each in found)


def test_a_missing_state_and_events_out_of_course_are_exposed(history):
    record = read_record(history.connect("readonly"))
    assert faults(replace(record, standing=None)) == ["the state: is missing"]
    backwards = [replace(record.events[0], event_type="OBR_UNWOUND"), *record.events[1:]]
    assert "event 1: cannot happen to a bank that is pre_positioned" in faults(replace(record, events=backwards))
    otherwise = [*record.events[:2], replace(record.events[2], status="resolved"), *record.events[3:]]
    assert "event 3: says that it left the bank resolved, not activated" in faults(replace(record, events=otherwise))


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("obr_account_partitions", "frozen_amount = frozen_amount + s.n, available_amount = available_amount - s.n"),
        ("obr_holder_partitions", "frozen_amount = frozen_amount + s.n, available_amount = available_amount - s.n"),
        ("obr_holder_partitions", "balance_at = balance_at + s.n"),
        ("obr_holder_partitions", "available_amount = available_amount + s.n"),
    ],
)
@pytest.mark.parametrize("event_no", [1, 2])
def test_evidence_that_sums_up_and_is_not_what_was_worked_out_is_exposed(under_way, table, change, event_no):
    """What one account is given, another loses: all sums stay as they are."""
    if event_no == 2 and table == "obr_holder_partitions":
        event_no = 1  # a release has none of its own
    tamper(
        under_way,
        f"UPDATE core.{table} AS x SET {change} FROM (SELECT p.account_id, CASE row_number() OVER (ORDER BY p.account_id)"
        " WHEN 1 THEN 1 ELSE -1 END AS n FROM core.obr_account_partitions AS p JOIN core.obr_partition_events AS e"
        f" ON e.event_id = p.event_id AND e.event_no = {event_no}) AS s WHERE s.account_id = x.account_id"
        f" AND x.event_id = (SELECT e.event_id FROM core.obr_partition_events AS e WHERE e.event_no = {event_no})",
    )
    found = faults(read_record(under_way.connect("readonly")))
    assert any("is not what log and arithmetic give" in each and each.startswith("event ") for each in found)


def test_evidence_of_a_balance_that_never_was_is_exposed(under_way):
    """Everything about one account is raised alike, in the evidence and in the event's sums."""
    one = (
        "account_id = (SELECT min(p.account_id::text)::uuid FROM core.obr_account_partitions AS p)"
        " AND event_id = (SELECT e.event_id FROM core.obr_partition_events AS e WHERE e.event_no = 1)"
    )
    more = "balance_at = balance_at + 2, frozen_amount = frozen_amount + 1, available_amount = available_amount + 1"
    tamper(
        under_way,
        f"UPDATE core.obr_account_partitions SET {more} WHERE {one}",
        f"UPDATE core.obr_holder_partitions SET {more} WHERE {one}",
    )
    found = faults(read_record(under_way.connect("readonly")))
    assert any(each.startswith("event 1: evidence of 1 accounts is not what log") for each in found)


def test_an_export_is_the_same_bytes_each_time_and_holds_what_was_signed(history):
    reader = history.connect("readonly")
    record, again = (read_record(reader, files=True) for _ in range(2))
    for form in ("csv", "json"):
        assert export_bytes(record, form) == export_bytes(again, form)
        assert record.documents[-3].document.encode() in export_bytes(record, form)
    exported = json.loads(export_bytes(record, "json"))["events"]
    (kept,) = (each for each in exported if each["permanent_haircut"] is not None)
    digest = hashlib.sha256(kept["permanent_haircut"].encode()).hexdigest()
    assert digest == kept["metadata"]["permanent_haircut_sha256"]
    assert [len(each["instructions"]) for each in exported] == [1, 2, 0, 1, 1]
    assert "replayed" not in exported[0]
    formula = replace(record.events[0], rbnz_instruction_ref="=cmd|' /C calc'!A0")
    assert b",'=cmd" in export_bytes(replace(record, events=[formula]), "csv")


def test_what_about_the_keys_would_be_in_the_way_is_said_before_the_day(bank):
    officer, reader = bank.connect("resolution_officer"), bank.connect("readonly")
    clock = read_status(reader).as_of

    def gaps():
        return readiness_gaps(read_status(reader))

    assert [gap[:21] for gap in gaps()] == ["the first two officer", "no key of the regulat"]
    for name, days in (("anna", 31), ("ben", 29)):
        begin = clock.replace(microsecond=0) - timedelta(minutes=1)
        key = NewKey(name, "officer", SIGNERS[name].public.jwk, begin, begin + timedelta(days=days))
        register_key(officer, key, scope=SCOPE, reference="RBNZ 1", trace=TRACE)
    first = show_moment(clock.replace(microsecond=0) - timedelta(minutes=1) + timedelta(days=29))
    assert [gap[:21] for gap in gaps()] == ["no key of the regulat", ("a key expires at " + first)[:21]]
    assert first in gaps()[1]
    keys = status_document(read_status(reader), project="bank", environment="test")["keys"]
    assert keys == {"officers": 2, "regulators": 0, "first_expires_at": first}
    root = bank.connect("superuser")
    root.execute("ALTER TABLE core.obr_keys DISABLE TRIGGER USER")
    root.execute("UPDATE core.obr_keys SET valid_until = clock_timestamp() WHERE name = 'ben'")
    assert gaps()[0].startswith("1 of 2 officers have a valid key: no key can be added or revoked")


def test_registered_keys_are_believed_as_they_are_registered(history):
    reader = history.connect("readonly")
    keys = verifying_keys(list_keys(reader))
    assert sorted(key.name for key in keys.values()) == ["anna", "ben", "cleo", "rbnz"]
    documents = [Document("d", each.document) for each in read_instructions(reader) if each.action == "activate"]
    asked = {"scope": SCOPE, "haircut": "0.2500"}
    assert check_authority(documents, keys, kind="regulator", action="activate", asked=asked).signers == ("rbnz",)
    swapped = [replace(key, public_jwk=SIGNERS["mallory"].public.jwk) for key in list_keys(reader)]
    assert verifying_keys(swapped) == {}
