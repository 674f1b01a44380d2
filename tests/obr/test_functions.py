"""The Python side: what it gives back, and how the database's refusals come out."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from neonctl.banking.posting import post, transfer
from neonctl.banking.resolution import (
    Order,
    activate,
    read_events,
    read_holders,
    read_split,
    read_state,
    rearm,
    reconcile,
    release,
    unwind,
)
from neonctl.banking.resolution_keys import NewKey, list_keys, read_instructions, register_key, revoke_key
from neonctl.banking.statement import Trace
from neonctl.errors import NeonctlError, UsageError
from obr.conftest import SCOPE, Key, Resolution, claims, new_key


def _order(obr: Resolution, action: str, key: str | None = None, **terms: object) -> Order:
    return Order("RBNZ-1", [obr.rbnz.sign(claims(action, **terms))], SCOPE, key or new_key())


def test_a_resolution_from_end_to_end(obr: Resolution) -> None:
    account, trace = obr.customer("100.00"), Trace("me", "trace", "corr")
    order = _order(obr, "activate", "day", haircut="0.2500", de_minimis="0.00", equal_shares=False)
    event = activate(obr.officer, order, haircut=Decimal("0.25"), trace=trace)
    assert (event.event_type, event.total_frozen_amount, event.activated_by, event.replayed) == (
        "OBR_ACTIVATED",
        Decimal("25.00"),
        "me",
        False,
    )
    again = activate(obr.officer, order, haircut=Decimal("0.25"), trace=trace)
    assert again.replayed
    assert again.event_id == event.event_id
    state = read_state(obr.reader)
    assert (state.resolution_state, state.haircut_pct, state.activated_at) == (
        "activated",
        Decimal("0.2500"),
        event.occurred_at,
    )
    split = read_split(obr.reader, account)
    assert (split.partitioned, split.frozen_at, split.available_amount) == (True, Decimal("25.00"), Decimal("75.00"))
    assert [each.frozen_amount for each in read_holders(obr.reader, event.event_id, account)] == [Decimal("25.00")]
    released = release(obr.officer, _order(obr, "release", percent="10.00"), percent=Decimal(10))
    assert released.released_pct == Decimal(10)
    found = reconcile(obr.app)
    assert (found.differences, found.accounts_partitioned) == (0, 1)
    unwind(obr.officer, _order(obr, "unwind", permanent_haircut_sha256=None))
    rearm(obr.officer, _order(obr, "rearm"))
    record = read_events(obr.reader)
    assert [each.event_no for each in record] == [1, 2, 3, 4, 5]
    assert read_events(obr.reader, after=3, limit=1) == [record[3]]
    kept = read_instructions(obr.reader)
    assert [each.event_id for each in kept if each.event_id] == [record[n].event_id for n in (0, 1, 3, 4)]
    assert read_state(obr.reader).reconciled_at == found.occurred_at


def test_refusals_come_out_as_errors_with_codes(obr: Resolution) -> None:
    account = obr.customer("100.00")
    order = _order(obr, "activate", haircut="0.5", de_minimis="0.00", equal_shares=False)
    with pytest.raises(NeonctlError) as mismatch:
        activate(obr.officer, order, haircut=Decimal("0.25"))
    assert (mismatch.value.code, mismatch.value.details["detail"]) == ("OBR_INSTRUCTION_MISMATCH", "haircut")
    with pytest.raises(UsageError) as invalid:
        activate(obr.officer, order, haircut=Decimal("1.5"))
    assert invalid.value.code == "OBR_REQUEST_INVALID"
    with pytest.raises(NeonctlError) as denied:
        activate(obr.app, order, haircut=Decimal("0.5"))
    assert denied.value.exit_code == 5
    activate(obr.officer, order, haircut=Decimal("0.5"))
    with pytest.raises(NeonctlError) as frozen:
        post(obr.app, transfer(account, obr.till, Decimal("50.01")), idempotency_key=new_key())
    assert (frozen.value.code, frozen.value.exit_code) == ("OBR_FROZEN_BALANCE", 1)
    with pytest.raises(NeonctlError) as nobody:
        read_split(obr.reader, uuid.uuid4())
    assert nobody.value.code == "ACCOUNT_NOT_FOUND"


def test_the_state_that_is_missing_is_said(obr: Resolution) -> None:
    root = obr.bank.connect("superuser")
    root.execute("ALTER TABLE core.obr_resolution_state DISABLE TRIGGER ALL")
    root.execute("DELETE FROM core.obr_resolution_state")
    with pytest.raises(NeonctlError) as missing:
        read_state(obr.reader)
    assert missing.value.code == "OBR_STATE_TABLE_EMPTY"


def test_keys_and_their_standing(obr: Resolution) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    carol = Key("carol", "officer")
    times = {
        "valid_from": int((now + timedelta(days=1)).timestamp()),
        "valid_until": int((now + timedelta(days=9)).timestamp()),
    }
    said = claims("add-key", key_id=carol.key_id, key_name="carol", key_kind="officer", **times)
    documents = [obr.alice.sign(said), obr.bob.sign(said)]
    wanted = NewKey("carol", "officer", carol.jwk, now + timedelta(days=1), now + timedelta(days=9))
    added = register_key(obr.officer, wanted, scope=SCOPE, reference="RBNZ-1", documents=documents)
    assert (added.key_id, added.authority, added.replayed) == (carol.key_id, "OFFICERS", False)
    said = claims("revoke-key", key_id=obr.rbnz.key_id, reason="lost")
    documents = [obr.alice.sign(said), obr.bob.sign(said)]
    gone = revoke_key(obr.officer, obr.rbnz.key_id, reason="lost", scope=SCOPE, reference="RBNZ-1", documents=documents)
    assert not gone.replayed
    found = {each.name: each.standing for each in list_keys(obr.reader)}
    assert found == {"alice": "valid", "bob": "valid", "rbnz": "revoked", "carol": "not_yet_valid"}
