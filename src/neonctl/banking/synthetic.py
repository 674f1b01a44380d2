"""Synthetic customers, money and holds: the same each time, as many as asked for, never where real ones are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.statement import row
from neonctl.desired.model import EnvironmentSpec
from neonctl.errors import UnsafePlanError

_BATCH: Final = 1000
_DOING = "writing synthetic data"


@dataclass(frozen=True)
class Synthetic:
    """What is there after a run: it adds nothing to what an earlier one had written."""

    accounts: int
    transactions: int
    holds: int


@dataclass(frozen=True)
class _Count:
    n: int


def write_synthetic_data(
    conn: psycopg.Connection[TupleRow], environment: EnvironmentSpec, *, accounts: int
) -> Synthetic:
    """``accounts`` customers with a salary each, every fifth with a hold, paid from one account of the bank's.

    Parties, numbers, keys and amounts follow from the number of the customer alone. As app_user or migrate_user; can be
    run again, also for more. Raises ``UnsafePlanError`` SYNTHETIC_DATA_REFUSED where the YAML says that production's
    data lives.
    """
    if environment.production_data:
        raise UnsafePlanError(
            "SYNTHETIC_DATA_REFUSED",
            f"{environment.stage} holds production data: no synthetic customers are written there",
        )
    row(conn, "synthetic", "till", _Count, doing=_DOING)
    for first in range(1, accounts + 1, _BATCH):
        reach = {"first": first, "last": min(first + _BATCH - 1, accounts)}
        for step in ("customers", "salaries", "holds"):
            row(conn, "synthetic", step, _Count, reach, doing=_DOING)
    return row(conn, "synthetic", "counts", Synthetic, doing=_DOING)
