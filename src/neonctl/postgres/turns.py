"""Taking turns: one run at a time works inside a branch, whatever machine it runs on."""

from __future__ import annotations

import time
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.errors import RetryableError
from neonctl.postgres.batch import fetch

_KEY: Final = 0x6E656F6E63746C  # "neonctl"; advisory locks are per database, so always ask in the same one
_POLL_S: Final = 0.1


def take_turn(conn: psycopg.Connection[TupleRow], where: str, *, wait_s: float) -> None:
    """Hold the branch's lock until ``conn`` is closed: a run that is killed gives it back by dying.

    Polled, never awaited in the server (a waiter would hold up CREATE INDEX CONCURRENTLY). Raises
    ``RetryableError`` APPLY_RUNNING after ``wait_s`` seconds.
    """
    deadline = time.monotonic() + wait_s
    statement = sql.SQL("SELECT pg_catalog.pg_try_advisory_lock({})").format(sql.Literal(_KEY))
    while fetch(conn, statement, doing=f"waiting for a turn in {where}") != [(True,)]:
        if time.monotonic() + _POLL_S > deadline:
            raise RetryableError(
                "APPLY_RUNNING",
                f"{where}: another run has been changing it for more than {wait_s:g} s",
                hint="wait for it to end, then run the same command again",
                details={"environment": where},
            )
        time.sleep(_POLL_S)
