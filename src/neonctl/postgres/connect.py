"""Connections to a database: always verified TLS, by keyword arguments, never by a URL (security.md 1 and 5)."""

from __future__ import annotations

import logging
import time
from dataclasses import field
from pathlib import Path

import certifi
import psycopg
from psycopg.rows import TupleRow

from neonctl.errors import RetryableError, ServiceError
from neonctl.frozen import frozen
from neonctl.plan.observed import Address
from neonctl.postgres.failures import connect_failure, translate, worth_waiting
from neonctl.secret import Secret

__all__ = ["Login", "connect", "translate"]

_ATTEMPT_S = 10
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_NAME_LENGTH = 63


@frozen
class Login:
    """Who logs in where. ``ca_file`` None: the authorities that certifi lists. ``pooled``: through PgBouncer."""

    address: Address
    dbname: str
    username: str
    password: Secret = field(repr=False)
    ca_file: Path | None = None
    pooled: bool = False
    replication: bool = False  # a walsender bound to the database, as CDC opens it
    lock_timeout_s: float | None = None  # how long a statement waits for what others hold; direct connections only

    def __str__(self) -> str:
        return f"{self.username} to {self.dbname} at {self.address}"


def connect(
    login: Login,
    *,
    application_name: str,
    autocommit: bool = True,
    budget_s: float = 30,
    fresh: bool = False,
) -> psycopg.Connection[TupleRow]:
    """A connection, made within ``budget_s`` seconds: a cold compute is waited for.

    ``fresh``: password or database were made a moment ago, so that "wrong" and "missing" may only mean "not yet"
    (facts.md 6), and are tried again too. Raises
    ``ServiceError`` POSTGRES_UNREACHABLE, POSTGRES_AUTH_FAILED, POSTGRES_TLS_FAILED or POSTGRES_REFUSED,
    ``RetryableError`` POSTGRES_BUSY.
    """
    # A connection that is cut on purpose is no news, and what else the driver logs becomes an error of ours.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    deadline = time.monotonic() + budget_s
    pause_s = _FIRST_PAUSE_S
    while True:
        made = _attempt(login, application_name, autocommit, deadline - time.monotonic())
        if isinstance(made, psycopg.Connection):
            return made
        if not worth_waiting(made, fresh=fresh) or time.monotonic() + pause_s >= deadline:
            raise made
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _attempt(
    login: Login, application_name: str, autocommit: bool, left_s: float
) -> psycopg.Connection[TupleRow] | ServiceError | RetryableError:
    timeout_s = max(2, min(_ATTEMPT_S, int(left_s)))  # libpq takes whole seconds and turns 1 into 2
    try:
        return psycopg.connect(
            host=login.address.host,
            port=login.address.port,
            dbname=login.dbname,
            user=login.username,
            password=login.password.reveal(),
            sslmode="verify-full",
            sslrootcert=str(login.ca_file) if login.ca_file else certifi.where(),
            gssencmode="disable",
            connect_timeout=timeout_s,
            tcp_user_timeout=30_000,
            application_name=application_name[:_NAME_LENGTH],
            client_encoding="utf-8",  # whatever PGCLIENTENCODING or the role's settings say
            options=_options(login.lock_timeout_s),
            autocommit=autocommit,
            replication="database" if login.replication else None,
            prepare_threshold=None if login.pooled else 5,
        )
    except psycopg.Error as error:
        return connect_failure(error, f"connecting as {login}")


def _options(lock_timeout_s: float | None) -> str | None:
    """Settings of a session that sets things right: stronger than what ALTER DATABASE or ALTER ROLE say of it."""
    if lock_timeout_s is None:
        return None
    return f"-c lock_timeout={round(lock_timeout_s * 1000)} -c statement_timeout=0 -c default_transaction_read_only=off"
