"""The record's chain: whatever a superuser does to it with the triggers off is named, here or against what is kept elsewhere."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from bank_database import open_customer, open_internal
from neonctl.banking.chain import ZERO_HASH
from neonctl.banking.posting import post, transfer
from neonctl.banking.resolution import Order, activate
from neonctl.banking.resolution_chain import chain_faults, parse_kept
from neonctl.banking.resolution_export import export_bytes, manifest
from neonctl.banking.resolution_keys import NewKey, register_key
from neonctl.banking.resolution_reading import read_record
from neonctl.banking.resolution_record import read_status, status_document
from neonctl.banking.resolution_verification import kept_elsewhere
from neonctl.banking.seals import Seal, anchor_text, parse_anchor, seal_ledger
from neonctl.banking.verification import Scope, verify_ledger
from neonctl.banking.verification_sessions import DOING
from neonctl.errors import UsageError
from neonctl.postgres.queryfile import query
from recorded_bank import RELINK, SCOPE, SIGNERS, TRACE, faults, past_the_triggers, signed, tamper

EVENTS = "core.obr_partition_events"
_DRILL = (
    "SELECT core.obr_record_drill(uuidv7(), 'failed', now(), now(), 0.5, 0, false, 1, sha256('report'), 'key', 'kate')"
)

#: What is done, and the first row that is then named: its table, what follows it, and how it is said.
ATTACKS = {
    "an event's author": (f"UPDATE {EVENTS} SET activated_by = 'kate' WHERE event_no = 3", EVENTS, "3", "was altered"),
    "an event's time": (
        f"UPDATE {EVENTS} SET occurred_at = occurred_at - interval '1 microsecond' WHERE event_no = 2",
        EVENTS,
        "2",
        "was altered",
    ),
    "what a reconciliation found": (
        f"UPDATE {EVENTS} SET metadata = jsonb_set(metadata, '{{differences}}', '1') WHERE event_no = 3",
        EVENTS,
        "3",
        "was altered",
    ),
    "an event removed": (f"DELETE FROM {EVENTS} WHERE event_no = 3", EVENTS, "3", "was removed"),
    "an event inserted": (
        (f"INSERT INTO {EVENTS} SELECT (json_populate_record(e, '{{\"event_id\": \"00000000-0000-7000-8000-000000000001\","
        f' "event_no": 6, "idempotency_key": "k"}}\')).* FROM {EVENTS} AS e WHERE event_no = 3'),
        EVENTS,
        "6",
        "was written past the triggers",
    ),
    "two events exchanged": (
        (f"UPDATE {EVENTS} SET event_no = -event_no WHERE event_no IN (3, 5);"
        f"UPDATE {EVENTS} SET event_no = 8 + event_no WHERE event_no < 0"),
        EVENTS,
        "3",
        "was altered",
    ),
    "a key": ("UPDATE core.obr_keys SET registered_by = 'kate' WHERE name = 'cleo'", "core.obr_keys", "", "was altered"),
    "a revocation": (
        "UPDATE core.obr_key_revocations SET revoked_at = revoked_at + interval '1 day'",
        "core.obr_key_revocations",
        "",
        "was altered",
    ),
    "a revocation taken back": (
        "DELETE FROM core.obr_instructions WHERE action = 'revoke-key'; DELETE FROM core.obr_key_revocations",
        "core.obr_key_revocations",
        "",
        "was removed",
    ),
    "an instruction": (
        "UPDATE core.obr_instructions SET recorded_at = recorded_at + interval '1 second' WHERE action = 'rearm'",
        "core.obr_instructions",
        "",
        "was altered",
    ),
    "a failed drill": ("UPDATE core.obr_drills SET outcome = 'passed'", "core.obr_drills", "", "was altered"),
    "a written-off amount": (
        "UPDATE core.obr_permanent_haircuts SET file = replace(file, '5.00', '4.00')",
        "core.obr_permanent_haircuts",
        "",
        "was altered",
    ),
    "a link": (
        "UPDATE core.obr_chain SET row_hash = sha256('x') WHERE relation LIKE '%events' AND row_key = '2'",
        EVENTS,
        "2",
        "was altered",
    ),
    "a row and its link": (
        f"DELETE FROM {EVENTS} WHERE event_no = 3; DELETE FROM core.obr_chain WHERE row_key = '3'",
        EVENTS,
        "4",
        "are missing",
    ),
    "two links exchanged": (
        ("UPDATE core.obr_chain SET link_no = 1000 WHERE link_no = 3; UPDATE core.obr_chain SET link_no = 3 WHERE link_no = 4;"
        "UPDATE core.obr_chain SET link_no = 4 WHERE link_no = 1000"),
        "core.obr_",
        "",
        "does not follow the one before",
    ),
}  # fmt: skip


@contextmanager
def undone(bank):
    """A session without triggers whose deeds are undone."""
    with pytest.raises(ZeroDivisionError), past_the_triggers(bank) as conn:
        yield conn
        raise ZeroDivisionError


def test_what_is_done_to_a_row_past_the_triggers_is_named(history):
    history.connect("resolution_officer").execute(_DRILL)
    reader = history.connect("readonly")
    with reader.transaction():
        assert chain_faults(reader, doing=DOING) == []
    for name, (deed, table, key, said) in ATTACKS.items():
        with undone(history) as conn:
            for text in deed.split(";"):
                conn.execute(text)
            first = chain_faults(conn, doing=DOING)[0]
            assert first.row.startswith(table), (name, first)
            assert not key or first.row == f"{table}/{key}", (name, first)
            assert said in first.message, (name, first)


#: Of the evidence: what no arithmetic tells.
EVIDENCE = {
    "another depositor": (
        "UPDATE core.obr_holder_partitions SET party_id = uuidv7() WHERE share_pct = 100",
        "core.obr_holder_partitions/1",
    ),
    "nobody's": ("UPDATE core.obr_holder_partitions SET party_id = NULL WHERE holder_no = 2", "core.obr_holder_partitions/1"),
    "other shares": (
        "UPDATE core.obr_holder_partitions SET share_pct = CASE holder_no WHEN 1 THEN 49 ELSE 51 END WHERE share_pct < 100",
        "core.obr_holder_partitions/1",
    ),
    "two holders exchanged": (
        "UPDATE core.obr_holder_partitions SET holder_no = 3 - holder_no WHERE share_pct < 100",
        "core.obr_holder_partitions/1",
    ),
    "more available to a holder": (
        "UPDATE core.obr_holder_partitions SET available_amount = available_amount + 1 WHERE share_pct = 100",
        "core.obr_holder_partitions/1",
    ),
    "more available of a release": (
        (
            "UPDATE core.obr_account_partitions SET available_amount = available_amount + 1"
            " WHERE event_id = (SELECT partition_event_id FROM core.obr_resolution_state)"
        ),
        "core.obr_account_partitions/2",
    ),
    "another row of the log": ("UPDATE core.obr_account_partitions SET log_seq = log_seq + 1", "core.obr_account_partitions/1"),
    "a release's": (
        "UPDATE core.obr_account_partitions SET log_seq = 0 WHERE event_id = (SELECT partition_event_id FROM core.obr_resolution_state)",
        "core.obr_account_partitions/2",
    ),
    "an account removed": (
        "DELETE FROM core.obr_account_partitions WHERE account_id = (SELECT max(account_id::text)::uuid FROM core.obr_account_partitions)",
        "core.obr_account_partitions/1",
    ),
    "an account added": (
        ("INSERT INTO core.obr_account_partitions SELECT event_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 0, currency, 0, 0, 0"
        " FROM core.obr_account_partitions LIMIT 1"),
        "core.obr_account_partitions/1",
    ),
    "evidence of no event": (
        ("INSERT INTO core.obr_holder_partitions SELECT uuidv7(), account_id, holder_no, party_id, share_pct, balance_at,"
        " frozen_amount, available_amount FROM core.obr_holder_partitions"),
        "core.obr_holder_partitions/",
    ),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 100_000])
def test_evidence_that_is_not_what_its_event_hashed_is_named(under_way, size):
    tamper(
        under_way,
        f"UPDATE {EVENTS} SET metadata = metadata || jsonb_build_object('evidence', core.obr_evidence(event_id, {size}))",
        RELINK,
    )
    pieces = under_way.connect("readonly").execute(f"SELECT metadata -> 'evidence' FROM {EVENTS}").fetchone()[0]
    assert [each["accounts"] for each in pieces] == ([1, 1, 0] if size == 1 else [2])
    assert [each["upto"] for each in pieces][-1] is None
    with undone(under_way) as conn:
        assert chain_faults(conn, doing=DOING) == []
    for name, (deed, row) in EVIDENCE.items():
        with undone(under_way) as conn:
            conn.execute("ALTER TABLE core.obr_holder_partitions DROP CONSTRAINT obr_holder_partitions_pkey")
            conn.execute(deed)
            assert chain_faults(conn, doing=DOING)[0].row.startswith(row), name


@pytest.mark.parametrize("instead", ["metadata - 'evidence'", "metadata || '{\"evidence\": []}'"])
def test_an_event_without_hashes_of_its_evidence_is_named(under_way, instead):
    tamper(under_way, f"UPDATE {EVENTS} SET metadata = {instead} WHERE event_no = 1", RELINK)
    found = faults(read_record(under_way.connect("readonly")))
    assert any("keeps no hash of it" in each for each in found)


@pytest.mark.parametrize("column", ["row_hash", "previous_hash", "link_hash", "relation", "row_key"])
def test_a_link_of_which_a_part_is_missing_proves_nothing(history, column):
    """NULL compares with nothing, and so would have hidden an altered row behind a link that a file still knows."""
    with undone(history) as conn:
        conn.execute(f"ALTER TABLE core.obr_chain ALTER {column} DROP NOT NULL")
        conn.execute(f"UPDATE {EVENTS} SET activated_by = 'kate' WHERE event_no = 3")
        conn.execute(f"UPDATE core.obr_chain SET {column} = NULL WHERE relation = '{EVENTS}' AND row_key = '3'")
        assert any("/3" in each.row or "obr_chain/" in each.row for each in chain_faults(conn, doing=DOING))


def test_what_is_available_is_never_unknown(under_way):
    with undone(under_way) as conn:
        conn.execute("ALTER TABLE core.obr_holder_partitions ALTER available_amount DROP NOT NULL")
        conn.execute("UPDATE core.obr_holder_partitions SET available_amount = NULL")
        assert chain_faults(conn, doing=DOING)[0].row == "core.obr_holder_partitions/1"


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (f"UPDATE {EVENTS} SET occurred_at = 'infinity' WHERE event_no = 3", "event 3"),
        (f"UPDATE {EVENTS} SET metadata = '[]' WHERE event_no = 3", "event 3"),
        (f'UPDATE {EVENTS} SET metadata = metadata || \'{{"percent": "x"}}\' WHERE event_no = 2', "event 2"),
        ("UPDATE core.obr_keys SET public_jwk = 'null'", "core.obr_keys/"),
        ("UPDATE core.obr_instructions SET recorded_at = '-infinity'", "core.obr_instructions/"),
        (
            f'UPDATE {EVENTS} SET metadata = metadata || \'{{"permanent_haircut": {{"transactions": 1}}}}\' WHERE event_no = 4',
            "event 4",
        ),
    ],
)
def test_a_value_that_cannot_be_read_hides_no_fault(history, deed, named):
    tamper(history, deed)
    found = faults(read_record(history.connect("readonly")))
    assert found[0].startswith(named), found


def reseal(conn):
    """All seals made anew over what is there now."""
    for (relation,) in conn.execute("SELECT DISTINCT relation FROM core.log_seal_records").fetchall():
        conn.execute(
            "UPDATE core.log_seal_records AS r SET (records, hash) = (SELECT count(*), sha256(string_agg(y.h, '' ORDER BY y.h))"
            f" FROM (SELECT sha256(record_send(x)) AS h FROM {relation} AS x WHERE x.xid >= r.from_xid AND x.xid < r.upto_xid) AS y)"
            " WHERE r.relation = %s",
            [relation],
        )
    before = ZERO_HASH
    for row in conn.execute(
        "SELECT seal_no, accounts, log_rows, hold_rows, sealed_at FROM core.log_seals ORDER BY seal_no"
    ).fetchall():
        _, heads, records, _ = conn.execute(
            query("verify_seals", "seal_batch", "banking"), {"seal_no": row[0], "zero": ZERO_HASH}
        ).fetchone()
        batch = hashlib.sha256(heads + records).digest() if records is not None else heads
        hashed = Seal(row[0], before, *row[1:4], batch, b"", row[4]).computed()
        conn.execute(
            "UPDATE core.log_seals SET previous_hash = %s, batch_hash = %s, seal_hash = %s WHERE seal_no = %s",
            [before, batch, hashed, row[0]],
        )
        before = hashed


def kept_by_others(bank):
    """What the regulator may have: a seal, an export, its manifest, a status, as their files."""
    reader = bank.connect("readonly")
    record = read_record(reader, files=True)
    content = export_bytes(record, "json")
    status = status_document(read_status(reader), project="bank", environment="test")
    said = manifest(content, record, file="f", form="json", scope=("bank", "test"), at=read_status(reader).as_of)
    return [content.decode(), *(json.dumps({"document": each}) for each in (said, status))]


def test_a_chain_that_was_made_anew_is_convicted_by_what_is_kept_elsewhere(history, door):
    anchor = parse_anchor(anchor_text(seal_ledger(history.connect("app_user"))))
    export, *heads = kept_by_others(history)
    record = read_record(history.connect("readonly"))
    assert [kept_elsewhere(record, parse_kept(each, scope=SCOPE)) for each in (export, *heads)] == [[], [], []]
    assert verify_ledger(door, Scope(anchor=anchor)).intact

    tamper(history, f"UPDATE {EVENTS} SET activated_by = 'kate' WHERE event_no = 3", RELINK)
    record = read_record(history.connect("readonly"))
    assert faults(record) == [], "by itself it holds"
    (found,) = kept_elsewhere(record, parse_kept(export, scope=SCOPE))
    assert found.subject == "event 3"
    for each in heads:
        assert "a row before it" in kept_elsewhere(record, parse_kept(each, scope=SCOPE))[0].message
    (fault,) = verify_ledger(door, Scope(anchor=anchor)).faults
    assert (fault.table, fault.row) == ("core.obr_chain", "1/core.obr_chain")
    assert "the first of them is now link 1, core.obr_keys/" in fault.message

    with past_the_triggers(history) as conn:
        reseal(conn)
    assert verify_ledger(door).intact, "nothing inside tells any more"
    (fault,) = verify_ledger(door, Scope(anchor=anchor)).faults
    assert (fault.table, fault.row) == ("core.log_seals", "1")
    assert "is not the one that was exported" in fault.message


def test_what_is_cut_off_the_end_is_missed_by_the_seal_and_by_what_is_kept(history, door):
    """The last thing on record is that a key is trusted no more: nothing inside says that there was more."""
    seal_ledger(history.connect("app_user"))
    export, *heads = kept_by_others(history)
    tamper(
        history,
        "DELETE FROM core.obr_instructions WHERE action = 'revoke-key'",
        "DELETE FROM core.obr_key_revocations",
        "DELETE FROM core.obr_chain WHERE link_no > (SELECT link_no FROM core.obr_chain WHERE relation = 'core.obr_key_revocations') - 1",
    )
    record = read_record(history.connect("readonly"))
    assert faults(record) == []
    (fault,) = verify_ledger(door).faults
    assert (fault.table, fault.row) == ("core.obr_chain", "1/core.obr_chain")
    (found,) = kept_elsewhere(record, parse_kept(export, scope=SCOPE))
    assert found.subject.startswith("core.obr_key_revocations/")
    for each in heads:
        assert "is gone" in kept_elsewhere(record, parse_kept(each, scope=SCOPE))[0].message


def test_a_row_of_the_record_alone_is_worth_a_seal(bank):
    app = bank.connect("app_user")
    open_customer(app, money="1.00")
    assert seal_ledger(app).created
    assert not seal_ledger(app).created
    bank.connect("resolution_officer").execute(_DRILL)
    sealed = seal_ledger(app)
    assert (sealed.created, sealed.seal_no, sealed.accounts) == (True, 2, 0)
    assert not seal_ledger(app).created


def test_the_ledgers_proof_names_rows_of_the_record_too(history, door):
    tamper(
        history,
        f"UPDATE {EVENTS} SET activated_by = 'kate' WHERE event_no = 3",
        "UPDATE core.obr_holder_partitions SET party_id = uuidv7()",
    )
    named = [(each.table, each.row) for each in verify_ledger(door).faults]
    assert named == [("core.obr_holder_partitions", "1"), (EVENTS, "3")]
    history.connect("superuser").execute("DROP TRIGGER trg_obr_keys_linked ON core.obr_keys")
    assert "core.obr_keys has lost its guard trg_obr_keys_linked" in [
        each.message for each in verify_ledger(door).faults
    ]


@pytest.mark.parametrize("role", ["app_user", "readonly", "resolution_officer", "migrate_user", "superuser"])
def test_nobody_writes_a_link_himself(history, role):
    conn = history.connect(role)
    for deed in (
        "INSERT INTO core.obr_chain SELECT 1000, relation, 'x', row_hash, previous_hash, sha256('x'), xid FROM core.obr_chain LIMIT 1",
        "UPDATE core.obr_chain SET row_key = ''",
        "DELETE FROM core.obr_chain",
        "TRUNCATE core.obr_chain",
    ):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(deed)
        assert caught.value.sqlstate in {"NB015", "NB016"} if role in {"migrate_user", "superuser"} else {"42501"}


def test_what_the_owner_adds_without_the_guards_is_linked_all_the_same(history):
    """As a drill adds keys on its copy."""
    owner = history.connect("migrate_user")
    with owner.transaction():
        owner.execute("ALTER TABLE core.obr_keys DISABLE TRIGGER trg_obr_keys_officer")
        owner.execute(
            "INSERT INTO core.obr_keys (key_id, name, kind, algorithm, public_jwk, valid_from, authority, registered_by)"
            " VALUES ('forged', 'kate', 'officer', 'EdDSA', '{}', now(), 'OFFICERS', 'kate')"
        )
    last = read_record(history.connect("readonly")).links[-1]
    assert (last.relation, last.row_key) == ("core.obr_keys", "forged")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"chain": []}',
        '{"chain": [{"link_no": 1}]}',
        '{"document": {"chain": null}}',
        '{"chain": [{"link_no": 1e999, "link_hash": ""}], "events": []}',
        "[" * 100_000,
        "null",
        '"chain"',
    ],
    ids=range(10),
)
def test_a_file_that_knows_no_link_is_no_anchor(text):
    with pytest.raises(UsageError) as caught:
        parse_kept(text, scope=SCOPE)
    assert caught.value.code == "OBR_ANCHOR_INVALID"


def test_a_file_of_another_environment_is_no_anchor(history):
    for each in kept_by_others(history):
        with pytest.raises(UsageError) as caught:
            parse_kept(each, scope="bank/prod")
        assert caught.value.code == "OBR_ANCHOR_INVALID"
        assert "the file is of bank/test, the record of bank/prod" in caught.value.message


@pytest.mark.parametrize(
    ("deeds", "said"),
    [
        (
            ("UPDATE core.obr_permanent_haircuts SET file = replace(file, '5.00', '4.00')",),
            "is not the one whose hash was signed",
        ),
        (("DELETE FROM core.obr_permanent_haircuts", "DELETE FROM core.obr_chain WHERE relation LIKE '%haircuts'"), "is missing"),
        (
            (
                "UPDATE core.obr_permanent_haircuts SET file = replace(file, '5.00', '4.00')",
                (f"UPDATE {EVENTS} AS e SET metadata = metadata || jsonb_build_object('permanent_haircut_sha256',"
                " encode(sha256(convert_to(h.file, 'UTF8')), 'hex')) FROM core.obr_permanent_haircuts AS h WHERE h.event_id = e.event_id"),
            ),
            "what was written off is not what the file says, for 1 accounts",
        ),
        (
            (
                "UPDATE core.obr_permanent_haircuts SET file = 'no JSON'",
                (f"UPDATE {EVENTS} AS e SET metadata = metadata || jsonb_build_object('permanent_haircut_sha256',"
                " encode(sha256(convert_to(h.file, 'UTF8')), 'hex')) FROM core.obr_permanent_haircuts AS h WHERE h.event_id = e.event_id"),
            ),
            "what was written off is not what the file says, for 1 accounts",
        ),
    ],
)  # fmt: skip
def test_a_permanent_haircut_that_is_not_what_was_signed_or_posted_is_named(history, deeds, said):
    """Also by one who makes the chain anew."""
    tamper(history, *deeds, RELINK)
    assert any(
        said in each and each.startswith("event 4: ") for each in faults(read_record(history.connect("readonly")))
    )


@pytest.mark.parametrize("step", [-1, 1])
def test_evidence_that_names_another_row_of_the_log_is_exposed(bank, step):
    """A balance that the account had once, or has since: everything else about it is made to agree.

    Of seconds around the activation nothing is said: a clock may have been set back then.
    """
    officer, app = bank.connect("resolution_officer"), bank.connect("app_user")
    bank_itself = open_internal(app)
    account = open_customer(app, money="100.00", source=bank_itself)
    post(app, transfer(bank_itself, account, Decimal("50.00")), idempotency_key="before")
    clock = read_status(officer).as_of
    for name in ("anna", "ben"):
        key = NewKey(name, "officer", SIGNERS[name].public.jwk, clock.replace(microsecond=0) - timedelta(minutes=1))
        register_key(officer, key, scope=SCOPE, reference="RBNZ 1", trace=TRACE)
    documents = signed(clock, "activate", "anna", "ben", haircut="0.5000", de_minimis="0.00", equal_shares=False)
    activate(officer, Order("RBNZ 1", documents, SCOPE, str(uuid4())), haircut=Decimal("0.5"), trace=TRACE)
    post(app, transfer(bank_itself, account, Decimal("50.00")), idempotency_key="since")
    assert faults(read_record(bank.connect("readonly"))) == []
    balance = 150 + step * 50
    half = f"frozen_amount = {balance} / 2, available_amount = {balance} / 2"
    totals = half.replace("frozen_", "total_frozen_").replace("available_", "total_available_")
    tamper(
        bank,
        f"UPDATE core.obr_account_partitions SET log_seq = log_seq + {step}, balance_at = {balance}, {half}",
        f"UPDATE core.obr_holder_partitions SET balance_at = {balance}, {half}",
        f"UPDATE {EVENTS} SET {totals}, metadata = metadata || jsonb_build_object('evidence', core.obr_evidence(event_id))",
        RELINK,
    )
    moved = (
        "UPDATE core.transaction_log AS l SET posted_at = e.quantified_at + {} * interval '1 second'"
        f" FROM {EVENTS} AS e WHERE l.account_id = '{account}'"
    )
    tamper(bank, "ALTER TABLE core.transaction_log DISABLE TRIGGER ALL", moved.format(step * 4))
    assert faults(read_record(bank.connect("readonly"))) == []
    tamper(bank, moved.format(step * 60))
    (found,) = faults(read_record(bank.connect("readonly")))
    assert found.startswith("event 1: evidence of 1 accounts is not what log and arithmetic give")


def test_a_column_that_comes_later_leaves_the_chain_as_it_is(history):
    with undone(history) as conn:
        conn.execute(f"ALTER TABLE {EVENTS} ADD COLUMN later text")
        assert chain_faults(conn, doing=DOING) == []
        conn.execute(f"UPDATE {EVENTS} SET later = 'x' WHERE event_no = 2")
        assert [each.row for each in chain_faults(conn, doing=DOING)] == [f"{EVENTS}/2"]
