"""The hash chain over the resolution's record, its evidence and its files, held against what is there (REP-001).

The chain convicts who alters, removes, adds or moves a row past the triggers. Who makes the whole chain anew is
convicted by a seal of the ledger, or by an export of the record, that is kept elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.chain import ZERO_HASH, FaultKind
from neonctl.banking.statement import rows
from neonctl.errors import UsageError

_FILE: Final = "resolution_chain"


@dataclass(frozen=True)
class Link:
    """A link: which row it is of, and the hashes of that row and of the chain up to here."""

    link_no: int
    relation: str
    row_key: str
    row_hash: bytes
    link_hash: bytes

    def shown(self) -> dict[str, Any]:
        """As an export has it."""
        return {**vars(self), "row_hash": self.row_hash.hex(), "link_hash": self.link_hash.hex()}


@dataclass(frozen=True)
class ChainFault:
    """What is wrong with a row. ``row``: the table and what names the row there, an event by its number."""

    row: str
    kind: FaultKind
    message: str


@dataclass(frozen=True)
class HaircutFile:
    """The confirmed file of an unwind, as text: its bytes are UTF-8."""

    event_id: UUID
    file: str


@dataclass(frozen=True)
class KeptLink:
    """A link as a document kept elsewhere knows it. ``row``: as in ``ChainFault``, where the document says it."""

    link_no: int
    link_hash: bytes
    row: str | None


@dataclass(frozen=True)
class _Nothing:
    set_config: str


def read_links(conn: psycopg.Connection[TupleRow], *, doing: str) -> list[Link]:
    """The chain, in its order."""
    return rows(conn, _FILE, "links", Link, doing=doing)


def read_files(conn: psycopg.Connection[TupleRow], *, doing: str) -> list[HaircutFile]:
    """Every permanent haircut's file, in the order of their events."""
    return rows(conn, _FILE, "files", HaircutFile, doing=doing)


def chain_faults(conn: psycopg.Connection[TupleRow], *, doing: str) -> list[ChainFault]:
    """What is wrong with the record and its evidence, the first row first; up to 20 of each kind.

    To be called inside a transaction: it sets how values are written until that ends.
    """
    rows(conn, _FILE, "settings", _Nothing, doing=doing)
    found = rows(conn, _FILE, "chain", ChainFault, {"zero": ZERO_HASH}, doing=doing)
    for name in ("evidence", "strays", "permanent_haircuts"):
        found += rows(conn, _FILE, name, ChainFault, doing=doing)
    return found


def parse_kept(text: str, *, scope: str) -> list[KeptLink]:
    """The links that a document kept elsewhere knows: those of a JSON export, or the last one that a signed status or
    the manifest of an export names. Its signature is not looked at. ``scope``: ``project/environment`` of the record
    that it is held against.

    Raises ``UsageError`` OBR_ANCHOR_INVALID.
    """
    try:
        whole = json.loads(text)
        links = whole["chain"] if "chain" in whole else [whole["document"]["chain"]]
        kept, scopes = [_kept(each) for each in links], _scopes(whole)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        kept, scopes = [], set[str]()
    if kept and scopes and scope not in scopes:
        raise UsageError(
            "OBR_ANCHOR_INVALID",
            f"the file is of {', '.join(sorted(scopes))}, the record of {scope}",
            hint="two environments have two records: take the file that is of this one",
        )
    if not kept:
        raise UsageError(
            "OBR_ANCHOR_INVALID",
            "the file names no link of the record's chain",
            hint="`obr events --export json`, its manifest and `obr status --signed --out FILE` are such files",
        )
    return kept


def kept_faults(links: Sequence[Link], kept: Sequence[KeptLink]) -> list[ChainFault]:
    """The first link that is no longer what a document kept elsewhere says; nothing where all are."""
    there = {each.link_no: each for each in links}
    for each in kept:
        now = there.get(each.link_no)
        if now is not None and now.link_hash == each.link_hash:
            continue
        named = each.row or f"core.obr_chain/{each.link_no}"
        known = f"what the file knows as link {each.link_no} of core.obr_chain"
        if now is None:
            return [ChainFault(named, "removed", f"is gone: {known}")]
        return [ChainFault(named, "altered", f"it, or a row before it that the file does not know, is not {known}")]
    return []


def _scopes(whole: Mapping[str, Any]) -> set[str]:
    """Whose record a document is of, as far as it says: an export's events say by which scope they were signed."""
    if "chain" not in whole:
        return {f"{whole['document']['project']}/{whole['document']['environment']}"}
    said = {event["metadata"].get("scope") for event in whole["events"]}
    return {str(each) for each in said if each is not None}


def _kept(link: Mapping[str, Any]) -> KeptLink:
    row = f"{link['relation']}/{link['row_key']}" if "relation" in link else None
    return KeptLink(int(link["link_no"]), bytes.fromhex(link["link_hash"]), row)
