"""Building blocks for ``verify``: does the server allow these statements to whoever is logged in?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.postgres.failures import translate
from neonctl.postgres.queryfile import query

_DENIED = "42501"
_UNDONE = "NCTL0"
_DOING = "probing privileges"


@dataclass(frozen=True)
class Outcome:
    """``verdict`` "error": refused for another reason, in ``sqlstate`` and ``message``."""

    verdict: Literal["allowed", "denied", "error"]
    sqlstate: str | None = None
    message: str = ""


def try_statements(
    conn: psycopg.Connection[TupleRow], statements: Iterable[sql.Composable], *, read_only: bool = False
) -> list[Outcome]:
    """Try each statement and undo it, all in one round trip on an idle connection in autocommit.

    ``read_only``: inside ``BEGIN READ ONLY``, for probes by EXPLAIN on production (product.md 4); privileges are
    still checked. A statement that refuses to run inside a transaction is an "error": see ``try_statement``. Raises
    what ``translate`` makes of a failure of the whole.
    """
    texts = json.dumps([statement.as_string(conn) for statement in statements])
    script = sql.SQL(";\n").join(
        [
            sql.SQL("BEGIN READ ONLY") if read_only else sql.SQL("BEGIN READ WRITE"),
            sql.SQL("SELECT pg_catalog.set_config('neonctl.probes', {}, true)").format(sql.Literal(texts)),
            sql.SQL(query("probe", "try_all")),
            sql.SQL(query("probe", "outcomes")),
            sql.SQL("ROLLBACK"),
        ]
    )
    try:
        with conn.cursor() as cursor:
            cursor.execute(script, prepare=False)
            for _ in range(3):
                cursor.nextset()
            row = cursor.fetchone()
    except psycopg.Error as error:
        if not conn.closed:
            conn.rollback()
        raise translate(error, _DOING) from None
    assert row is not None, "current_setting() makes one row"
    return [_outcome(state, message) for state, message in cast("Sequence[tuple[str, str]]", row[0])]


def try_statement(
    conn: psycopg.Connection[TupleRow],
    statement: sql.SQL | sql.Composed,
    *,
    rollback: bool = True,
    read_only: bool = False,
) -> Outcome:
    """Try one statement in a transaction of its own on an idle connection in autocommit.

    What it did is rolled back unless ``rollback`` is false. Raises what ``translate`` makes of it if the connection
    breaks.
    """
    conn.read_only = read_only or None
    try:
        with conn.transaction(force_rollback=rollback or read_only):
            conn.execute(statement, prepare=False)
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise translate(error, _DOING) from None
        return _outcome(error.sqlstate, error.diag.message_primary or "")
    finally:
        if not conn.closed:
            conn.read_only = None
    return Outcome("allowed")


def _outcome(sqlstate: str, message: str) -> Outcome:
    if sqlstate == _UNDONE:
        return Outcome("allowed")
    return Outcome("denied" if sqlstate == _DENIED else "error", sqlstate, message)
