"""ledger post | reverse | verify | seal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import Desk, Environment, IdempotencyKey, document, lines, plain
from neonctl.cli.bank_text import progress_of, verification_text
from neonctl.cli.given_files import text_of
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neonctl.banking.posting import Leg
    from neonctl.banking.seals import NewSeal
    from neonctl.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "ledger", "The ledger: double-entry posting, and proof that nobody changed it.")
    command(group, "post")(ledger_post)
    command(group, "reverse")(ledger_reverse)
    command(group, "verify")(ledger_verify)
    command(group, "seal")(ledger_seal)


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
    with desk.changing("ledger.post", f"{env}/bank_core", details) as change:
        posted = change.commit(
            lambda: post(
                change.conn,
                legs,
                idempotency_key=idempotency_key,
                posting_date=booked,
                value_date=valued,
                description=description,
                trace=desk.trace,
            ),
            document,
        )
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
    with desk.changing("ledger.reverse", f"{env}/bank_core/{transaction_id}", details) as change:
        posted = change.commit(
            lambda: reverse(
                change.conn,
                transaction_id,
                idempotency_key=idempotency_key,
                description=description,
                trace=desk.trace,
            ),
            document,
        )
        desk.log("transaction_reversed", reverses_transaction_id=transaction_id, **document(posted))
    result = {**document(posted), "reverses_transaction_id": str(transaction_id)}
    session.emit(result, lines(result))
    return 0


def ledger_verify(
    session: Session,
    env: Environment,
    account: Annotated[str | None, typer.Option("--account", help="Only this account's chains")] = None,
    since: Annotated[
        int | None, typer.Option("--since", min=1, max=2**63 - 1, metavar="SEAL", help="Only what came after this seal")
    ] = None,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", help="A seal that was exported: it must still be what it was")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=32, help="Sessions that look side by side")] = 3,
) -> int:
    """Prove chains, journal, balances, holds and snapshots. Exit 1, naming the first wrong row of each."""
    from neonctl.banking.seals import parse_anchor
    from neonctl.banking.statement import parse_id
    from neonctl.banking.verification import Scope, verify_ledger

    scope = Scope(
        account=None if account is None else parse_id(account, "an account"),
        since=since or 0,
        anchor=None if anchor is None else parse_anchor(text_of(anchor)),
    )
    desk = Desk(session, env, "ledger verify")
    with progress_of(session) as progress:
        found = verify_ledger(desk.door("readonly"), scope, jobs=jobs, progress=progress)
    desk.log("ledger_verified", intact=found.intact, log_rows=found.log_rows, faults=len(found.faults))
    session.emit({**document(found), "intact": found.intact}, verification_text(found, scope))
    return 0 if found.intact else 1


def ledger_seal(
    session: Session,
    env: Environment,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the seal into this file: keep it outside of the database")
    ] = None,
) -> int:
    """Seal all chains as they stand. An exported seal later exposes even a complete rewrite (verify --anchor)."""
    from neonctl.banking.seals import anchor_text, seal_ledger
    from neonctl.errors import NeonctlError, UsageError

    desk = Desk(session, env, "ledger seal")
    with desk.changing("ledger.seal", f"{env}/bank_core") as change:

        def sealed() -> NewSeal:
            found = seal_ledger(change.conn, trace=desk.trace)
            if found is None:
                raise NeonctlError("NOTHING_TO_SEAL", "there is nothing to seal: there are no accounts yet")
            return found

        seal = change.commit(
            sealed,
            lambda it: {"seal_no": it.seal_no, "seal_hash": it.seal_hash.hex(), "created": it.created},
        )
        desk.log("ledger_sealed", seal_no=seal.seal_no, created=seal.created)
    if export is not None:
        try:
            export.write_text(anchor_text(seal), encoding="utf-8")
        except OSError as error:
            raise UsageError("OUTPUT_UNWRITABLE", f"{export} cannot be written: {error.strerror}") from None
    result = {key: value.hex() if isinstance(value, bytes) else value for key, value in vars(seal).items()}
    shown = {**plain(result), "export": None if export is None else str(export)}
    session.emit(shown, lines(shown))
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
        return parse_legs(text_of(file))
    if debit is None or credit is None or amount is None:
        raise UsageError("USAGE", "give --debit, --credit and --amount, or --file with the legs")
    return transfer(parse_id(debit, "an account"), parse_id(credit, "an account"), parse_amount(amount))
