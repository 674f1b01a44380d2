"""Where the events of the record lead: the state that the bank must be in, and whether each event could follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from uuid import UUID

from neonctl.banking.resolution import ResolutionEvent, State


@dataclass(frozen=True)
class Standing:
    """The row of the state, in what events alone write. Outside a resolution all of it is None but the first two."""

    jurisdiction: str
    resolution_state: State
    haircut_pct: Decimal | None = None
    de_minimis_amount: Decimal | None = None
    equal_shares: bool | None = None
    rbnz_instruction_ref: str | None = None
    activation_event_id: UUID | None = None
    partition_event_id: UUID | None = None
    quantified_at: datetime | None = None
    released_pct: Decimal | None = None
    activated_at: datetime | None = None
    activated_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None


#: What may happen in which state, and what it leads to.
_COURSE: Final[Mapping[tuple[State, str], State]] = MappingProxyType(
    {
        ("pre_positioned", "OBR_ACTIVATED"): "activated",
        ("activated", "OBR_RELEASED"): "activated",
        ("activated", "OBR_UNWOUND"): "resolved",
        ("resolved", "OBR_REARMED"): "pre_positioned",
        ("pre_positioned", "OBR_PARTITION_RECONCILED"): "pre_positioned",
        ("activated", "OBR_PARTITION_RECONCILED"): "activated",
        ("resolved", "OBR_PARTITION_RECONCILED"): "resolved",
    }
)


def course_faults(events: Sequence[ResolutionEvent]) -> Iterator[tuple[int, str]]:
    """Numbers of events that could not follow what was before, and why; ``events`` in their order."""
    state: State = "pre_positioned"
    for event in events:
        then = _COURSE.get((state, event.event_type))
        if then is None:
            yield event.event_no, f"cannot happen to a bank that is {state}"
        elif event.status != then:
            yield event.event_no, f"says that it left the bank {event.status}, not {then}"
        state = then or event.status


def standing_faults(events: Sequence[ResolutionEvent], state: Standing | None) -> Iterator[str]:
    """What of the state is not as the events left it. ``normal`` and ``pre_positioned`` are the owner's to choose
    between, outside a resolution, and so is the jurisdiction.
    """
    if state is None:
        yield "is missing"
        return
    due = _after(events)
    if due.resolution_state == "pre_positioned":
        if state.resolution_state == "normal":
            due = replace(due, resolution_state="normal")
        due = replace(due, jurisdiction=state.jurisdiction)
    for each in fields(Standing):
        said, wanted = getattr(state, each.name), getattr(due, each.name)
        if said != wanted:
            yield f"{each.name} is {_shown(said)}; the events left it at {_shown(wanted)}"


def _after(events: Sequence[ResolutionEvent]) -> Standing:
    due = Standing("NZ", "pre_positioned")
    for event in events:
        match event.event_type:
            case "OBR_ACTIVATED":
                due = Standing(
                    event.jurisdiction,
                    "activated",
                    event.haircut_pct,
                    event.de_minimis_amount,
                    event.equal_shares,
                    event.rbnz_instruction_ref,
                    event.event_id,
                    event.event_id,
                    event.quantified_at,
                    Decimal(0),
                    event.occurred_at,
                    event.activated_by,
                )
            case "OBR_RELEASED":
                due = replace(due, released_pct=event.released_pct, partition_event_id=event.event_id)
            case "OBR_UNWOUND":
                ended = {"resolved_at": event.occurred_at, "resolved_by": event.activated_by}
                due = replace(due, resolution_state="resolved", **ended)
            case "OBR_REARMED":
                due = Standing(event.jurisdiction, "pre_positioned")
            case "OBR_PARTITION_RECONCILED":
                pass
    return due


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
