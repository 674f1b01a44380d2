"""Proof of the regulatory record: every event was done by the signatures kept with it, and none is missing.

The database refuses all of this already. This exposes what somebody wrote past it, such as the owner of the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from neonctl.banking.money import show
from neonctl.banking.resolution import ResolutionEvent
from neonctl.banking.resolution_chain import ChainFault, KeptLink, kept_faults
from neonctl.banking.resolution_course import course_faults, standing_faults
from neonctl.banking.resolution_keys import KeptInstruction, KeyKind, TrustedKey
from neonctl.banking.resolution_reading import Evidence, Record
from neonctl.banking.resolution_trust import public_key_of
from neonctl.banking.signing.claims import Action, canonical_haircut, canonical_percent
from neonctl.banking.signing.instruction import Instruction, check_asked, parse_instruction
from neonctl.banking.signing.jws import Jws, signed_by
from neonctl.errors import NeonctlError

_EVENTS: Final = "core.obr_partition_events"
#: An act may have been under way so long when its documents were kept.
_UNDER_WAY: Final = timedelta(hours=1)
_ACTIONS: Mapping[str, Action] = {
    "OBR_ACTIVATED": "activate",
    "OBR_RELEASED": "release",
    "OBR_UNWOUND": "unwind",
    "OBR_REARMED": "rearm",
}


@dataclass(frozen=True)
class RecordFault:
    """What is wrong with one row. ``subject``: ``event 3``, ``key …``."""

    subject: str
    message: str


@dataclass(frozen=True)
class _Need:
    """The documents that a row must have: whose, for what, saying what."""

    kind: KeyKind
    action: Action
    asked: Mapping[str, object]


UNREADABLE: Final = RecordFault("the record", "holds values that cannot be read: the rest of it could not be looked at")


def record_faults(record: Record, *, scope: str) -> Iterator[RecordFault]:
    """What is wrong with a record, events first. ``scope``: ``project/environment`` of its instructions."""
    yield from _chain(record.chain)
    if not record.readable:
        yield UNREADABLE
        return
    try:
        yield from _content(record, scope)
    except (TypeError, AttributeError, ValueError, ArithmeticError):
        # Which types these are is the database's word, and who writes past its constraints breaks it.
        yield UNREADABLE


def _content(record: Record, scope: str) -> Iterator[RecordFault]:
    yield from _numbers(record)
    yield from (RecordFault(f"event {number}", why) for number, why in course_faults(record.events))
    yield from (RecordFault("the state", why) for why in standing_faults(record.events, record.standing))
    yield from _unlike(record)
    yield from _events(record, scope)
    yield from _keys(record, scope)
    known = {event.event_id for event in record.events} | {None}
    for document in record.documents:
        if document.event_id not in known:
            yield RecordFault(f"instruction {document.jti}", "is kept for an event that is not there")
    uses = Counter({(d.jti, d.event_id, d.registered_key_id, d.revoked_key_id) for d in record.documents})
    for jti, times in Counter(use[0] for use in uses).items():
        if times > 1:
            yield RecordFault(f"instruction {jti}", f"was used {times} times")


def _chain(faults: Sequence[ChainFault]) -> Iterator[RecordFault]:
    for each in faults:
        relation, _, key = each.row.partition("/")
        yield RecordFault(f"event {key}" if relation == _EVENTS else each.row, each.message)


def kept_elsewhere(record: Record, kept: Sequence[KeptLink]) -> list[RecordFault]:
    """What is no longer as a document kept elsewhere says (``parse_kept``): the first row of it."""
    return list(_chain(kept_faults(record.links, kept)))


def _numbers(record: Record) -> Iterator[RecordFault]:
    there = {event.event_no for event in record.events}
    for number in range(1, max(there | {record.last_event_no}) + 1):
        if number not in there:
            yield RecordFault(f"event {number}", "is missing")
    for number in sorted(there):
        if not 0 < number <= record.last_event_no:
            yield RecordFault(f"event {number}", f"the state has seen {record.last_event_no} events")


def _events(record: Record, scope: str) -> Iterator[RecordFault]:
    sums = {each.event_id: each for each in record.evidence}
    released = Decimal(0)
    for event in record.events:
        subject = f"event {event.event_no}"
        action = _ACTIONS.get(event.event_type)
        documents = [each for each in record.documents if each.event_id == event.event_id]
        if action is not None:
            need = _Need(
                "regulator" if event.authority == "REGULATOR" else "officer",
                action,
                {"scope": scope, "jurisdiction": event.jurisdiction, **_terms(event)},
            )
            yield from _documents(subject, documents, need, record.keys)
        elif documents:
            yield RecordFault(subject, "needs no signature, and has one")
        if event.event_type == "OBR_RELEASED" and event.released_pct != released + _percent(event):
            yield RecordFault(subject, f"says {event.released_pct} percent released, after {released} and its own")
        if event.event_type in {"OBR_ACTIVATED", "OBR_RELEASED"}:
            released = event.released_pct or Decimal(0)
            yield from _sums(subject, event, sums.get(event.event_id))


def _unlike(record: Record) -> Iterator[RecordFault]:
    numbers = {event.event_id: event.event_no for event in record.events}
    for each in record.unlike:
        some = ", ".join(map(str, each.some))
        said = f"evidence of {each.accounts} accounts is not what log and arithmetic give, of {some} for example"
        yield RecordFault(f"event {numbers.get(each.event_id)}", said)


def _terms(event: ResolutionEvent) -> dict[str, object]:
    """The claims that an event's instruction must have had."""
    reference: dict[str, object] = {"reference": event.rbnz_instruction_ref}
    match event.event_type:
        case "OBR_ACTIVATED":
            return {
                **reference,
                "haircut": canonical_haircut(event.haircut_pct or Decimal(0)),
                "de_minimis": show(event.de_minimis_amount or Decimal(0)),
                "equal_shares": event.equal_shares,
            }
        case "OBR_RELEASED":
            return {**reference, "percent": canonical_percent(_percent(event))}
        case "OBR_UNWOUND":
            return {**reference, "permanent_haircut_sha256": event.metadata.get("permanent_haircut_sha256")}
        case _:
            return reference


def _percent(event: ResolutionEvent) -> Decimal:
    return Decimal(str(event.metadata.get("percent", 0)))


def _sums(subject: str, event: ResolutionEvent, found: Evidence | None) -> Iterator[RecordFault]:
    said = (event.accounts_partitioned, event.total_frozen_amount, event.total_available_amount)
    kept = (0, Decimal(0), Decimal(0)) if found is None else (found.accounts, found.frozen, found.available)
    if said != kept:
        yield RecordFault(subject, f"says {_three(said)}; its accounts' evidence sums to {_three(kept)}")


def _three(figures: tuple[int, Decimal, Decimal]) -> str:
    return f"{figures[0]} accounts, {figures[1]} frozen, {figures[2]} available"


def _keys(record: Record, scope: str) -> Iterator[RecordFault]:
    first = [key for key in record.keys if key.authority == "BOOTSTRAP"]
    officers = [key.key_id for key in record.keys if key.kind == "officer"]
    for key in record.keys:
        subject = f"key {key.key_id} of {key.name}"
        if public_key_of(key) is None:
            yield RecordFault(subject, "is not the key that its id says")
        documents = [each for each in record.documents if each.registered_key_id == key.key_id]
        if key.authority == "BOOTSTRAP":
            if key.key_id not in officers[:2] or len({each.name for each in first}) != len(first):
                yield RecordFault(
                    subject, "was registered without signatures, and is not one of the first two officers'"
                )
        else:
            asked: dict[str, object] = {
                "scope": scope,
                "key_id": key.key_id,
                "key_name": key.name,
                "key_kind": key.kind,
                "valid_from": int(key.valid_from.timestamp()),
                "valid_until": None if key.valid_until is None else int(key.valid_until.timestamp()),
            }
            yield from _documents(subject, documents, _Need("officer", "add-key", asked), record.keys)
        if key.revoked_at is not None:
            documents = [each for each in record.documents if each.revoked_key_id == key.key_id]
            asked = {"key_id": key.key_id, "reason": key.revoked_reason, "scope": scope}
            need = _Need("officer", "revoke-key", asked)
            yield from _documents(f"revocation of {subject}", documents, need, record.keys)


def _documents(
    subject: str, documents: Sequence[KeptInstruction], need: _Need, keys: Sequence[TrustedKey]
) -> Iterator[RecordFault]:
    wanted = 1 if need.kind == "regulator" else 2
    if not documents:
        yield RecordFault(subject, "was written without a signature")
        return
    if len(documents) != wanted:
        yield RecordFault(subject, f"has {len(documents)} signatures, needs {wanted} of kind {need.kind}")
    known = {key.key_id: key for key in keys}
    names: list[str] = []
    payloads: set[bytes] = set()
    for kept in documents:
        try:
            jws, instruction = parse_instruction(kept.document, name="its document")
            check_asked(instruction, need.action, need.asked, name="its document")
        except NeonctlError as error:
            yield RecordFault(subject, error.message)
            continue
        payloads.add(jws.payload)
        key = known.get(jws.key_id)
        names += [] if key is None else [key.name]
        yield from (RecordFault(subject, message) for message in _signature(kept, jws, instruction, key, need.kind))
    if wanted == 2 and (len(set(names)) != len(names) or len(payloads) > 1):
        yield RecordFault(subject, "was not signed by two different officers who meant the same")


def _signature(
    kept: KeptInstruction, jws: Jws, instruction: Instruction, key: TrustedKey | None, kind: KeyKind
) -> Iterator[str]:
    if (kept.jti, kept.key_id, kept.action) != (instruction.jti, jws.key_id, instruction.action):
        yield "its document is filed under another number, key or action"
    if key is None:
        yield f"is signed by the key {jws.key_id}, which is not registered"
        return
    who = f"the key of {key.name}"
    public = public_key_of(key)
    if public is None or not signed_by(jws, public):
        yield f"the signature is not that of {who}"
    if key.kind != kind:
        yield f"{who} is of kind {key.kind}, it takes one of kind {kind}"
    at, began = kept.recorded_at, kept.recorded_at - _UNDER_WAY
    if not _from_until(at, began, key.valid_from, key.valid_until) or key.registered_at > at:
        yield f"{who} was not valid then"
    if key.revoked_at is not None and key.revoked_at < at:
        yield f"{who} was revoked before"
    if not instruction.nbf <= at.timestamp() or not began.timestamp() < instruction.exp:
        yield "the instruction was not valid then"


def _from_until(at: datetime, began: datetime, begin: datetime, end: datetime | None) -> bool:
    return begin <= at and (end is None or began < end)
