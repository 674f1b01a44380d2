"""hold create | release | list | sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import Desk, Environment, IdempotencyKey, document, lines
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "hold", "Holds: money set aside until it is captured, released, or the hold expires.")
    command(group, "create")(hold_create)
    command(group, "release")(hold_release)
    command(group, "list")(hold_list)
    command(group, "sweep")(hold_sweep)


def hold_create(
    session: Session,
    env: Environment,
    account: Annotated[str, typer.Argument(help="Account id")],
    amount: Annotated[str, typer.Option("--amount", help="Amount, for example 5.00")],
    idempotency_key: IdempotencyKey,
    ttl: Annotated[str, typer.Option("--ttl", help="How long it lasts: 90s, 15m, 24h, 7d")] = "24h",
    payment_id: Annotated[str | None, typer.Option("--payment-id", help="The payment that it is for")] = None,
) -> int:
    """Set an amount aside on an account: never more than is available."""
    from neonctl.banking.holds import create_hold
    from neonctl.banking.moments import parse_duration
    from neonctl.banking.money import parse_amount
    from neonctl.banking.statement import parse_id

    account_id, value, lasting = parse_id(account, "an account"), parse_amount(amount), parse_duration(ttl)
    desk = Desk(session, env, "hold create")
    details = {"amount": amount, "idempotency_key": idempotency_key}
    with desk.changing("hold.create", f"{env}/bank_core/{account_id}", details) as change:
        hold = change.commit(
            lambda: create_hold(
                change.conn,
                account_id,
                value,
                idempotency_key=idempotency_key,
                ttl=lasting,
                payment_id=payment_id,
                trace=desk.trace,
            ),
            document,
        )
        desk.log("hold_created", account_id=account_id, **document(hold))
    result = document(hold)
    session.emit(result, lines(result))
    return 0


def hold_release(
    session: Session,
    env: Environment,
    hold: Annotated[str, typer.Argument(help="Hold id")],
    reason: Annotated[str, typer.Option("--reason", help="Why: upper case letters and underscores, as in CAPTURED")],
) -> int:
    """Give back what a hold set aside. Once: later calls say when and why it was."""
    from neonctl.banking.holds import release_hold
    from neonctl.banking.statement import parse_id

    hold_id = parse_id(hold, "a hold")
    desk = Desk(session, env, "hold release")
    with desk.changing("hold.release", f"{env}/bank_core/{hold_id}", {"reason": reason}) as change:
        over = change.commit(lambda: release_hold(change.conn, hold_id, reason, trace=desk.trace), document)
        desk.log("hold_released", **document(over))
    result = document(over)
    session.emit(result, lines(result))
    return 0


def hold_list(
    session: Session,
    env: Environment,
    account: Annotated[str | None, typer.Argument(help="Account id [default: all accounts]")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also those released or expired")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, newest first")] = 1000,
) -> int:
    """List holds that count now; with --ended the others, too."""
    from neonctl.banking.holds import list_holds
    from neonctl.banking.statement import parse_id
    from neonctl.cli.table import table

    account_id = None if account is None else parse_id(account, "an account")
    with Desk(session, env, "hold list").reading() as conn:
        found = list_holds(conn, account_id, ended=ended, limit=limit)
    holds = [document(each) for each in found]
    columns = ("hold_id", "account_id", "amount", "expires_at", "release_reason")
    rows = [[str(each[column] or "-") for column in columns] for each in holds]
    header = [column.replace("_", " ") for column in columns]
    session.emit({"holds": holds}, table(header, rows) if rows else "no holds")
    return 0


def hold_sweep(session: Session, env: Environment) -> int:
    """Release holds that have expired. Book-keeping: they have not counted since the instant they expired."""
    from neonctl.banking.holds import sweep_holds

    desk = Desk(session, env, "hold sweep")
    swept = 0
    with desk.changing("hold.sweep", f"{env}/bank_core") as change:
        for batch in sweep_holds(
            change.conn, record=lambda holds: change.record({"hold_ids": [hold.hold_id for hold in holds]})
        ):
            swept += len(batch)
            change.noted["swept"] = str(swept)
            for hold in batch:
                desk.log("hold_expired", **document(hold))
    session.emit({"swept": swept}, f"{swept} expired holds released")
    return 0
