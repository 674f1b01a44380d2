"""Balances: live, of all accounts of a party, and reconstructed at a moment (FR-055, FR-056, FR-432). One query each.

A balance is the account's and all its shards'. ``held``: what unexpired holds set aside, expired ones counting no
more from the instant they expire. ``available_balance`` = balance - held; an overdraft is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import Currency, Status
from neonctl.banking.statement import not_found, rows


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's money at ``as_of``. ``version`` is the account's: whoever decides on this figure names it."""

    account_id: UUID
    currency: Currency
    balance: Decimal
    available_balance: Decimal
    held: Decimal
    version: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class PartyAccount:
    """One of a party's accounts. ``balance_share_pct``: the party's share of the balance, None unless it holds it."""

    account_id: UUID
    account_number: str
    role: str
    balance_share_pct: Decimal | None
    status: Status
    currency: Currency
    balance: Decimal
    available_balance: Decimal
    held: Decimal
    version: int
    as_of: datetime


@dataclass(frozen=True)
class PastBalance:
    """An account's money as it was at ``as_of``, replayed from the log.

    ``log_seq``: rows of the log up to then. ``stated``: what the last of them says the balance was. ``live``: the
    account's balance now when nothing has happened since ``as_of``, else None. ``differences`` says in words what does
    not agree; empty when all does.
    """

    account_id: UUID
    currency: Currency
    balance: Decimal
    available_balance: Decimal
    held: Decimal
    version: int
    as_of: datetime
    log_seq: int
    stated: Decimal
    live: Decimal | None
    differences: tuple[str, ...]


@dataclass(frozen=True)
class _PastRow:
    account_id: UUID
    currency: Currency
    balance: Decimal
    held: Decimal
    stated: Decimal
    log_seq: int
    live_balance: Decimal
    live_held: Decimal
    version: int
    opened_at: datetime
    now: datetime
    latest: bool


def get_balance(conn: psycopg.Connection[TupleRow], account_id: UUID) -> Balance:
    """The balance of one account. Raises ``NeonctlError`` ACCOUNT_NOT_FOUND."""
    found = rows(conn, "balances", "get", Balance, {"account_id": account_id}, doing="reading a balance")
    if not found:
        raise not_found("ACCOUNT_NOT_FOUND", "account", account_id)
    return found[0]


def balances_by_party(conn: psycopg.Connection[TupleRow], party_id: UUID) -> tuple[PartyAccount, ...]:
    """The balances of all accounts that a party is related to today, oldest account first; () for none."""
    found = rows(conn, "balances", "by_party", PartyAccount, {"party_id": party_id}, doing="reading a party's balances")
    return tuple(found)


def balance_at(conn: psycopg.Connection[TupleRow], account_id: UUID, moment: datetime | None) -> PastBalance:
    """The balance of an account at ``moment`` (None: now), by replaying the log.

    Raises ``NeonctlError`` ACCOUNT_NOT_FOUND, ACCOUNT_NOT_OPEN_YET, MOMENT_AHEAD.
    """
    from neonctl.banking.moments import show_moment
    from neonctl.errors import NeonctlError

    parameters = {"account_id": account_id, "moment": moment}
    found = rows(conn, "balances", "at", _PastRow, parameters, doing="reconstructing a balance")
    if not found:
        raise not_found("ACCOUNT_NOT_FOUND", "account", account_id)
    past = found[0]
    as_of = past.now if moment is None else moment
    if as_of > past.now:
        raise NeonctlError("MOMENT_AHEAD", f"{show_moment(as_of)} has not come yet")
    if as_of < past.opened_at:
        raise NeonctlError(
            "ACCOUNT_NOT_OPEN_YET",
            f"account {account_id} was opened at {show_moment(past.opened_at)}, after that moment",
        )
    return PastBalance(
        account_id=past.account_id,
        currency=past.currency,
        balance=past.balance,
        available_balance=past.balance - past.held,
        held=past.held,
        version=past.version,
        as_of=as_of,
        log_seq=past.log_seq,
        stated=past.stated,
        live=past.live_balance if past.latest else None,
        differences=tuple(_differences(past)),
    )


def _differences(past: _PastRow) -> list[str]:
    found: list[str] = []
    if past.balance != past.stated:
        found.append(f"the log's entries sum to {past.balance}, its last row says {past.stated}")
    if past.latest and past.balance != past.live_balance:
        found.append(f"the log's entries sum to {past.balance}, the account says {past.live_balance}")
    return found
