"""obr activate | release | unwind | rearm: each one transaction, by the authority of signed documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import Desk, Environment, IdempotencyKey
from neonctl.cli.given_files import text_of
from neonctl.cli.obr_authority import (
    Act,
    Confirm,
    Emergency,
    InstructionFile,
    Officers,
    Reference,
    carry_out,
    event_facts,
    given_documents,
    told_event,
)
from neonctl.cli.options import command

if TYPE_CHECKING:
    from decimal import Decimal

    from neonctl.cli.session import Session


def register(group: typer.Typer) -> None:
    """Add the commands."""
    command(group, "activate")(obr_activate)
    command(group, "release")(obr_release)
    command(group, "unwind")(obr_unwind)
    command(group, "rearm")(obr_rearm)


def obr_activate(
    session: Session,
    env: Environment,
    haircut: Annotated[str, typer.Option("--haircut", help="Share of each balance that is frozen: 0.2500")],
    reference: Reference,
    idempotency_key: IdempotencyKey,
    de_minimis: Annotated[str, typer.Option("--de-minimis", help="Amount of each account left untouched")] = "0.00",
    equal_shares: Annotated[
        bool, typer.Option("--equal-shares", help="Joint holders count in equal parts, not by their shares")
    ] = False,
    instruction: InstructionFile = None,
    emergency: Emergency = False,
    officer: Officers = None,
    confirm: Confirm = None,
) -> int:
    """Split every customer's account into frozen and available, in one transaction (FR-634). Typed: activate-0.2500."""
    from neonctl.banking.money import parse_amount, show
    from neonctl.banking.resolution import Order, activate
    from neonctl.banking.signing.claims import canonical_haircut, parse_haircut

    share, untouched = parse_haircut(haircut), parse_amount(de_minimis, zero=True)
    given = given_documents(instruction, emergency, officer)
    asked = {
        "haircut": canonical_haircut(share),
        "de_minimis": show(untouched),
        "equal_shares": equal_shares,
        "reference": reference,
    }
    desk = Desk(session, env, "obr activate")
    done = carry_out(
        desk,
        Act("activate", f"activate-{canonical_haircut(share)}", asked, idempotency_key),
        given,
        confirm,
        lambda conn, authority: activate(
            conn,
            Order(reference, authority.texts, desk.scope, idempotency_key),
            haircut=share,
            de_minimis=untouched,
            equal_shares=equal_shares,
            trace=desk.trace,
        ),
        event_facts,
    )
    return told_event(desk, "obr_activated", done)


def obr_release(
    session: Session,
    env: Environment,
    percent: Annotated[str, typer.Option("--percent", help="Percent of what was frozen at activation: 10")],
    reference: Reference,
    idempotency_key: IdempotencyKey,
    instruction: InstructionFile = None,
    emergency: Emergency = False,
    officer: Officers = None,
    confirm: Confirm = None,
) -> int:
    """Free a tranche of what was frozen at activation; the resolution stays activated. Typed: release-10."""
    from neonctl.banking.resolution import Order, release
    from neonctl.banking.signing.claims import canonical_percent, parse_percent

    part = parse_percent(percent)
    given = given_documents(instruction, emergency, officer)
    desk = Desk(session, env, "obr release")
    done = carry_out(
        desk,
        Act(
            "release",
            f"release-{_short(part)}",
            {"percent": canonical_percent(part), "reference": reference},
            idempotency_key,
        ),
        given,
        confirm,
        lambda conn, authority: release(
            conn, Order(reference, authority.texts, desk.scope, idempotency_key), percent=part, trace=desk.trace
        ),
        event_facts,
    )
    return told_event(desk, "obr_released", done)


def obr_unwind(
    session: Session,
    env: Environment,
    reference: Reference,
    idempotency_key: IdempotencyKey,
    permanent_haircut: Annotated[
        Path | None, typer.Option("--permanent-haircut", help="JSON file, account id → amount that is lost for good")
    ] = None,
    instruction: InstructionFile = None,
    emergency: Emergency = False,
    officer: Officers = None,
    confirm: Confirm = None,
) -> int:
    """End the resolution: what is still frozen becomes available, what is lost for good is posted (FR-636)."""
    from neonctl.banking.haircuts import parse_haircuts
    from neonctl.banking.resolution import Order, unwind

    lost = (
        None if permanent_haircut is None else parse_haircuts(text_of(permanent_haircut), name=str(permanent_haircut))
    )
    given = given_documents(instruction, emergency, officer)
    asked = {"permanent_haircut_sha256": None if lost is None else lost.sha256, "reference": reference}
    desk = Desk(session, env, "obr unwind")
    done = carry_out(
        desk,
        Act("unwind", "unwind", asked, idempotency_key),
        given,
        confirm,
        lambda conn, authority: unwind(
            conn,
            Order(reference, authority.texts, desk.scope, idempotency_key),
            permanent_haircut=None if lost is None else lost.text,
            trace=desk.trace,
        ),
        event_facts,
    )
    return told_event(desk, "obr_unwound", done)


def obr_rearm(
    session: Session,
    env: Environment,
    reference: Reference,
    idempotency_key: IdempotencyKey,
    instruction: InstructionFile = None,
    emergency: Emergency = False,
    officer: Officers = None,
    confirm: Confirm = None,
) -> int:
    """After a resolution: back to pre-positioned, ready for the next one. Typed: rearm."""
    from neonctl.banking.resolution import Order, rearm

    given = given_documents(instruction, emergency, officer)
    desk = Desk(session, env, "obr rearm")
    done = carry_out(
        desk,
        Act("rearm", "rearm", {"reference": reference}, idempotency_key),
        given,
        confirm,
        lambda conn, authority: rearm(
            conn, Order(reference, authority.texts, desk.scope, idempotency_key), trace=desk.trace
        ),
        event_facts,
    )
    return told_event(desk, "obr_rearmed", done)


def _short(percent: Decimal) -> str:
    """As people say it: 10, 12.5."""
    return f"{percent.normalize():f}"
