"""The database session a migration runs in: its settings, Flyway's lock, one script as one query."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import psycopg
from psycopg import generators, sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.rows import tuple_row

from neonctl import __version__
from neonctl.errors import RetryableError, ServiceError
from neonctl.migrations.history import LOCK_KEY

if TYPE_CHECKING:
    from typing import LiteralString

    from psycopg.pq.abc import PGresult

_POLL_S = 0.25
_POOLED_HOST = re.compile(r"[^.]+-pooler\.")
_NEON_HOST = re.compile(r"\.neon\.(tech|build)$")
_CONNECTION_CHECK = sql.SQL("SET client_connection_check_interval = '1s'")


@dataclass(frozen=True)
class RunSettings:
    """How a run behaves. The timeouts bound each wait for a table and each statement, ``lock_wait_s`` the wait for
    another runner. ``undo_record`` is the type of the row that an undo leaves: open-source Flyway knows DELETE.
    """

    lock_timeout_s: float
    statement_timeout_s: float
    lock_wait_s: float = 60.0
    out_of_order: bool = False
    undo_record: Literal["DELETE", "UNDO_SQL"] = "DELETE"


@dataclass(frozen=True)
class Session:
    """A session that holds the lock: what puts its settings right again, and which server process it is."""

    settings: tuple[sql.Composable, ...]
    backend_pid: int


class ScriptFailedError(Exception):
    """A script stopped at an error. ``cause`` is the driver's; ``completed`` counts the statements before it;
    ``told`` is what the last statement in front of the script answered, if it came so far.
    """

    def __init__(self, cause: psycopg.Error, completed: int, told: str | None = None) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.completed = completed
        self.told = told


def prepare_session(conn: psycopg.Connection[Any], settings: RunSettings) -> tuple[sql.Composable, ...]:
    """Put the session where every migration must start, and return the statements that put it there again.

    UTC, because ``installed_on`` has no zone; the timeouts, because a waiting ALTER TABLE blocks everybody behind it;
    the connection check, so that the server notices a client that died in the middle of a long statement.
    """
    chosen = {
        "TimeZone": "UTC",
        "client_encoding": "UTF8",
        "standard_conforming_strings": "on",  # the parser that looked at the file took it for granted
        "lock_timeout": f"{round(settings.lock_timeout_s * 1000)}ms",
        "statement_timeout": f"{round(settings.statement_timeout_s * 1000)}ms",
        "application_name": f"neonctl/{__version__} migrate",
    }
    statements: list[sql.Composable] = [sql.SQL("RESET ALL")]
    statements += [
        sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in chosen.items()
    ]
    conn.execute(sql.SQL("; ").join(statements))
    try:
        conn.execute(_CONNECTION_CHECK)
        statements.append(_CONNECTION_CHECK)
    except psycopg.errors.InvalidParameterValue:
        pass  # a server that is not on Linux cannot
    # Rendered once: they go in front of every file.
    return tuple(sql.SQL(cast("LiteralString", statement.as_string(conn))) for statement in statements)


@contextmanager
def flyway_lock(
    conn: psycopg.Connection[Any], *, database: str, wait_s: float, waiting: Callable[[], None]
) -> Generator[int]:
    """Hold Flyway's advisory lock, at session level, so that runners of either tool take turns. Gives the process id
    of the server's side of the session that has it.

    Polled, never awaited in the server: a blocked waiter and CREATE INDEX CONCURRENTLY wait for each other for ever.
    ``waiting`` is called once if somebody else holds it. Raises ``RetryableError`` after ``wait_s``.
    """
    deadline = time.monotonic() + wait_s
    told = False
    while (holder := _try_lock(conn)) is None:
        if not told:
            waiting()
            told = True
        left = deadline - time.monotonic()
        if left <= 0:
            raise RetryableError(
                "MIGRATION_LOCKED",
                f"{database}: another migration runner held the lock for {wait_s:g} s",
                hint="Wait for it to end, then run again; a run that died frees the lock when its session ends.",
                details={"database": database, "advisory_lock_key": LOCK_KEY},
            )
        time.sleep(min(_POLL_S, left))
    try:
        yield holder
    finally:
        _unlock(conn)


def require_direct(conn: psycopg.Connection[Any], database: str) -> None:
    """Refuse a pooler: it would hand the lock and the settings of this session to whoever comes next.

    Raises ``ServiceError``. A pooler answers with a process id of its own making; so does Neon's proxy on the direct
    host, therefore on Neon the host's name decides. What neither shows is caught in each query by the session's id.
    """
    host = conn.info.host
    if _POOLED_HOST.match(host):
        raise pooled(database, f"{host} is the pooled host")
    if not _NEON_HOST.search(host) and conn.info.backend_pid != _backend_pid(conn):
        raise pooled(database, "the connection goes through a pooler")


def pooled(database: str, why: str) -> ServiceError:
    """The refusal of a connection that is not one session from end to end."""
    return ServiceError(
        "MIGRATION_POOLED",
        f"{database}: migrations need a session of their own, but {why}",
        hint="Use the direct host (on Neon the one without `-pooler`). Nothing was run on this connection.",
        details={"database": database},
    )


def _backend_pid(conn: psycopg.Connection[Any]) -> int:
    """Which server process this connection talks to."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def run_script(
    conn: psycopg.Connection[Any], before: Sequence[sql.Composable], script: str, after: Sequence[sql.Composable]
) -> None:
    """Send everything as one simple query, so that the server reads the script as it stands, in one round trip.

    No parameters, no splitting, results thrown away unread: rows may be customers' data. Raises
    ``ScriptFailedError`` with statements counted from the beginning of ``script``.
    """
    prefix = "".join(statement.as_string(conn) + ";\n" for statement in before)
    suffix = "".join(";\n" + statement.as_string(conn) for statement in after)
    results = _simple_query(conn, prefix + script + "\n" + suffix)
    last = results[-1]
    if last.status == ExecStatus.FATAL_ERROR:
        told = results[len(before) - 1].get_value(0, 0) if 0 < len(before) < len(results) else None
        raise ScriptFailedError(
            error_from_result(last, encoding="utf-8"),
            len(results) - 1 - len(before),
            told.decode() if told is not None else None,
        )


def run_own(conn: psycopg.Connection[Any], statements: Sequence[sql.Composable], database: str) -> None:
    """Send statements of ours, with BEGIN and COMMIT among them, as one query. Raises ``ServiceError``."""
    failure: psycopg.Error | None = None
    try:
        run_script(conn, statements, "", ())
    except ScriptFailedError as error:
        failure = error.cause
    if failure is None:
        return
    if not conn.closed and not conn.broken:
        conn.execute("ROLLBACK")
    raise ServiceError(
        "MIGRATION_RECORD_UNWRITABLE",
        f"{database}: the record of migrations was not changed: {failure.diag.message_primary}",
        hint="Nothing was changed. It is written as the migrate role, which owns it, over the direct host.",
        details={"database": database, "sqlstate": failure.sqlstate},
    )


def script_offset(error: psycopg.Error, before: Sequence[sql.Composable], conn: psycopg.Connection[Any]) -> int | None:
    """Where in the script, as an offset, the server saw the error; None if it did not say."""
    position = error.diag.statement_position
    if position is None:
        return None
    prefix = sum(len(statement.as_string(conn)) + 2 for statement in before)
    return int(position) - 1 - prefix


def _simple_query(conn: psycopg.Connection[Any], query: str) -> list[PGresult]:
    """Every result of a simple query, the failing one last.

    ``cursor.execute`` would do the same but says nothing about how many statements had succeeded before an error.
    """
    with conn.lock:
        conn.pgconn.send_query(query.encode("utf-8"))
        return conn.wait(generators.execute(conn.pgconn))


def _try_lock(conn: psycopg.Connection[Any]) -> int | None:
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(
                "SELECT pg_catalog.pg_backend_pid() WHERE pg_catalog.pg_try_advisory_lock(%s)", [LOCK_KEY]
            ).fetchone()
    except psycopg.OperationalError as error:
        raise connection_lost(conn, error) from None
    return int(row[0]) if row else None


def _unlock(conn: psycopg.Connection[Any]) -> None:
    """Give lock and settings back; a session that is gone has done so itself, and must not mask why it went."""
    if conn.closed:
        return
    try:
        conn.execute(sql.SQL("RESET ALL; SELECT pg_catalog.pg_advisory_unlock({})").format(sql.Literal(LOCK_KEY)))
    except psycopg.OperationalError:
        conn.close()


def connection_lost(conn: psycopg.Connection[Any], error: psycopg.Error) -> ServiceError:
    """The driver's word for a broken connection → ours. Running again is safe: a transaction is whole or not there."""
    return ServiceError(
        "DATABASE_CONNECTION_LOST",
        f"{conn.info.dbname if not conn.closed else 'the database'}: the connection broke during migrations"
        + (f" ({error.diag.message_primary})" if error.diag.message_primary else ""),
        hint="Run again: each migration is there as a whole or not at all, and the record says which.",
        details={"sqlstate": error.sqlstate},
    )
