"""balance get | by-party | at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import Desk, Environment, document, lines
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session

Account = Annotated[str, typer.Argument(help="Account id")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "balance", "Balances: live, of all accounts of a party, as they were.")
    command(group, "get")(balance_get)
    command(group, "by-party")(balance_by_party)
    command(group, "at")(balance_at)


def balance_get(session: Session, env: Environment, account: Account) -> int:
    """Show an account's live balance, what of it is held, and what is available."""
    from neonctl.banking.balances import get_balance
    from neonctl.banking.statement import parse_id

    account_id = parse_id(account, "an account")
    desk = Desk(session, env, "balance get")
    with desk.reading() as conn:
        result = document(get_balance(conn, account_id))
    desk.log("balance_query_served", account_id=account_id, version=result["version"])
    session.emit(result, lines(result))
    return 0


def balance_by_party(session: Session, env: Environment, party: Annotated[str, typer.Argument(help="Party id")]) -> int:
    """Show the live balances of all accounts that a party is related to."""
    from neonctl.banking.balances import balances_by_party
    from neonctl.banking.statement import parse_id
    from neonctl.cli.table import table

    party_id = parse_id(party, "a party")
    desk = Desk(session, env, "balance by-party")
    with desk.reading() as conn:
        found = balances_by_party(conn, party_id)
    desk.log("balance_multi_query_served", party_id=party_id, accounts=len(found))
    accounts = [document(each) for each in found]
    for shown, each in zip(accounts, found, strict=True):
        shown["balance_share_pct"] = None if each.balance_share_pct is None else f"{each.balance_share_pct:f}"
    columns = ("account_id", "role", "status", "currency", "balance", "available_balance", "held")
    rows = [[str(each[column]) for column in columns] for each in accounts]
    header = [column.replace("_", " ") for column in columns]
    session.emit({"party_id": str(party_id), "accounts": accounts}, table(header, rows) if rows else "no accounts")
    return 0


def balance_at(
    session: Session,
    env: Environment,
    account: Account,
    at: Annotated[str, typer.Option("--at", metavar="MOMENT", help="RFC 3339 with offset, or now")],
) -> int:
    """Reconstruct an account's balance from the log. Exit 1 when the log and the account's figures disagree."""
    from neonctl.banking.balances import balance_at as reconstructed
    from neonctl.banking.moments import parse_moment
    from neonctl.banking.statement import parse_id

    account_id = parse_id(account, "an account")
    moment = None if at == "now" else parse_moment(at)
    desk = Desk(session, env, "balance at")
    with desk.reading() as conn:
        found = reconstructed(conn, account_id, moment)
    result = {**document(found), "matches": not found.differences}
    desk.log("balance_reconstruction_served", account_id=account_id, matches=result["matches"])
    session.emit(result, lines({**result, "differences": "; ".join(found.differences) or None}))
    return 1 if found.differences else 0
