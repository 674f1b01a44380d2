"""Our own record beside Flyway's: who did what, when, from which bytes. Append-only, each entry chained to the last.

Flyway's CRC-32 finds accidents, not intent, and its table may be rewritten. ``public.neonctl_evidence`` refuses UPDATE,
DELETE and TRUNCATE to everybody and hashes each entry together with the hash before it. An owner can still take the
triggers off: then the chain breaks, unless all that follows is rewritten or the newest entries are cut off, which only
a copy of the last hash kept elsewhere shows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.errors import ServiceError
from neonctl.postgres.queryfile import query

if TYPE_CHECKING:
    from typing import LiteralString

Kind = Literal[
    "apply", "undo", "repeatable", "baseline", "repair", "proof", "rehearsal", "catalogue", "break-glass", "drift"
]

_FIRST = "0" * 64  # what the first entry has as the hash before it

_INSERT: LiteralString = """\
INSERT INTO public.neonctl_evidence
    (kind, version, script, up_sha256, down_sha256, proof_id, git_commit, actor, trace_id, details, listing)
VALUES ({kind}, {version}, {script}, {up_sha256}, {down_sha256}, {proof_id}, {git_commit}, {actor}, {trace_id},
        {details}, {listing})"""

_LISTING: LiteralString = "(SELECT pg_catalog.string_agg(c.line, E'\\n') FROM ({query}) AS c (line))"

_READ: LiteralString = """\
SELECT e.entry, e.kind, e.version, e.script, e.up_sha256, e.down_sha256, e.proof_id, e.git_commit, e.actor, e.trace_id,
       e.db_user, e.details::text,
       pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(e.listing, 'UTF8')), 'hex'),
       e.recorded_at, e.previous_hash, e.hash
FROM public.neonctl_evidence AS e ORDER BY e.entry"""

#: A row for each trigger, or one without; ``sound``: always on, without WHEN, its function with the caller's rights.
_PROTECTION: LiteralString = """\
SELECT t.tgname, t.tgtype, p.prosrc,
       t.tgenabled = 'A' AND t.tgqual IS NULL AND NOT p.prosecdef
           AND p.proconfig = '{"search_path=pg_catalog, pg_temp"}'::pg_catalog.text[],
       c.relhasrules OR c.relrowsecurity
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
WHERE n.nspname = 'public' AND c.relname = 'neonctl_evidence'"""
_BEFORE_INSERT, _BEFORE_CHANGE = 1 + 2 + 4, 2 + 8 + 16 + 32  # pg_trigger's bits; each row, and each statement

# Not to_regclass(): within one transaction that remembers that there was none.
_IS_THERE: LiteralString = """\
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'public' AND c.relname = 'neonctl_evidence')"""
_TAKE_TURNS: LiteralString = "SELECT pg_catalog.pg_advisory_xact_lock(7955377275698405477)"  # as in evidence.sql

_LAST_LISTING: LiteralString = """\
SELECT e.listing FROM public.neonctl_evidence AS e
WHERE e.kind = 'catalogue' ORDER BY e.entry DESC LIMIT 1"""


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from. ``proof_ids`` holds the proof of each version that has one."""

    actor: str
    trace_id: str
    git_commit: str | None = None
    proof_ids: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class NewEntry:
    """What is to be recorded. Number, time, database user and hash are the database's to make."""

    kind: Kind
    provenance: Provenance
    version: str | None = None
    script: str | None = None
    up_sha256: str | None = None
    down_sha256: str | None = None
    proof_id: str | None = None
    details: Mapping[str, object] = field(default_factory=dict[str, object])  # JSON
    listing: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Evidence:
    """One entry as it stands in the table. Of a listing only the hash: ``last_listing`` reads the text."""

    entry: int
    kind: str
    version: str | None
    script: str | None
    up_sha256: str | None
    down_sha256: str | None
    proof_id: str | None
    git_commit: str | None
    actor: str
    trace_id: str
    db_user: str
    details_json: str  # as the server writes it, which is what was hashed
    listing_sha256: str | None
    recorded_at: datetime
    previous_hash: str
    hash: str

    @property
    def details(self) -> Mapping[str, Any]:
        """What else there is to say, by kind."""
        return cast("dict[str, Any]", json.loads(self.details_json))


def entry_statement(new: NewEntry) -> sql.Composed:
    """An INSERT that can travel inside the runner's one query; the table must be there."""
    return _statement(new, sql.Literal(new.listing))


def listing_statements(provenance: Provenance) -> tuple[sql.Composable, ...]:
    """An entry of kind ``catalogue``: the listing is taken by the server itself, as it is within the transaction in
    which these statements run. They change settings for the rest of it.
    """
    from neonctl.migrations.catalogue import CATALOGUE_QUERY, PIN_SETTINGS  # only where something was done

    listing = sql.SQL(_LISTING).format(query=sql.SQL(CATALOGUE_QUERY))
    return sql.SQL(PIN_SETTINGS), _statement(NewEntry("catalogue", provenance), listing)


def record(conn: psycopg.Connection[Any], new: NewEntry) -> Evidence:
    """Write one entry, making the table when it is missing; returns it as it stands.

    Needs what the migrate role has. Raises ``ServiceError`` ``EVIDENCE_UNWRITABLE`` when the role may not or the
    connection is gone.
    """
    database, user = conn.info.dbname, conn.info.user
    try:
        with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            make_table(conn)
            cursor.execute(entry_statement(new))
            # The chain's lock is held until the end of the transaction: the newest entry is ours.
            row = cursor.execute(sql.SQL(_READ) + sql.SQL(" DESC LIMIT 1")).fetchone()
    except psycopg.Error as error:
        raise ServiceError(
            "EVIDENCE_UNWRITABLE",
            f"{database}: neonctl_evidence cannot be written as {user}: "
            f"{error.diag.message_primary or 'the connection was lost'}",
            hint="Evidence is written as the migrate role, which owns the table. Check connection and role.",
            details={"database": database, "sqlstate": error.sqlstate},
        ) from None
    assert row is not None
    return _evidence(row)


def make_table(conn: psycopg.Connection[Any]) -> None:
    """Make table, functions and triggers unless they are there; two at once take turns."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        if cursor.execute(_IS_THERE).fetchone() == (True,):
            return
        with conn.transaction():
            cursor.execute(_TAKE_TURNS)
            if cursor.execute(_IS_THERE).fetchone() == (False,):
                cursor.execute(query("evidence", "creation", "migrations"))


def read_evidence(conn: psycopg.Connection[Any]) -> tuple[Evidence, ...]:
    """Every entry in order; ``()`` without a table. SELECT on it is all that is needed.

    Raises ``ServiceError`` ``EVIDENCE_UNREADABLE`` when the role may not or the connection is gone. The connection
    must be in autocommit.
    """
    return tuple(_evidence(row) for row in _rows(conn, _READ))


def last_listing(conn: psycopg.Connection[Any]) -> tuple[str, ...] | None:
    """The lines of the catalogue as it was recorded last; None when it never was."""
    rows = _rows(conn, _LAST_LISTING)
    return tuple(str(rows[0][0] or "").split("\n")) if rows else None


def broken_chain(entries: Sequence[Evidence]) -> str | None:
    """The first entry that was altered, removed or inserted, in words; None when the chain holds.

    ``entries`` are all there are, in order. That the newest were cut off cannot be seen from what is left.
    """
    previous_hash = _FIRST
    for number, each in enumerate(entries, 1):
        if each.entry != number:
            return f"entry {number} was removed" if each.entry > number else f"entry {each.entry} is there twice"
        if each.previous_hash != previous_hash:
            return f"entry {number} is not chained to the entry before it: it was inserted, or that one replaced"
        if each.hash != _hash(each):
            return f"entry {number} was altered"
        previous_hash = each.hash
    return None


def unguarded(conn: psycopg.Connection[Any]) -> str | None:
    """What of the table's own protection was taken off, in words; None when it is whole or there is no table.

    The chain shows what was done to entries, not what may be done to the next ones. Raises as ``read_evidence``.
    """
    bodies = re.findall(r"\$neonctl\$(.*?)\$neonctl\$", query("evidence", "creation", "migrations"), re.DOTALL)
    wanted = {("append", _BEFORE_INSERT, bodies[0]), ("refuse", _BEFORE_CHANGE, bodies[1])}
    found: set[tuple[object, ...]] = set()
    for name, kind, body, sound, hidden in _rows(conn, _PROTECTION):
        if hidden:
            return "neonctl_evidence has rules or row security, which may hide entries"
        if sound:
            found.add((name, kind, body))
        elif name is None:
            return "neonctl_evidence has lost its triggers"
        else:
            return f"neonctl_evidence: the trigger {name} is not as it was made"
    if found and found != wanted:
        names = ", ".join(sorted({str(each[0]) for each in found ^ wanted}))
        return f"neonctl_evidence: not as it was made: {names}"
    return None


def _statement(new: NewEntry, listing: sql.Composable) -> sql.Composed:
    values: dict[str, object] = {
        "kind": new.kind,
        "version": new.version,
        "script": new.script,
        "up_sha256": new.up_sha256,
        "down_sha256": new.down_sha256,
        "proof_id": new.proof_id or (new.provenance.proof_ids.get(new.version) if new.version else None),
        "git_commit": new.provenance.git_commit,
        "actor": new.provenance.actor,
        "trace_id": new.provenance.trace_id,
        "details": json.dumps(dict(new.details)),
    }
    literals = {name: sql.Literal(value) for name, value in values.items()}
    return sql.SQL(_INSERT).format(**literals, listing=listing)


def _hash(entry: Evidence) -> str:
    """What ``neonctl_evidence_append()`` computes."""
    fields = (
        entry.previous_hash,
        str(entry.entry),
        entry.kind,
        entry.version,
        entry.script,
        entry.up_sha256,
        entry.down_sha256,
        entry.proof_id,
        entry.git_commit,
        entry.actor,
        entry.trace_id,
        entry.db_user,
        entry.details_json,
        entry.listing_sha256,
        entry.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    )
    text = ",".join("-" if each is None else f"{len(each)}:{each}" for each in fields)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _rows(conn: psycopg.Connection[Any], statement: LiteralString) -> list[tuple[Any, ...]]:
    database, user = conn.info.dbname, conn.info.user  # asked now: a connection that broke cannot say
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(statement).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.Error as error:
        raise ServiceError(
            "EVIDENCE_UNREADABLE",
            f"{database}: neonctl_evidence cannot be read as {user}: "
            f"{error.diag.message_primary or _without_a_word(error)}",
            hint="Check the role's rights in schema public and the connection, then run again.",
            details={"database": database, "sqlstate": error.sqlstate},
        ) from None


def _without_a_word(error: psycopg.Error) -> str:
    """What the driver, not the server, could not do: a time out of its range was not written by us."""
    return "an entry was altered" if isinstance(error, psycopg.DataError) else "the connection was lost"


def _evidence(row: tuple[Any, ...]) -> Evidence:
    return Evidence(*row)
