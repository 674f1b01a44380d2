"""What a drill leaves behind in the database that it was a drill of: that it was, when, and how it ended."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.drills.report import Drill
from neonctl.banking.statement import row


@dataclass(frozen=True)
class _Recorded:
    recorded_at: datetime


def record_drill(conn: psycopg.Connection[TupleRow], drill: Drill, *, report: bytes, key_id: str) -> datetime:
    """Record ``drill``, whose signed report is ``report``, as the resolution officer. When that was, comes back."""
    parameters = {
        "drill_id": drill.drill_id,
        "outcome": "passed" if drill.passed else "failed",
        "started_at": drill.started_at,
        "ended_at": drill.ended_at,
        "haircut": drill.parameters.haircut,
        "de_minimis": drill.parameters.de_minimis,
        "equal_shares": drill.parameters.shares == "equal",
        "accounts": sum(each.accounts for each in drill.sums),
        "report_sha256": hashlib.sha256(report).digest(),
        "report_key_id": key_id,
        "actor": drill.actor,
        "trace_id": drill.trace_id,
    }
    return row(conn, "drill", "record", _Recorded, parameters, doing="recording a drill").recorded_at
