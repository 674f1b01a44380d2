"""The regulatory record as files: CSV or JSON, the same bytes for the same events, and the manifest that is signed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal

from neonctl.banking.moments import show_moment
from neonctl.banking.resolution import ResolutionEvent
from neonctl.banking.resolution_chain import Link
from neonctl.banking.resolution_reading import Record
from neonctl.banking.resolution_record import shown
from neonctl.banking.signing.attested import sha256_of

Format = Literal["csv", "json"]
_COLUMNS = [each.name for each in fields(ResolutionEvent) if each.name != "replayed"]


def export_bytes(record: Record, form: Format) -> bytes:
    """Every event with the signed documents (compact JWS) that it was done by, an unwind with the file of its permanent
    haircut; as JSON with the record's chain, which a later record can be held against.
    """
    files = {each.event_id: each.file for each in record.files}
    whole = [
        {
            **listed(event),
            "instructions": [each.document for each in record.documents if each.event_id == event.event_id],
            "permanent_haircut": files.get(event.event_id),
        }
        for event in record.events
    ]
    return _csv(whole) if form == "csv" else _json(whole, record.links)


def listed(event: ResolutionEvent) -> dict[str, Any]:
    """An event as the record has it."""
    facts = shown(event)
    return {name: facts[name] for name in _COLUMNS}


def manifest(
    content: bytes,
    record: Record,
    *,
    file: str,
    form: Format,
    scope: tuple[str, str],
    at: datetime,
) -> dict[str, Any]:
    """What is signed of an export: which file, how many events, from which to which, and the last link of the chain.

    ``scope``: project and environment.
    """
    events, last = record.events, record.links[-1] if record.links else None
    return {
        "kind": "obr-export",
        "project": scope[0],
        "environment": scope[1],
        "file": file,
        "format": form,
        "sha256": sha256_of(content),
        "bytes": len(content),
        "events": len(events),
        "first_event_no": events[0].event_no if events else None,
        "last_event_no": events[-1].event_no if events else None,
        "chain": None if last is None else {"link_no": last.link_no, "link_hash": last.link_hash.hex()},
        "as_of": show_moment(at),
    }


def _json(events: Sequence[Mapping[str, Any]], links: Sequence[Link]) -> bytes:
    whole = {"schema_version": 1, "events": list(events), "chain": [each.shown() for each in links]}
    return (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode()


def _csv(events: Sequence[Mapping[str, Any]]) -> bytes:
    """RFC 4180. What is no plain text is JSON in its cell; a cell never begins as a spreadsheet's formula does."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = [*_COLUMNS, "instructions", "permanent_haircut"]
    writer.writerow(names)
    writer.writerows([[_cell(event[name]) for name in names] for event in events])
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
