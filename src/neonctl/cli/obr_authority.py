"""By whose authority: the options that take signed documents, and the way of everything that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from neonctl.cli.bank import Desk, lines
from neonctl.cli.given_files import text_of

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.banking.resolution import ResolutionEvent
    from neonctl.banking.signing.authority import Authority, Document, KeyKind
    from neonctl.banking.signing.claims import Action
    from neonctl.banking.signing.instruction import Instruction

T = TypeVar("T")

InstructionFile = Annotated[
    Path | None, typer.Option("--instruction", help="The regulator's signed instruction, a file of `obr sign`")
]
Emergency = Annotated[bool, typer.Option("--emergency", help="Two officers' signatures instead of the regulator's")]
Officers = Annotated[
    list[Path] | None,
    typer.Option("--officer", help="An officer's signed instruction; give it twice, from two officers"),
]
Confirm = Annotated[
    str | None, typer.Option("--confirm", help="What is done, by its name: instead of typing it on a terminal")
]
Reference = Annotated[str, typer.Option("--reference", help="The authority's reference, as in the instruction")]


@dataclass(frozen=True)
class Given:
    """The documents that came with a command, and whose they must be."""

    kind: KeyKind
    documents: tuple[Document, ...]


def given_documents(instruction: Path | None, emergency: bool, officers: list[Path] | None) -> Given:
    """One of the regulator, or with ``--emergency`` two of officers. Raises ``UsageError``."""
    from neonctl.errors import UsageError

    files = officers or []
    if instruction is not None and not emergency and not files:
        return Given("regulator", documents_of([instruction]))
    if instruction is None and emergency and len(files) == 2:
        return Given("officer", documents_of(files))
    raise UsageError(
        "USAGE",
        "say by whose authority: --instruction FILE, or --emergency --officer FILE --officer FILE",
        hint="`neonctl obr sign` writes such files",
    )


def documents_of(files: list[Path]) -> tuple[Document, ...]:
    """The files, read. Raises ``UsageError`` FILE_UNREADABLE."""
    from neonctl.banking.signing.authority import Document

    return tuple(Document(str(file), text_of(file)) for file in files)


@dataclass(frozen=True)
class Act:
    """What is to be done: its action, the name to be typed (None: a yes is enough), the claims of its documents."""

    action: Action
    name: str | None
    asked: Mapping[str, object]
    idempotency_key: str | None

    @property
    def details(self) -> dict[str, str]:
        """What the audit record says of it."""
        key = {} if self.idempotency_key is None else {"idempotency_key": self.idempotency_key}
        return {**{name: str(value) for name, value in self.asked.items()}, **key}


def carry_out(
    desk: Desk,
    act: Act,
    given: Given,
    confirm: str | None,
    work: Callable[[psycopg.Connection[TupleRow], Authority], T],
    facts: Callable[[T], Mapping[str, object]],
) -> T:
    """Believe the documents, have it confirmed, do ``work`` as the resolution officer; all of it on record."""
    from neonctl.banking.resolution_keys import list_keys
    from neonctl.banking.resolution_trust import verifying_keys
    from neonctl.banking.signing.authority import check_authority

    env = desk.environment
    asked = {"scope": desk.scope, "jurisdiction": "NZ", **act.asked}
    with desk.changing(f"obr.{act.action}", f"{env}/bank_core", act.details, role="resolution_officer") as change:
        authority = check_authority(
            given.documents, verifying_keys(list_keys(change.conn)), kind=given.kind, action=act.action, asked=asked
        )
        instruction = authority.instruction
        signers = " and ".join(authority.signers)
        change.noted.update(signed_by=signers, jti=instruction.jti, reference=instruction.reference)
        ask(desk, act, confirm, {**shown_instruction(instruction), "signed by": signers})
        said = {"signed_by": signers, "jti": instruction.jti, "reference": instruction.reference}
        return change.commit(lambda: work(change.conn, authority), lambda done: {**said, **facts(done)})


def ask(desk: Desk, act: Act, confirm: str | None, shown: Mapping[str, object]) -> None:
    """Show what is to be done, and have it confirmed. Raises ``UnsafePlanError``."""
    about = f"To be done on {desk.environment}:\n\n{lines(shown)}\n"
    desk.session.say(about)
    if act.name is not None:
        desk.session.confirm_by_name(act.name, confirm, scope=desk.environment, about=about)
    else:
        desk.session.confirm("Do this?", about=about)


#: The instruction itself has a time in which it is valid, too.
_LABELS = {"valid_from": "key valid from", "valid_until": "key valid until"}


def shown_instruction(instruction: Instruction) -> dict[str, object]:
    """What an instruction says, for people, the weightiest first."""
    from neonctl.banking.signing.claims import shown_claim, shown_second

    terms = {_LABELS.get(claim, claim): shown_claim(claim, value) for claim, value in instruction.terms.items()}
    return {
        "action": instruction.action,
        "scope": instruction.scope,
        **terms,
        "jurisdiction": instruction.jurisdiction,
        "reference": instruction.reference,
        "valid from": shown_second(instruction.nbf),
        "valid until": shown_second(instruction.exp),
        "number": instruction.jti,
    }


def validity_of(instruction: Instruction) -> tuple[datetime, datetime | None]:
    """From when until when the key of an add-key instruction is valid."""
    begin, end = (
        None if second is None else datetime.fromtimestamp(int(str(second)), UTC)
        for second in (instruction.terms["valid_from"], instruction.terms["valid_until"])
    )
    assert begin is not None, "the form of an instruction demands it"
    return begin, end


def event_facts(event: ResolutionEvent) -> dict[str, object]:
    """What the records say of an event."""
    names = ("event_id", "event_no", "accounts_partitioned", "total_frozen_amount", "total_available_amount")
    return {name: getattr(event, name) for name in (*names, "replayed")}


def told(desk: Desk, event_type: str, result: Mapping[str, Any]) -> int:
    """What changed about a key, to the caller and as one log line."""
    desk.log(event_type, **result)
    desk.session.emit(result, lines(result))
    return 0


def told_event(desk: Desk, name: str, event: ResolutionEvent) -> int:
    """An event of the record, to the caller and as one log line."""
    from neonctl.banking.resolution_record import shown
    from neonctl.cli.obr_status import flat

    desk.log(name, **event_facts(event))
    result = shown(event)
    said: dict[str, Any] = result["metadata"]
    facts = {key: value for key, value in result.items() if value is not None and key not in _FOR_MACHINES}
    facts |= flat({key: said[key] for key in ("released", "permanent_haircut") if key in said})
    desk.session.emit(result, lines(facts))
    return 0


_FOR_MACHINES = frozenset({"request_hash", "db_user", "trace_id", "correlation_id", "metadata"})
