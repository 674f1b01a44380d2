"""account open | show | set-status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.bank import Desk, Environment, document, lines
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.banking.accounts import Holder
    from neonctl.cli.session import Session

Account = Annotated[str, typer.Argument(help="Account id")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "account", "Accounts of the bank: opened, looked at, restricted, closed.")
    command(group, "open")(account_open)
    command(group, "show")(account_show)
    command(group, "set-status")(account_set_status)


def account_open(
    session: Session,
    env: Environment,
    currency: Annotated[Literal["NZD", "AUD"], typer.Option("--currency", help="Currency of the account")],
    jurisdiction: Annotated[
        Literal["NZ", "AU"], typer.Option("--jurisdiction", help="Whose law and whose end of day apply")
    ],
    party: Annotated[
        list[str] | None,
        typer.Option("--party", metavar="ID[:SHARE]", help="Holder with its share in percent; repeatable"),
    ] = None,
    internal: Annotated[bool, typer.Option("--internal", help="An account of the bank's own, without holders")] = False,
    overdraft: Annotated[str, typer.Option("--overdraft", help="How far a debit may go below zero")] = "0.00",
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Names this request: the same key never does it twice")
    ] = None,
) -> int:
    """Open an account. Without shares, several holders have equal ones."""
    from neonctl.banking.accounts import NewAccount, open_account
    from neonctl.banking.money import parse_amount

    wanted = NewAccount(
        currency=currency,
        jurisdiction=jurisdiction,
        holders=tuple(_holder(text) for text in party or ()),
        internal=internal,
        overdraft_limit=parse_amount(overdraft, zero=True),
    )
    desk = Desk(session, env, "account open")
    with desk.changing("account.open", f"{env}/bank_core") as change:
        opened = change.commit(
            lambda: open_account(change.conn, wanted, idempotency_key=idempotency_key, trace=desk.trace), document
        )
        desk.log("account_opened", account_id=opened.account_id, replayed=opened.replayed)
    result = document(opened)
    session.emit(result, lines(result))
    return 0


def account_show(session: Session, env: Environment, account: Account) -> int:
    """Show an account: its standing, its holders and their shares."""
    from neonctl.banking.accounts import read_account
    from neonctl.banking.statement import parse_id

    account_id = parse_id(account, "an account")
    with Desk(session, env, "account show").reading() as conn:
        found = read_account(conn, account_id)
    result = document(found)
    for shown, party in zip(result["parties"], found.parties, strict=True):
        shown["balance_share_pct"] = None if party.balance_share_pct is None else f"{party.balance_share_pct:f}"
    parties = ", ".join(
        f"{party['party_id']} {party['role']}"
        + (f" {party['balance_share_pct']} %" if party["balance_share_pct"] else "")
        for party in result["parties"]
    )
    session.emit(result, lines({**result, "parties": parties or None}))
    return 0


def account_set_status(
    session: Session,
    env: Environment,
    account: Account,
    status: Annotated[
        Literal["PENDING", "ACTIVE", "RESTRICTED", "DORMANT", "CLOSED"], typer.Option("--status", help="New status")
    ],
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Restriction, for example FROZEN or NOTICE_PENDING [default: none, or lifted]"),
    ] = None,
) -> int:
    """Change what an account may do. Closing needs an empty account, and is final."""
    from neonctl.banking.accounts import set_status
    from neonctl.banking.statement import parse_id

    account_id = parse_id(account, "an account")
    desk = Desk(session, env, "account set-status")
    details = {"status": status, **({"reason": reason} if reason else {})}
    with desk.changing("account.set-status", f"{env}/bank_core/{account_id}", details) as change:
        standing = change.commit(
            lambda: set_status(change.conn, account_id, status, restriction_reason=reason, trace=desk.trace), document
        )
        desk.log("account_status_changed", **document(standing))
    result = document(standing)
    session.emit(result, lines(result))
    return 0


def _holder(text: str) -> Holder:
    """``ID`` or ``ID:SHARE``."""
    from neonctl.banking.accounts import Holder, parse_share
    from neonctl.banking.statement import parse_id

    party, colon, share = text.partition(":")
    return Holder(parse_id(party, "a party"), parse_share(share) if colon else None)
