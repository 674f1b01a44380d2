"""ledger post | reverse | verify | seal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import Desk, Environment, IdempotencyKey, document, lines
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neonctl.banking.posting import Leg
    from neonctl.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "ledger", "The ledger: double-entry posting, and proof that nobody changed it.")
    command(group, "post")(ledger_post)
    command(group, "reverse")(ledger_reverse)


def ledger_post(
    session: Session,
    env: Environment,
    idempotency_key: IdempotencyKey,
    debit: Annotated[str | None, typer.Option("--debit", help="Account that is lowered")] = None,
    credit: Annotated[str | None, typer.Option("--credit", help="Account that is raised")] = None,
    amount: Annotated[str | None, typer.Option("--amount", help="Amount, for example 12.34")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="JSON list of legs instead: account_id, entry_type, amount")
    ] = None,
    description: Annotated[str | None, typer.Option("--description", help="Kept with the transaction")] = None,
    posting_date: Annotated[
        str | None, typer.Option("--posting-date", help="Date [default: today in New Zealand]")
    ] = None,
    value_date: Annotated[str | None, typer.Option("--value-date", help="Date [default: the posting date]")] = None,
) -> int:
    """Post a transaction: one debit and one credit, or the legs of a file. All of it or nothing."""
    from neonctl.banking.moments import parse_date
    from neonctl.banking.posting import post

    legs = _legs(debit, credit, amount, file)
    booked = None if posting_date is None else parse_date(posting_date)
    valued = None if value_date is None else parse_date(value_date)
    desk = Desk(session, env, "ledger post")
    details = {"legs": str(len(legs)), "idempotency_key": idempotency_key}
    with desk.changing("ledger.post", f"{env}/bank_core", details) as (conn, noted):
        posted = post(
            conn,
            legs,
            idempotency_key=idempotency_key,
            posting_date=booked,
            value_date=valued,
            description=description,
            trace=desk.trace,
            on_retry=desk.retried,
        )
        noted["transaction_id"] = str(posted.transaction_id)
        desk.log("transaction_posted", **document(posted))
    result = document(posted)
    session.emit(result, lines(result))
    return 0


def ledger_reverse(
    session: Session,
    env: Environment,
    transaction: Annotated[str, typer.Argument(help="Transaction id")],
    idempotency_key: IdempotencyKey,
    description: Annotated[str | None, typer.Option("--description", help="Kept with the transaction")] = None,
) -> int:
    """Undo a transaction by its mirror image. Once, and never a reversal."""
    from neonctl.banking.posting import reverse
    from neonctl.banking.statement import parse_id

    transaction_id = parse_id(transaction, "a transaction")
    desk = Desk(session, env, "ledger reverse")
    details = {"idempotency_key": idempotency_key}
    with desk.changing("ledger.reverse", f"{env}/bank_core/{transaction_id}", details) as (conn, noted):
        posted = reverse(
            conn,
            transaction_id,
            idempotency_key=idempotency_key,
            description=description,
            trace=desk.trace,
            on_retry=desk.retried,
        )
        noted["transaction_id"] = str(posted.transaction_id)
        desk.log("transaction_reversed", reverses_transaction_id=transaction_id, **document(posted))
    result = {**document(posted), "reverses_transaction_id": str(transaction_id)}
    session.emit(result, lines(result))
    return 0


def _legs(debit: str | None, credit: str | None, amount: str | None, file: Path | None) -> Sequence[Leg]:
    """The legs of a file, or the two that the options name."""
    from neonctl.banking.money import parse_amount
    from neonctl.banking.posting import parse_legs, transfer
    from neonctl.banking.statement import parse_id
    from neonctl.errors import UsageError

    if file is not None:
        if debit is not None or credit is not None or amount is not None:
            raise UsageError("USAGE", "--file has the legs: give it without --debit, --credit and --amount")
        return parse_legs(_text(file))
    if debit is None or credit is None or amount is None:
        raise UsageError("USAGE", "give --debit, --credit and --amount, or --file with the legs")
    return transfer(parse_id(debit, "an account"), parse_id(credit, "an account"), parse_amount(amount))


def _text(file: Path) -> str:
    from neonctl.errors import UsageError

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError("FILE_UNREADABLE", f"{file} cannot be read: {reason}") from None
