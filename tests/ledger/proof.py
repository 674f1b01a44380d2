"""Is the whole ledger right? Asked of the database by queries that trust none of its functions."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString, cast

from ledger.conftest import Bank, Connection

_VERIFY = cast("LiteralString", (Path(__file__).parent / "verify.sql").read_text())


def problems(bank: Bank, conn: Connection | None = None) -> list[tuple[object, ...]]:
    """(what, where, number, why) of everything that is wrong, in order."""
    return (conn or bank.connect("readonly")).execute(_VERIFY).fetchall()
