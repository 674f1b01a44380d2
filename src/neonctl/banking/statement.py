"""One statement of ``queries/*.sql`` to the ledger, its failure translated."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow, class_row, tuple_row

from neonctl.banking.failures import translate
from neonctl.errors import NeonctlError, UsageError
from neonctl.postgres.queryfile import query

T = TypeVar("T")

#: What stands for nothing to say.
_NONE: Mapping[str, object] = {}


@dataclass(frozen=True)
class Trace:
    """Who asks, and under which ids it can be followed through logs, tables and events."""

    actor: str | None = None
    trace_id: str | None = None
    correlation_id: str | None = None

    def values(self) -> dict[str, object]:
        """As parameters of a statement."""
        return {"actor": self.actor, "trace_id": self.trace_id, "correlation_id": self.correlation_id}


def rows(
    conn: psycopg.Connection[TupleRow],
    file: str,
    name: str | Sequence[str],
    kind: type[T],
    parameters: Mapping[str, object] = _NONE,
    *,
    doing: str,
) -> list[T]:
    """The rows of a named query, one ``kind`` each, built from the columns by name. One round trip.

    Several names are pieces of one query.

    Raises what ``failures.translate`` makes of the failure.
    """
    return _fetched(lambda: conn.cursor(row_factory=class_row(kind)), _text(file, name), parameters, doing)


def row(
    conn: psycopg.Connection[TupleRow],
    file: str,
    name: str | Sequence[str],
    kind: type[T],
    parameters: Mapping[str, object] = _NONE,
    *,
    doing: str,
) -> T:
    """The one row of a query that always gives one. Raises what ``rows`` raises."""
    return rows(conn, file, name, kind, parameters, doing=doing)[0]


def prepares(conn: psycopg.Connection[TupleRow]) -> bool:
    """Whether the connection may prepare statements; through a pooler it may not."""
    return conn.prepare_threshold is not None


class KeptQuery:
    """One query over one connection, many times. Rows are tuples, whatever the connection's own are.

    The cursor is kept: it finds out once how to write and read the values, which costs as much again. What is not
    prepared is sent as one message with its values in it, which costs the server a third less.
    """

    def __init__(self, conn: psycopg.Connection[TupleRow], file: str, name: str, *, doing: str) -> None:
        kind = psycopg.Cursor[TupleRow] if prepares(conn) else psycopg.ClientCursor[TupleRow]
        self._cursor = kind(conn, row_factory=tuple_row)
        self._text: LiteralString = _text(file, name)
        self._doing = doing

    def rows(self, *values: object) -> list[TupleRow]:
        """Raises what ``failures.translate`` makes of the failure."""
        return _fetched(lambda: self._cursor, self._text, values, self._doing)


@contextmanager
def transaction(conn: psycopg.Connection[TupleRow], doing: str) -> Generator[None]:
    """What is done inside is done together or not at all; what fails at its end is translated, too."""
    try:
        with conn.transaction():
            yield
    except psycopg.Error as error:
        raise translate(error, doing) from None


@contextmanager
def patiently(conn: psycopg.Connection[TupleRow], doing: str) -> Generator[None]:
    """A transaction in which one statement may take long: the time limits of sessions are meant for small ones."""
    with transaction(conn, doing):
        conn.execute("SELECT pg_catalog.set_config('statement_timeout', '1h', true)")
        yield


def _fetched(
    cursor: Callable[[], psycopg.Cursor[T]],
    text: LiteralString,
    parameters: Mapping[str, object] | Sequence[object],
    doing: str,
) -> list[T]:
    failure: NeonctlError | None = None
    found: list[T] = []
    try:
        found = cursor().execute(text, parameters).fetchall()
    except psycopg.Error as error:
        failure = translate(error, doing)
    if failure is not None:  # outside the handler: its context would repeat values
        raise failure
    return found


def _text(file: str, name: str | Sequence[str]) -> LiteralString:
    if isinstance(name, str):
        return query(file, name, "banking")
    return "\n".join(query(file, piece, "banking") for piece in name)


def parse_id(text: str, what: str) -> UUID:
    """An id as text. Raises ``UsageError`` ID_INVALID: look-alikes of digits and letters are none."""
    try:
        if text.isascii():
            found = UUID(text)
            if str(found) == text.lower():
                return found
    except ValueError:
        pass
    raise UsageError("ID_INVALID", f"{text!r:.60} is not the id of {what}", hint=_ID_HINT)


_ID_HINT = "ids read 0190c8a2-6c1e-7b3a-9d54-3f1f0a6b2c47"


def not_found(code: str, what: str, which: Any) -> NeonctlError:
    """The error for something that is not there."""
    return NeonctlError(code, f"there is no {what} {which}", details={"id": str(which)})
