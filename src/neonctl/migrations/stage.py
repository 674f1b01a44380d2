"""Scripts run on a throw-away database, each with what the database looks like after it, in one round trip."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import generators, sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

from neonctl.migrations.catalogue import CATALOGUE_QUERY, PIN_SETTINGS, Catalogue
from neonctl.migrations.files import line_number
from neonctl.migrations.rows import TABLES_QUERY
from neonctl.migrations.scripts import statement_line
from neonctl.postgres.queryfile import query

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

#: The listing, or NULL when it is the one that the caller has already: it is long, and mostly it is.
_LISTING = sql.SQL(
    "SELECT CASE WHEN encode(sha256(convert_to(text, 'UTF8')), 'hex') <> $1 THEN text END"
    " FROM (SELECT coalesce(string_agg(line, E'\\n'), '') FROM ({}) AS listing) AS whole (text)"
).format(sql.SQL(CATALOGUE_QUERY))
# Planned once: a proof asks hundreds of times, and planning takes longer than answering.
_PREPARE = (
    sql.SQL("PREPARE neonctl_tables AS {}").format(sql.SQL(TABLES_QUERY)),
    sql.SQL("PREPARE neonctl_listing (text) AS {}").format(_LISTING),
)
_ASK_TABLES = sql.SQL("EXECUTE neonctl_tables")
_NO_LISTING = sql.SQL("SELECT ''")
_ELAPSED = sql.SQL(query("rows", "elapsed", "migrations"))
_CHECK_NOW = sql.SQL("SET CONSTRAINTS ALL IMMEDIATE")  # what is deferred would fail after the look
_NO_COUNTS = sql.SQL("SELECT '[]'::jsonb")


@dataclass(frozen=True)
class Step:
    """A file to run."""

    path: Path
    sql: str
    transactional: bool = True


@dataclass(frozen=True)
class View:
    """What the database looked like right after a script."""

    listing: str  # "" if nobody asked for it
    tables: tuple[str, ...]  # what ``TABLES_QUERY`` answered
    counts: tuple[int, ...]  # what the caller's own statement answered
    duration_ms: int  # of the script
    sure: bool  # asked in the script's own transaction, so that the tables say which rows it touched

    @property
    def catalogue(self) -> Catalogue:
        """The listing, line by line."""
        return Catalogue.from_text(self.listing)


class StepFailedError(Exception):
    """A script stopped: ``path``, and ``str()`` is ``file:line`` with Postgres' word, without rows."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class Stage:
    """One connection in autocommit, and the statements that put its session where every script starts."""

    def __init__(self, conn: psycopg.Connection[Any], session: Sequence[sql.Composable]) -> None:
        self._conn = conn
        self._session = self._text(*session)
        self._look = self._text(_ELAPSED, sql.SQL(PIN_SETTINGS), _ASK_TABLES)
        self._send(("BEGIN", *self._text(sql.SQL(PIN_SETTINGS), *_PREPARE), "COMMIT"))

    def close(self) -> None:
        """Put the session back as far as that goes."""
        self._send(("RESET ALL", "DEALLOCATE neonctl_tables", "DEALLOCATE neonctl_listing"))

    def look(self) -> View:
        """The database as it is."""
        parts = (*self._session, "BEGIN", *self._look, *self._text(_NO_COUNTS, _ask_listing("")), "COMMIT")
        return _view(self._send(parts)[-6:-1], "", sure=False)

    def run(self, script: Step, *, listing: bool = True, expected: str = "") -> View:
        """Run it in its own transaction, or bare if it asks for that. Raises ``StepFailedError``: nothing is kept.

        Without ``listing`` the view has none, which saves the time to make it; a listing that is as ``expected``
        saves the time to transfer it.
        """
        if script.transactional:
            (view,) = self._play((script,), (expected,) if listing else (None,), _NO_COUNTS, "COMMIT")
            return view
        self._send(self._session)
        started = time.monotonic()
        self._send((script,))
        duration_ms = round((time.monotonic() - started) * 1000)
        seen = self.look()
        return View(seen.listing, seen.tables, (), duration_ms, sure=False)

    def try_out(
        self, scripts: Sequence[Step], expected: Sequence[str | None], counts: sql.Composable
    ) -> tuple[View, ...]:
        """Run them in one transaction that is taken back; ``counts`` answers a JSON array of numbers after each.

        ``expected`` has a listing for each, or None where none is wanted. Raises ``StepFailedError``.
        """
        return self._play(scripts, expected, counts, "ROLLBACK")

    def _play(
        self, scripts: Sequence[Step], expected: Sequence[str | None], counts: sql.Composable, end: str
    ) -> tuple[View, ...]:
        parts: list[str | Step] = [*self._session, "BEGIN"]
        looks = len(self._look) + 2
        for script, listing in zip(scripts, expected, strict=True):
            ask = _NO_LISTING if listing is None else _ask_listing(listing)
            parts += [*(self._session if script is not scripts[0] else ()), script, *self._text(_CHECK_NOW)]
            parts += [*self._look, *self._text(counts, ask)]
        results = self._send((*parts, end))
        views: list[View] = []
        # Seen from the end: only there is it known how many results there are.
        stop = len(results) - 1
        for script, listing in reversed(list(zip(scripts, expected, strict=True))):
            views.append(_view(results[stop - looks : stop], listing or "", sure=True))
            if script is not scripts[0]:
                stop -= looks + 1 + _statements(script) + len(self._session)
        return tuple(reversed(views))

    def _text(self, *statements: sql.Composable) -> tuple[str, ...]:
        return tuple(statement.as_string(self._conn) for statement in statements)

    def _send(self, parts: Sequence[str | Step]) -> list[PGresult]:
        """Everything as one simple query. Rows that a script selects are thrown away unread."""
        texts = [part if isinstance(part, str) else part.sql + "\n" for part in parts]
        conn = self._conn
        with conn.lock:
            conn.pgconn.send_query(";\n".join(texts).encode("utf-8"))
            results = conn.wait(generators.execute(conn.pgconn))
        if results[-1].status == ExecStatus.FATAL_ERROR:
            failure = _failed(parts, texts, results)
            if conn.pgconn.transaction_status != TransactionStatus.IDLE:
                self._send(("ROLLBACK",))  # not by execute(): psycopg would then forget all prepared statements
            raise failure
        return results


def _ask_listing(expected: str) -> sql.Composed:
    return sql.SQL("EXECUTE neonctl_listing ({})").format(sql.Literal(hashlib.sha256(expected.encode()).hexdigest()))


def _view(answers: Sequence[PGresult], expected: str, *, sure: bool) -> View:
    elapsed, _, tables, counts, listing = answers
    return View(
        listing=next(_column(listing), expected),
        tables=tuple(_column(tables)),
        counts=tuple(json.loads(next(_column(counts)))),
        duration_ms=int(next(_column(elapsed))),
        sure=sure,
    )


def _column(result: PGresult) -> Iterator[str]:
    for row in range(result.ntuples):
        value = result.get_value(row, 0)
        if value is not None:
            yield value.decode("utf-8")


def _failed(parts: Sequence[str | Step], texts: Sequence[str], results: Sequence[PGresult]) -> Exception:
    """Find the script by counting the statements that succeeded, and its line by the server's word if it has one."""
    cause = error_from_result(results[-1], encoding="utf-8")
    done, offset, script = len(results) - 1, 0, None
    for part, text in zip(parts, texts, strict=True):
        count = 1 if isinstance(part, str) else _statements(part)
        if isinstance(part, Step):
            script = part
        if done < count:
            break
        done -= count
        offset += len(text) + 2
    else:
        return cause
    if script is None:
        return cause
    line: int | None = None
    if isinstance(part, Step):
        at = int(cause.diag.statement_position or 0) - 1 - offset
        line = line_number(script.sql, at) if 0 <= at <= len(script.sql) else statement_line(script.sql, done)
    where = f"{script.path}:{line}" if line else str(script.path)
    return StepFailedError(f"{where}: {cause.diag.message_primary} (SQLSTATE {cause.sqlstate})", script.path)


def _statements(script: Step) -> int:
    import postgast

    return len(postgast.parse(script.sql).stmts)
