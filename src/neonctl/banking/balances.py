"""Balances: live, of all accounts of a party, and reconstructed at a moment (FR-055, FR-056, FR-432). One query each.

A balance is the account's and all its shards'. ``held``: what unexpired holds set aside, expired ones counting no
more from the instant they expire. ``available_balance`` = balance - held; an overdraft is not part of it. While a
resolution is activated it is what the customer may use: what is not frozen, less the holds, never below zero; at a
moment of the past, as the resolution stood then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import Currency, Status
from neonctl.banking.moments import show_moment
from neonctl.banking.statement import KeptQuery, not_found, prepares, row, rows
from neonctl.errors import NeonctlError
from neonctl.frozen import filling


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


_party_account = filling(PartyAccount)


@dataclass(frozen=True)
class PastBalance:
    """An account's money as it was at ``as_of``, replayed from the log.

    ``log_seq``: rows of the log up to then. ``replayed_rows``: how many of them were summed up, from the last
    end-of-day snapshot on and never more than the last thousand of an account. ``stated``: what the last of them says
    the balance was. ``live``: the account's balance now when nothing has happened since ``as_of``, else None.
    ``differences`` says in words what does not agree; empty when all does.
    """

    account_id: UUID
    currency: Currency
    balance: Decimal
    available_balance: Decimal
    held: Decimal
    version: int
    as_of: datetime
    log_seq: int
    replayed_rows: int
    stated: Decimal
    live: Decimal | None
    differences: tuple[str, ...]


@dataclass(frozen=True)
class _Sum:
    balance: Decimal


@dataclass(frozen=True)
class _PastRow:
    account_id: UUID
    currency: Currency
    balance: Decimal
    held: Decimal
    stated: Decimal
    log_seq: int
    replayed_rows: int
    missing: int
    live_balance: Decimal
    version: int
    opened_at: datetime
    now: datetime
    latest: bool
    frozen: Decimal | None


class BalanceReader:
    """Balances over one connection, many times: the cursor is kept, the query is built once.

    Not for several threads at once. Where the connection may prepare, Postgres plans it once as well; where it may not,
    as through a pooler, a function in the database keeps the plan.
    """

    def __init__(self, conn: psycopg.Connection[TupleRow]) -> None:
        self._conn = conn
        one = "get" if prepares(conn) else "get_planned"
        self._one = KeptQuery(conn, "balances", one, doing="reading a balance")
        self._of_party = KeptQuery(conn, "balances", "by_party", doing="reading a party's balances")

    def get(self, account_id: UUID) -> Balance:
        """The balance of one account, in one round trip (two for a hot account that is spread over shards).

        Raises ``NeonctlError`` ACCOUNT_NOT_FOUND.
        """
        found = self._one.rows(account_id)
        if not found or found[0][0] is None:  # the function gives a row of nothing
            raise not_found("ACCOUNT_NOT_FOUND", "account", account_id)
        currency, balance, held, version, as_of, shards, unfrozen = found[0]
        if shards is not None:
            balance += self._booked_on(account_id, shards)
        return Balance(account_id, currency, balance, _usable(balance, held, unfrozen), held, version, as_of)

    def by_party(self, party_id: UUID) -> tuple[PartyAccount, ...]:
        """The balances of all accounts that a party is related to today, oldest account first; () for none."""
        found = self._of_party.rows(party_id)
        if not found:
            return ()
        as_of: datetime = found[0][9]  # one moment for all: writing it out and reading it for each costs a tenth
        return tuple(
            _party_account(
                account,
                number,
                role,
                share,
                status,
                currency,
                balance,
                _usable(balance, held, unfrozen),
                held,
                version,
                as_of,
            )
            for account, number, role, share, status, currency, balance, held, version, _, unfrozen in found
        )

    def _booked_on(self, account_id: UUID, shards: list[UUID]) -> Decimal:
        parameters = {"account_id": account_id, "shards": shards}
        return row(self._conn, "balances", "shards", _Sum, parameters, doing="reading a balance").balance


def get_balance(conn: psycopg.Connection[TupleRow], account_id: UUID) -> Balance:
    """The balance of one account. Raises ``NeonctlError`` ACCOUNT_NOT_FOUND. For many, keep a ``BalanceReader``."""
    return BalanceReader(conn).get(account_id)


def balances_by_party(conn: psycopg.Connection[TupleRow], party_id: UUID) -> tuple[PartyAccount, ...]:
    """The balances of a party's accounts, as ``BalanceReader.by_party`` gives them. For many, keep such a reader."""
    return BalanceReader(conn).by_party(party_id)


def balance_at(conn: psycopg.Connection[TupleRow], account_id: UUID, moment: datetime | None) -> PastBalance:
    """The balance of an account at ``moment`` (None: now), by replaying the log from the snapshot before it (FR-056).

    Raises ``NeonctlError`` ACCOUNT_NOT_FOUND, ACCOUNT_NOT_OPEN_YET, MOMENT_AHEAD.
    """
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
        available_balance=_usable(past.balance, past.held, _unfrozen(past)),
        held=past.held,
        version=past.version,
        as_of=as_of,
        log_seq=past.log_seq,
        replayed_rows=past.replayed_rows,
        stated=past.stated,
        live=past.live_balance if past.latest or moment is None else None,
        differences=tuple(_differences(past, now=moment is None)),
    )


def _usable(balance: Decimal, held: Decimal, unfrozen: Decimal | None) -> Decimal:
    """``unfrozen``: what a resolution leaves of the balance, None where the account takes part in none."""
    return balance - held if unfrozen is None else max(unfrozen - held, Decimal("0.00"))


def _unfrozen(past: _PastRow) -> Decimal | None:
    return None if past.frozen is None else max(past.balance - past.frozen, Decimal("0.00"))


def _differences(past: _PastRow, *, now: bool) -> list[str]:
    found: list[str] = []
    if past.missing:
        found.append(f"{past.missing} rows are missing in the part of the log that was replayed")
    if past.balance != past.stated:
        found.append(f"the log's entries sum to {past.balance}, its last row says {past.stated}")
    if now and not past.latest:
        found.append(f"the log has {past.log_seq} rows, the account has moved another number of times")
    if (past.latest or now) and past.balance != past.live_balance:
        found.append(f"the log's entries sum to {past.balance}, the account says {past.live_balance}")
    return found
