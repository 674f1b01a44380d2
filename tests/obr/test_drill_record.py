"""The record of a drill: who may write it, and that it stays."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from neonctl.banking.drills.conduct import AUTHORITY, ROUNDING
from neonctl.banking.drills.record import record_drill
from neonctl.banking.drills.report import Drill, Parameters, Proof, Target
from neonctl.banking.resolution_record import read_status, status_document
from neonctl.errors import NeonctlError

WRITERS = ("app_user", "readonly", "migrate_user")
ENDED = datetime(2026, 11, 27, 21, 0, tzinfo=UTC)


def drill(*, passed: bool = True, ended: datetime = ENDED) -> Drill:
    return Drill(
        drill_id=uuid4(),
        target=Target("prod", "bank_core", "drill-prod-1", "pre_positioned", "016", "0.25"),
        parameters=Parameters(Decimal("0.2500"), Decimal("0.00"), None, "recorded", AUTHORITY),
        started_at=ended - timedelta(minutes=1),
        ended_at=ended,
        actor="somebody",
        trace_id="trace",
        program="neonctl",
        rounding=ROUNDING,
        proofs=(Proof("x", "x", passed, "x"),),
    )


def test_the_status_says_the_last_drill(bare):
    project = {"project": "bank", "environment": "prod"}
    assert status_document(read_status(bare.reader), **project)["last_drill"] is None
    record_drill(bare.officer, drill(), report=b"report", key_id="key")
    last = drill(passed=False, ended=ENDED - timedelta(days=1))
    record_drill(bare.officer, last, report=b"report", key_id="key")
    assert status_document(read_status(bare.reader), **project)["last_drill"] == {
        "drill_id": str(last.drill_id),
        "outcome": "failed",
        "ended_at": "2026-11-26T21:00:00.000000Z",
        "report_sha256": hashlib.sha256(b"report").hexdigest(),
    }


@pytest.mark.parametrize("role", WRITERS)
def test_nobody_else_records_one(bare, role):
    with pytest.raises(NeonctlError) as refused:
        record_drill(bare.bank.connect(role), drill(), report=b"report", key_id="key")
    assert refused.value.details["sqlstate"] in {"42501", "NB035"}
    assert bare.reader.execute("SELECT count(*) FROM core.obr_drills").fetchone() == (0,)


@pytest.mark.parametrize("role", ["app_user", "readonly", "migrate_user", "resolution_officer"])
def test_no_row_is_written_past_the_function(bare, role):
    values = "gen_random_uuid(), 'passed', now(), now(), 0.25, 0, false, 1, sha256('x'), 'key'"
    columns = "drill_id, outcome, started_at, ended_at, haircut_pct, de_minimis_amount, equal_shares, accounts, report_sha256, report_key_id"
    with pytest.raises(psycopg.Error) as refused:
        bare.bank.connect(role).execute(f"INSERT INTO core.obr_drills ({columns}) VALUES ({values})")
    assert refused.value.sqlstate in {"42501", "NB035"}


@pytest.mark.parametrize(
    "statement",
    ["UPDATE core.obr_drills SET outcome = 'passed'", "DELETE FROM core.obr_drills", "TRUNCATE core.obr_drills"],
)
@pytest.mark.parametrize("role", ["migrate_user", "superuser"])
def test_a_record_stays_whoever_wants_it_gone(bare, role, statement):
    record_drill(bare.officer, drill(passed=False), report=b"report", key_id="key")
    session = bare.bank.connect(role)
    if role == "superuser":
        session.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.Error) as refused:
        session.execute(statement)
    assert refused.value.diag.constraint_name == "APPEND_ONLY"


@pytest.mark.parametrize(
    "changes",
    [{"ended_at": ENDED - timedelta(hours=1)}, {"parameters": Parameters(Decimal(2), Decimal(0), None, "equal", "")}],
)
def test_what_makes_no_sense_is_refused(bare, changes):
    with pytest.raises(NeonctlError):
        record_drill(bare.officer, Drill(**{**vars(drill()), **changes}), report=b"report", key_id="key")
