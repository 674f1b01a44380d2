"""Building blocks for ``verify``: does the server allow this statement to whoever is logged in?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.postgres.failures import translate

_DENIED = "42501"


@dataclass(frozen=True)
class Outcome:
    """``verdict`` "error": refused for another reason, in ``sqlstate`` and ``message``."""

    verdict: Literal["allowed", "denied", "error"]
    sqlstate: str | None = None
    message: str = ""


def try_statement(
    conn: psycopg.Connection[TupleRow],
    statement: sql.SQL | sql.Composed,
    *,
    rollback: bool = True,
    read_only: bool = False,
) -> Outcome:
    """Try one statement in a transaction of its own on a connection in autocommit; what it did is rolled back.

    ``read_only``: inside ``BEGIN READ ONLY``, for probes by EXPLAIN on production (product.md 4); privileges are
    still checked. Raises POSTGRES_UNREACHABLE if the connection breaks.
    """
    conn.read_only = read_only or None
    try:
        with conn.transaction(force_rollback=rollback or read_only):
            conn.execute(statement, prepare=False)
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise translate(error, "probing a privilege") from None
        verdict = "denied" if error.sqlstate == _DENIED else "error"
        return Outcome(verdict, error.sqlstate, error.diag.message_primary or "")
    return Outcome("allowed")
