"""Several statements in one round trip, all or nothing."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.postgres.failures import translate


def run(
    conn: psycopg.Connection[TupleRow],
    statements: Sequence[sql.Composable],
    *,
    doing: str,
) -> None:
    """Execute ``statements`` as one simple query: Postgres makes one transaction of it.

    On a connection that is in a transaction already, or not in autocommit, they join that transaction. Nothing is
    sent for an empty list. Raises what ``translate`` makes of the failure; the error carries no statement, as a
    statement may hold a password.
    """
    if not statements:
        return
    failure = None
    try:
        conn.execute(sql.SQL(";\n").join(statements), prepare=False)
    except psycopg.Error as error:
        failure = translate(error, doing)
    if failure is not None:  # outside the handler: the new error must not drag the old one along as its context
        raise failure


def fetch(
    conn: psycopg.Connection[TupleRow],
    statement: sql.SQL | sql.Composed,
    parameters: Sequence[object] | Mapping[str, object] = (),
    *,
    doing: str,
) -> list[TupleRow]:
    """The rows of one query. Raises what ``translate`` makes of the failure."""
    try:
        return conn.execute(statement, parameters).fetchall()
    except psycopg.Error as error:
        raise translate(error, doing) from error


@contextmanager
def transaction(conn: psycopg.Connection[TupleRow], doing: str) -> Generator[None]:
    """``conn.transaction()`` (a savepoint inside another one) whose own failures are translated too."""
    try:
        with conn.transaction():
            yield
    except psycopg.Error as error:
        raise translate(error, doing) from None
