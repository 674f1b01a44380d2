"""Who may: the resolution officer alone. What nobody may: change the record, the evidence, the state by hand."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from obr.conftest import Connection, Resolution, refused

ROLES = ("app_user", "readonly", "migrate_user", "resolution_officer", "superuser")
_DENIED = ("42501", "NB015", "NB016", "NB030", "NB035")
_CALLS = {
    "activate": "SELECT core.obr_activate(0.25, 0, 'R', 'k', '{}', false, 's', 'a', NULL, NULL)",
    "release": "SELECT core.obr_release(10, 'R', 'k', '{}', 's', 'a', NULL, NULL)",
    "unwind": "SELECT core.obr_unwind('R', 'k', '{}', NULL, 's', 'a', NULL, NULL)",
    "rearm": "SELECT core.obr_rearm('R', 'k', '{}', 's', 'a', NULL, NULL)",
    "register": "SELECT core.obr_register_key('n', 'officer', '{}', now(), NULL, '{}', 's', 'r', 'a', NULL)",
    "revoke": "SELECT core.obr_revoke_key('k', 'r', '{}', 's', 'r', 'a', NULL)",
}


def _state(call: Callable[[], object]) -> str | None:
    try:
        call()
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.parametrize("role", ROLES)
def test_only_the_resolution_officer_calls(obr: Resolution, role: str) -> None:
    conn = obr.bank.connect(role)
    for name, call in _CALLS.items():
        found = _state(lambda call=call: conn.execute(call.encode()))
        if role == "resolution_officer":
            assert (found or "").startswith("NB03"), name  # let in, and refused for its reasons
        else:
            assert found == ("NB035" if role == "superuser" else "42501"), name


def test_an_owner_who_grants_it_to_himself_is_still_refused(obr: Resolution) -> None:
    owner = obr.bank.connect("migrate_user")
    owner.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA core TO bank_core_migrate_user")
    for call in _CALLS.values():
        refused("OBR_OFFICER_ONLY", lambda call=call: owner.execute(call.encode()))


def test_who_reconciles(obr: Resolution) -> None:
    obr.reconcile(obr.app)
    obr.reconcile(obr.officer)
    for role, code in (("readonly", "42501"), ("migrate_user", "NB035")):
        conn = obr.bank.connect(role)
        assert _state(lambda conn=conn: obr.reconcile(conn)) == code


def _sql(conn: Connection, text: str) -> Callable[[], object]:
    return lambda: conn.execute(text.encode())


@pytest.mark.parametrize("role", ROLES)
def test_no_role_takes_a_forbidden_step(obr: Resolution, role: str) -> None:
    """From each state to each other, by UPDATE: what is not in the graph is refused, and what an event must do as well."""
    values = (
        ", haircut_pct = 0.25, de_minimis_amount = 0, equal_shares = false, rbnz_instruction_ref = 'R',"
        " activation_event_id = gen_random_uuid(), partition_event_id = gen_random_uuid(), quantified_at = now(),"
        " released_pct = 0, activated_at = now(), activated_by = 'me'"
    )
    none = ", haircut_pct = NULL, de_minimis_amount = NULL, equal_shares = NULL, rbnz_instruction_ref = NULL,"
    none += " activation_event_id = NULL, partition_event_id = NULL, quantified_at = NULL, released_pct = NULL,"
    none += " activated_at = NULL, activated_by = NULL"
    resolved = {True: ", resolved_at = now(), resolved_by = 'me'", False: ", resolved_at = NULL, resolved_by = NULL"}
    conn = obr.bank.connect(role)
    owning = role in ("migrate_user", "superuser")
    for arrive in (lambda: None, obr.activate, obr.unwind):
        arrive()
        here = obr.state()["resolution_state"]
        for there in ("normal", "pre_positioned", "activated", "resolved", "nowhere"):
            if there == here or (owning and (here, there) == ("pre_positioned", "normal")):
                continue
            fields = (values if there in ("activated", "resolved") else none) + resolved[there == "resolved"]
            step = _sql(conn, f"UPDATE core.obr_resolution_state SET resolution_state = '{there}'{fields}")
            assert _state(step) in ("42501", "NB030", "23514"), (here, there)
            assert obr.state()["resolution_state"] == here
        for text in ("DELETE FROM core.obr_resolution_state", "TRUNCATE core.obr_resolution_state",
                     "INSERT INTO core.obr_resolution_state (id, resolution_state) VALUES ('other', 'normal')",
                     "UPDATE core.obr_resolution_state SET haircut_pct = 0.1, last_event_no = 99",
                     "UPDATE core.obr_resolution_state SET id = 'x'"):  # fmt: skip
            assert _state(_sql(conn, text)) in (*_DENIED, "23514"), text


def test_the_owner_prepares_and_leaves_the_regime(obr: Resolution) -> None:
    owner = obr.bank.connect("migrate_user")
    for there in ("normal", "pre_positioned"):
        owner.execute("UPDATE core.obr_resolution_state SET resolution_state = %s", [there])
    owner.execute("UPDATE core.obr_resolution_state SET last_trace_id = 't', updated_at = now()")
    owner.execute("UPDATE core.obr_resolution_state SET jurisdiction = 'AU'")
    refused("OBR_JURISDICTION_UNSUPPORTED", obr.activate)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_the_record_or_the_evidence(obr: Resolution, role: str) -> None:
    obr.customer("100.00")
    obr.activate()
    conn = obr.bank.connect(role)
    if role == "superuser":
        conn.execute("SET session_replication_role = replica")
    for table, column in (
        ("obr_partition_events", "rbnz_instruction_ref = 'x'"),
        ("obr_account_partitions", "frozen_amount = 0"),
        ("obr_holder_partitions", "frozen_amount = 0"),
        ("obr_keys", "name = 'x'"),
        ("obr_key_revocations", "reason = 'x'"),
        ("obr_instructions", "document = 'x'"),
    ):
        for text in (f"UPDATE core.{table} SET {column}", f"DELETE FROM core.{table}", f"TRUNCATE core.{table} CASCADE",
                     f"INSERT INTO core.{table} SELECT * FROM core.{table} LIMIT 1"):  # fmt: skip
            assert _state(_sql(conn, text)) in _DENIED, text
    assert _state(_sql(conn, "UPDATE accounts.accounts SET obr_frozen_amount = 0")) in _DENIED
    assert _state(_sql(conn, "UPDATE accounts.accounts SET obr_partitioned = false")) in _DENIED


def test_a_row_of_the_record_cannot_be_made_by_the_owner(obr: Resolution) -> None:
    owner = obr.bank.connect("migrate_user")
    text = (
        "INSERT INTO core.obr_partition_events (event_type, haircut_pct, de_minimis_amount, equal_shares, authority,"
        " rbnz_instruction_ref, idempotency_key, request_hash) VALUES (%s, 0.25, 0, false, 'REGULATOR', 'R', 'k', sha256(''))"
    )
    for event in ("OBR_ACTIVATED", "OBR_RELEASED", "OBR_UNWOUND", "OBR_REARMED", "OBR_PARTITION_RECONCILED"):
        refused("OBR_OFFICER_ONLY", lambda event=event: owner.execute(text, [event]))


def test_waiting_for_others_means_seeing_them(obr: Resolution) -> None:
    obr.officer.execute("SET default_transaction_isolation = 'repeatable read'")
    refused("READ_COMMITTED_REQUIRED", obr.activate)


def test_the_index_of_the_partition_leaves_postings_and_activation_in_place(obr: Resolution) -> None:
    found = obr.reader.execute(
        "SELECT a.amname, pg_get_expr(i.indpred, i.indrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_am a ON a.oid = c.relam WHERE c.relname = 'idx_accounts_obr_partition_active'"
    ).fetchone()
    assert found is not None
    assert found[0] == "brin"
    assert "obr_frozen_amount" in str(found[1])
    for _ in range(30):
        obr.customer("100.00")
    obr.activate()
    for conn in (obr.app, obr.officer):
        conn.execute("SELECT pg_stat_force_next_flush()")
    stats = obr.reader.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'accounts'"
    ).fetchone()
    assert stats is not None
    assert stats[0] == stats[1] >= 30
