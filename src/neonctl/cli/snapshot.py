"""snapshot take | show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.bank import Desk, Environment, document, lines
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session

Jurisdiction = Annotated[Literal["NZ", "AU"], typer.Option("--jurisdiction", help="Whose end of day")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "snapshot", "End-of-day balances, per jurisdiction, as they were at the cutoff.")
    command(group, "take")(snapshot_take)
    command(group, "show")(snapshot_show)


def snapshot_take(
    session: Session,
    env: Environment,
    jurisdiction: Jurisdiction,
    date: Annotated[
        str | None, typer.Option("--date", help="Day [default: the last one whose cutoff has passed]")
    ] = None,
) -> int:
    """Record every account as it was at 23:55 of that day, on that jurisdiction's clock, however late this runs."""
    from neonctl.banking.moments import parse_date
    from neonctl.banking.snapshots import last_passed, take_snapshot

    day = None if date is None else parse_date(date)
    desk = Desk(session, env, "snapshot take")
    with desk.changing("snapshot.take", f"{env}/bank_core/{jurisdiction}") as change:
        taken = change.commit(
            lambda: take_snapshot(
                change.conn, jurisdiction, day or last_passed(change.conn, jurisdiction), trace=desk.trace
            ),
            lambda it: {"snapshot_date": it.snapshot_date, "accounts": it.accounts, "replayed": it.replayed},
        )
        desk.log("eod_snapshot_completed", **document(taken))
    result = document(taken)
    session.emit(result, lines({**result, "totals": _totals(result["totals"])}))
    return 0


def snapshot_show(
    session: Session,
    env: Environment,
    jurisdiction: Jurisdiction,
    date: Annotated[str | None, typer.Option("--date", help="Day [default: the last that was taken]")] = None,
    account: Annotated[str | None, typer.Option("--account", help="One account's figures of that day")] = None,
) -> int:
    """Show a day's run, or what it recorded of one account."""
    from neonctl.banking.moments import parse_date
    from neonctl.banking.snapshots import read_run, read_snapshot
    from neonctl.banking.statement import parse_id

    day = None if date is None else parse_date(date)
    account_id = None if account is None else parse_id(account, "an account")
    with Desk(session, env, "snapshot show").reading() as conn:
        run = read_run(conn, jurisdiction, day)
        one = None if account_id is None else read_snapshot(conn, account_id, run.snapshot_date)
    if one is not None:
        result = document(one)
        session.emit(result, lines(result))
    else:
        result = document(run)
        session.emit(result, lines({**result, "totals": _totals(result["totals"])}))
    return 0


def _totals(totals: dict[str, dict[str, object]]) -> str:
    said = [
        f"{each['balance']} {currency} in {each['accounts']} accounts, {each['held']} held"
        for currency, each in sorted(totals.items())
    ]
    return "; ".join(said) or "-"
