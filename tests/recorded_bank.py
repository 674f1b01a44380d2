"""A bank whose resolution's record is full, and what a superuser does to it."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from bank_database import open_customer
from neonctl.banking.resolution import Order, activate, rearm, reconcile, release, unwind
from neonctl.banking.resolution_keys import NewKey, register_key, revoke_key
from neonctl.banking.resolution_reading import Record
from neonctl.banking.resolution_record import read_status
from neonctl.banking.resolution_verification import record_faults
from neonctl.banking.signing.instruction import Instruction
from neonctl.banking.signing.keys import generate, signer_of
from neonctl.banking.statement import Trace

SCOPE = "bank/test"
TRACE = Trace(actor="test")
SIGNERS = {
    name: signer_of(generate(kind))
    for name, kind in {
        "anna": "ed25519",
        "ben": "p256",
        "cleo": "ed25519",
        "rbnz": "p256",
        "mallory": "ed25519",
    }.items()
}


def signed(clock, action, *names, **terms):
    """Documents of these signers over one instruction."""
    now = int(clock.timestamp()) - 60
    instruction = Instruction(action, "NZ", SCOPE, "RBNZ 1", now, now + 3600, str(uuid4()), terms)
    return [instruction.sign(SIGNERS[name]) for name in names]


def faults(record: Record) -> list[str]:
    return [f"{each.subject}: {each.message}" for each in record_faults(record, scope=SCOPE)]


def go_through(bank):
    """Everything that can happen, once."""
    officer, app = bank.connect("resolution_officer"), bank.connect("app_user")
    customer = open_customer(app, money="100.00")
    clock = read_status(officer).as_of
    terms = {"scope": SCOPE, "reference": "RBNZ 1", "trace": TRACE}

    def new(name, kind):
        return NewKey(name, kind, SIGNERS[name].public.jwk, clock.replace(microsecond=0) - timedelta(minutes=1))

    def said(name, kind):
        valid = int(new(name, kind).valid_from.timestamp())
        key_id = SIGNERS[name].public.key_id
        return {"key_id": key_id, "key_name": name, "key_kind": kind, "valid_from": valid, "valid_until": None}

    for name in ("anna", "ben"):
        register_key(officer, new(name, "officer"), **terms)
    for name, kind in (("rbnz", "regulator"), ("cleo", "officer")):
        documents = signed(clock, "add-key", "anna", "ben", **said(name, kind))
        register_key(officer, new(name, kind), documents=documents, **terms)

    def order(action, *names, **claims):
        return Order("RBNZ 1", signed(clock, action, *(names or ("rbnz",)), **claims), SCOPE, str(uuid4()))

    first = order("activate", haircut="0.2500", de_minimis="0.00", equal_shares=False)
    activate(officer, first, haircut=Decimal("0.25"), trace=TRACE)
    release(officer, order("release", "anna", "cleo", percent="10.00"), percent=Decimal(10), trace=TRACE)
    reconcile(app, trace=TRACE)
    lost = json.dumps({str(customer): "5.00"})
    digest = hashlib.sha256(lost.encode()).hexdigest()
    unwind(officer, order("unwind", permanent_haircut_sha256=digest), permanent_haircut=lost, trace=TRACE)
    rearm(officer, order("rearm"), trace=TRACE)
    cleo = SIGNERS["cleo"].public.key_id
    documents = signed(clock, "revoke-key", "anna", "ben", key_id=cleo, reason="has left")
    revoke_key(officer, cleo, reason="has left", documents=documents, **terms)


def begin(bank):
    """Activated, a tranche released; one joint account, one that is frozen by half."""
    officer, app = bank.connect("resolution_officer"), bank.connect("app_user")
    for parties in ((uuid4(),), (uuid4(), uuid4())):
        open_customer(app, money="100.00", parties=parties)
    clock = read_status(officer).as_of
    terms = {"scope": SCOPE, "reference": "RBNZ 1", "trace": TRACE}
    begin = clock.replace(microsecond=0) - timedelta(minutes=1)
    for name in ("anna", "ben"):
        register_key(officer, NewKey(name, "officer", SIGNERS[name].public.jwk, begin), **terms)
    both = ("anna", "ben")
    documents = signed(clock, "activate", *both, haircut="0.5000", de_minimis="0.00", equal_shares=False)
    activate(officer, Order("RBNZ 1", documents, SCOPE, "a"), haircut=Decimal("0.5"), trace=TRACE)
    documents = signed(clock, "release", *both, percent="10.00")
    release(officer, Order("RBNZ 1", documents, SCOPE, "r"), percent=Decimal(10), trace=TRACE)


_RECORD = (
    "obr_resolution_state",
    "obr_account_partitions",
    "obr_holder_partitions",
    "obr_partition_events",
    "obr_instructions",
    "obr_permanent_haircuts",
    "obr_keys",
    "obr_key_revocations",
    "obr_drills",
    "obr_chain",
    "log_seals",
    "log_seal_records",
)


@contextmanager
def past_the_triggers(bank):
    """A session in which a superuser has taken the triggers away; they are back when it is left, and its deeds stay."""
    conn = bank.connect("superuser")
    guards = conn.execute(
        "SELECT format('ALTER TABLE %%s ENABLE ALWAYS TRIGGER %%I', tgrelid::regclass, tgname) FROM pg_trigger"
        " WHERE NOT tgisinternal AND tgrelid = ANY(%s::regclass[])",
        [[f"core.{table}" for table in _RECORD]],
    ).fetchall()
    with conn.transaction():
        for table in _RECORD:
            conn.execute(f"ALTER TABLE core.{table} DISABLE TRIGGER USER")
        yield conn
        for (guard,) in guards:
            conn.execute(guard)


def tamper(bank, *texts):
    """Statements past the triggers."""
    with past_the_triggers(bank) as conn:
        for text in texts:
            conn.execute(text)


#: Every link made anew from the rows as they are now, in the order of the links.
RELINK = """
DO $$
DECLARE
    l record;
    facts jsonb;
    n bigint := 0;
    before bytea := decode(repeat('00', 32), 'hex');
    hash bytea;
    link bytea;
BEGIN
    PERFORM set_config('timezone', 'UTC', true);
    FOR l IN SELECT * FROM core.obr_chain ORDER BY link_no LOOP
        n := n + 1;
        EXECUTE format('SELECT jsonb_object_agg(f.key, f.value) FROM %s AS x, jsonb_each(to_jsonb(x)) AS f'
            ' WHERE x.%I::text = $1 AND f.value <> ''null''', l.relation, CASE l.relation
            WHEN 'core.obr_partition_events' THEN 'event_no' WHEN 'core.obr_instructions' THEN 'instruction_id'
            WHEN 'core.obr_permanent_haircuts' THEN 'event_id' WHEN 'core.obr_drills' THEN 'drill_id' ELSE 'key_id' END)
        INTO facts USING l.row_key;
        hash := sha256(convert_to(facts::text, 'UTF8'));
        link := sha256(before || int8send(n) || convert_to(concat(octet_length(l.relation), ':', l.relation,
            octet_length(l.row_key), ':', l.row_key), 'UTF8') || hash);
        UPDATE core.obr_chain SET link_no = n, row_hash = hash, previous_hash = before, link_hash = link
        WHERE link_no = l.link_no;
        before := link;
    END LOOP;
END
$$
"""
