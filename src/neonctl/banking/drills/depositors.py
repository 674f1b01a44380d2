"""Deposits as the Depositor Compensation Scheme counts them, with what a resolution froze of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.drills.report import DepositorView
from neonctl.banking.statement import row

LIMIT: Final = Decimal("100000.00")  # NZD, per depositor and deposit taker (Deposit Takers Act 2023 s 203)


def depositor_view(conn: psycopg.Connection[TupleRow], *, limit: Decimal = LIMIT) -> DepositorView:
    """Per party over its NZD accounts in credit, as the activation that is in force split them."""
    parameters = {"protected_limit": limit}
    return row(
        conn, "drill", "depositors", DepositorView, parameters, doing="counting what depositors are protected for"
    )
