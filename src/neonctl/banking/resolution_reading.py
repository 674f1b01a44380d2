"""The regulatory record, all of it as it was at one instant (REP-001)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.resolution import ResolutionEvent, read_events
from neonctl.banking.resolution_chain import ChainFault, HaircutFile, Link, chain_faults, read_files, read_links
from neonctl.banking.resolution_course import Standing
from neonctl.banking.resolution_keys import KeptInstruction, TrustedKey, list_keys, read_instructions
from neonctl.banking.statement import patiently, rows
from neonctl.errors import NeonctlError


@dataclass(frozen=True)
class Evidence:
    """What the rows of an event's partition sum to."""

    event_id: UUID
    accounts: int
    frozen: Decimal
    available: Decimal


@dataclass(frozen=True)
class UnlikeEvidence:
    """Accounts whose evidence at an event is not what the log and the arithmetic give; ``some`` of them by id."""

    event_id: UUID
    accounts: int
    some: Sequence[UUID]


@dataclass(frozen=True)
class Record:
    """All of it, as it was at one instant.

    Not ``readable``: somebody wrote values that nothing here can read. Then it is links, and what is wrong with them.
    """

    events: Sequence[ResolutionEvent]
    documents: Sequence[KeptInstruction]
    keys: Sequence[TrustedKey]
    evidence: Sequence[Evidence]
    unlike: Sequence[UnlikeEvidence]
    standing: Standing | None
    last_event_no: int
    links: Sequence[Link] = ()
    files: Sequence[HaircutFile] = ()
    chain: Sequence[ChainFault] = ()
    readable: bool = True


@dataclass(frozen=True)
class _Last:
    last_event_no: int


def read_record(conn: psycopg.Connection[TupleRow], *, evidence: bool = True, files: bool = False) -> Record:
    """The whole record as it was at one instant, over a connection in autocommit, outside of any transaction.

    ``evidence``: with what each account's is compared to, and what the chain says, for ``record_faults``; it takes a
    look at every one of them. ``files``: with those of permanent haircuts, for an export.
    """
    doing = "reading the resolution's record"
    before = conn.isolation_level
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    try:
        with patiently(conn, doing):
            return _read(conn, doing, evidence=evidence, files=files)
    finally:
        conn.isolation_level = before


def _read(conn: psycopg.Connection[TupleRow], doing: str, *, evidence: bool, files: bool) -> Record:
    links = read_links(conn, doing=doing)
    chain = chain_faults(conn, doing=doing) if evidence else []
    try:
        with conn.transaction():
            return replace(_read_rows(conn, doing, evidence=evidence, files=files), links=links, chain=chain)
    except NeonctlError:
        if not chain:
            raise
    return Record((), (), (), (), (), None, 0, links=links, chain=chain, readable=False)


def _read_rows(conn: psycopg.Connection[TupleRow], doing: str, *, evidence: bool, files: bool) -> Record:
    file = "resolution_record"
    return Record(
        events=read_events(conn),
        documents=read_instructions(conn),
        keys=list_keys(conn),
        evidence=rows(conn, file, "evidence", Evidence, doing=doing) if evidence else (),
        unlike=rows(conn, file, "unlike_evidence", UnlikeEvidence, doing=doing) if evidence else (),
        standing=next(iter(rows(conn, file, "standing", Standing, doing=doing)), None),
        last_event_no=sum(each.last_event_no for each in rows(conn, file, "last_event_no", _Last, doing=doing)),
        files=read_files(conn, doing=doing) if files else (),
    )
