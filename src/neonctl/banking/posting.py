"""Double-entry posting: transactions of two legs or more, and their reversals (MOD-001)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, cast
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NO_TRACE, Currency
from neonctl.banking.failures import retrying
from neonctl.banking.money import check_amount, parse_amount
from neonctl.banking.statement import Trace, parse_id, row
from neonctl.errors import NeonctlError, UsageError

EntryType = Literal["DEBIT", "CREDIT"]


@dataclass(frozen=True)
class Leg:
    """One side of a transaction. A debit lowers the account, a credit raises it. ``currency`` None: the account's."""

    account_id: UUID
    entry_type: EntryType
    amount: Decimal
    currency: Currency | None = None


@dataclass(frozen=True)
class Posted:
    """The transaction of a request; ``replayed``: it had been posted under this key before."""

    transaction_id: UUID
    replayed: bool


def transfer(debit: UUID, credit: UUID, amount: Decimal) -> tuple[Leg, Leg]:
    """The two legs that move ``amount`` from one account to another."""
    return Leg(debit, "DEBIT", amount), Leg(credit, "CREDIT", amount)


def post(
    conn: psycopg.Connection[TupleRow],
    legs: Sequence[Leg],
    *,
    idempotency_key: str,
    posting_date: date | None = None,
    value_date: date | None = None,
    source_module: str = "MOD-001",
    description: str | None = None,
    trace: Trace = NO_TRACE,
    on_retry: Callable[[int], object] | None = None,
) -> Posted:
    """Post a transaction in one round trip: all of it or nothing.

    ``posting_date`` None: today in New Zealand; ``value_date`` None: the posting date. The same key and payload give
    the first answer again. Raises ``NeonctlError`` UNBALANCED_TRANSACTION, INSUFFICIENT_FUNDS, ACCOUNT_NOT_FOUND,
    CURRENCY_MISMATCH, IDEMPOTENCY_KEY_REUSED, what the accounts' standing forbids (ACCOUNT_CLOSED, ...);
    ``UsageError`` AMOUNT_INVALID; ``RetryableError`` CONCURRENT_MODIFICATION.
    """
    currencies = [leg.currency for leg in legs]
    if None in currencies and any(currencies):
        raise NeonctlError(
            "INCOMPLETE_TRANSACTION",
            "some legs say their currency and others do not",
            hint="say it for all of them, or for none: then each has its account's",
        )
    parameters: dict[str, object] = {
        "idempotency_key": idempotency_key,
        "account_ids": [leg.account_id for leg in legs],
        "entry_types": [leg.entry_type for leg in legs],
        "amounts": [check_amount(leg.amount) for leg in legs],
        "currencies": currencies if any(currencies) else None,
        "posting_date": posting_date,
        "value_date": value_date,
        "source_module": source_module,
        "description": description,
        **trace.values(),
    }

    def attempt() -> Posted:
        return row(conn, "posting", "post", Posted, parameters, doing="posting a transaction")

    return retrying(conn, attempt, on_retry=on_retry)


def reverse(
    conn: psycopg.Connection[TupleRow],
    transaction_id: UUID,
    *,
    idempotency_key: str,
    source_module: str = "MOD-001",
    description: str | None = None,
    trace: Trace = NO_TRACE,
    on_retry: Callable[[int], object] | None = None,
) -> Posted:
    """Undo a transaction by its mirror image: once. Raises ``NeonctlError`` TRANSACTION_NOT_FOUND, ALREADY_REVERSED,
    REVERSAL_OF_REVERSAL, and what ``post`` raises.
    """
    parameters: dict[str, object] = {
        "transaction_id": transaction_id,
        "idempotency_key": idempotency_key,
        "source_module": source_module,
        "description": description,
        **trace.values(),
    }

    def attempt() -> Posted:
        return row(conn, "posting", "reverse", Posted, parameters, doing="reversing a transaction")

    return retrying(conn, attempt, on_retry=on_retry)


def parse_legs(text: str) -> tuple[Leg, ...]:
    """Legs from JSON: ``[{"account_id", "entry_type", "amount": "12.34", "currency"?}, ...]``.

    Amounts are strings: a JSON number is a float to most programs. Raises ``UsageError`` LEGS_INVALID, ID_INVALID,
    AMOUNT_INVALID.
    """
    try:
        found: object = json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise _legs_invalid(f"not JSON: {error}") from None
    except RecursionError:
        raise _legs_invalid("not a list of legs") from None
    if not isinstance(found, list) or not found:
        raise _legs_invalid("not a list of legs")
    return tuple(_leg(number, entry) for number, entry in enumerate(cast("list[object]", found), 1))


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """A leg in which nothing stands twice: which amount would count?"""
    for position, (name, _) in enumerate(pairs):
        if any(name == other for other, _ in pairs[:position]):
            raise _legs_invalid(f"{name!r:.40} stands twice in a leg")
    return dict(pairs)


def _leg(number: int, entry: object) -> Leg:
    if not isinstance(entry, dict):
        raise _legs_invalid(f"leg {number} is not an object")
    fields = cast("dict[str, Any]", entry)
    wrong = fields.keys() - {"account_id", "entry_type", "amount", "currency"}
    if wrong:
        raise _legs_invalid(f"leg {number} has unknown keys: {', '.join(sorted(wrong))}")
    texts = {key: fields.get(key) for key in ("account_id", "entry_type", "amount")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise _legs_invalid(f"leg {number}: {key} must be a string")
    entry_type, currency = fields["entry_type"], fields.get("currency")
    if entry_type not in ("DEBIT", "CREDIT"):
        raise _legs_invalid(f"leg {number}: entry_type is DEBIT or CREDIT")
    if currency not in (None, "NZD", "AUD"):
        raise _legs_invalid(f"leg {number}: currency is NZD or AUD")
    return Leg(
        account_id=parse_id(fields["account_id"], "an account"),
        entry_type=entry_type,
        amount=parse_amount(fields["amount"]),
        currency=currency,
    )


def _legs_invalid(message: str) -> UsageError:
    return UsageError(
        "LEGS_INVALID",
        message,
        hint='legs read [{"account_id": "…", "entry_type": "DEBIT", "amount": "12.34"}, …]',
    )
