"""The jobs of a scheduler, where something is wrong: what cannot be done stops nothing else."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from bank_database import open_customer
from neonctl.banking.statement import Trace
from neonctl.errors import NeonctlError
from neonctl.pipelines import jobs


def test_a_day_that_cannot_be_taken_stops_no_other(bank):
    """Somebody left a table where a month's partition belongs: the days of other months, and AU's, are taken."""
    app, owner = bank.connect("app_user"), bank.connect("migrate_user")
    open_customer(app)
    (newest,) = owner.execute(
        "SELECT max(snapshot_date) FROM accounts.snapshots_due() WHERE jurisdiction = 'NZ'"
    ).fetchone()
    (broken,) = owner.execute(
        "SELECT (date_trunc('month', %s::date) - interval '1 month 1 day')::date", [newest]
    ).fetchone()
    owner.execute(
        "INSERT INTO core.eod_runs (jurisdiction, snapshot_date, cutoff_at, accounts, totals)"
        " SELECT 'NZ', d::date, d, 1, '{}' FROM generate_series(%s::date - 1, %s::date - 1, interval '1 day') AS u (d)"
        " WHERE d::date <> %s",
        [broken, newest, broken],
    )
    owner.execute(f"CREATE TABLE accounts.daily_balance_snapshots_{broken:%Y_%m} (nothing integer)".encode())
    heard = []
    with pytest.raises(NeonctlError):
        jobs._snapshots(app, "dev/bank_core", Trace(), Mock(snapshot=heard.append))
    assert [(taken.jurisdiction, taken.snapshot_date) for taken in heard if taken.jurisdiction == "NZ"] == [
        ("NZ", newest)
    ]
    assert "AU" in {taken.jurisdiction for taken in heard}
    outcomes = app.execute("SELECT outcome, count(*) FROM core.audit_log GROUP BY 1 ORDER BY 1").fetchall()
    assert outcomes == [("done", 2), ("refused", 1)]
