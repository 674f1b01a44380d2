"""Accounts: opened with their holders, looked at, and what they may do (MOD-001)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, cast
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.money import check_amount
from neonctl.banking.statement import Trace, not_found, row, rows
from neonctl.errors import UsageError

Currency = Literal["NZD", "AUD"]
Jurisdiction = Literal["NZ", "AU"]
Status = Literal["PENDING", "ACTIVE", "RESTRICTED", "DORMANT", "CLOSED"]

NO_TRACE = Trace()
_SHARE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?")


@dataclass(frozen=True)
class Holder:
    """A party that holds an account. ``share``: percent of the balance; None: equal shares."""

    party_id: UUID
    share: Decimal | None = None


@dataclass(frozen=True)
class NewAccount:
    """What is asked for. Holders have shares either all or none; an internal account has no holders."""

    currency: Currency
    jurisdiction: Jurisdiction
    holders: Sequence[Holder] = ()
    internal: bool = False
    overdraft_limit: Decimal = Decimal("0.00")
    product_code: str | None = None
    account_number: str | None = None
    status: Status = "ACTIVE"


@dataclass(frozen=True)
class OpenedAccount:
    """The account that a request opened; ``replayed``: it had been opened under this key before."""

    account_id: UUID
    account_number: str
    replayed: bool


@dataclass(frozen=True)
class Party:
    """How a party is related to an account."""

    party_id: UUID
    role: str
    balance_share_pct: Decimal | None


@dataclass(frozen=True)
class Account:
    """An account as it stands. ``shards``: how many accounts a hot internal account is spread over."""

    account_id: UUID
    account_number: str
    product_code: str
    currency: Currency
    jurisdiction: Jurisdiction
    status: Status
    restriction_reason: str | None
    is_internal: bool
    overdraft_limit: Decimal
    allows_debit: bool
    allows_credit: bool
    version: int
    opened_at: datetime
    last_posted_at: datetime | None
    shards: int
    parties: tuple[Party, ...]


@dataclass(frozen=True)
class Standing:
    """What an account may do after a change; ``changed``: whether it could do something else before."""

    account_id: UUID
    status: Status
    restriction_reason: str | None
    version: int
    changed: bool


@dataclass(frozen=True)
class _AccountRow:
    account_id: UUID
    account_number: str
    product_code: str
    currency: Currency
    jurisdiction: Jurisdiction
    status: Status
    restriction_reason: str | None
    is_internal: bool
    overdraft_limit: Decimal
    allows_debit: bool
    allows_credit: bool
    version: int
    opened_at: datetime
    last_posted_at: datetime | None
    shards: int
    party_ids: list[UUID]
    party_roles: list[str]
    party_shares: list[Decimal | None]


def parse_share(text: str) -> Decimal:
    """A share in percent: above 0, up to 100, at most four decimals. Raises ``UsageError`` SHARES_INVALID."""
    if _SHARE.fullmatch(text) and 0 < Decimal(text) <= 100:
        return Decimal(text)
    raise UsageError(
        "SHARES_INVALID",
        f"{text!r:.40} is not a share",
        hint="shares are percentages that sum to 100, for example 50 or 33.3334",
    )


def open_account(
    conn: psycopg.Connection[TupleRow],
    asked: NewAccount,
    *,
    idempotency_key: str | None = None,
    trace: Trace = NO_TRACE,
) -> OpenedAccount:
    """Open an account with its holders. The same key and request give the first answer again.

    Raises ``NeonctlError`` IDEMPOTENCY_KEY_REUSED, ACCOUNT_NUMBER_TAKEN; ``UsageError`` SHARES_INVALID, SHARES_NOT_100,
    AMOUNT_INVALID, IDEMPOTENCY_KEY_INVALID, VALUE_REFUSED.
    """
    shares = [holder.share for holder in asked.holders]
    parameters: dict[str, object] = {
        "currency": asked.currency,
        "jurisdiction": asked.jurisdiction,
        "party_ids": [holder.party_id for holder in asked.holders],
        "shares": None if all(share is None for share in shares) else shares,
        "is_internal": asked.internal,
        "overdraft_limit": check_amount(asked.overdraft_limit, zero=True),
        "idempotency_key": idempotency_key,
        "product_code": asked.product_code,
        "account_number": asked.account_number,
        "status": asked.status,
        **trace.values(),
    }
    return row(conn, "accounts", "open", OpenedAccount, parameters, doing="opening an account")


def read_account(conn: psycopg.Connection[TupleRow], account_id: UUID) -> Account:
    """An account with its parties. Raises ``NeonctlError`` ACCOUNT_NOT_FOUND."""
    found = rows(conn, "accounts", "read", _AccountRow, {"account_id": account_id}, doing="reading an account")
    if not found:
        raise not_found("ACCOUNT_NOT_FOUND", "account", account_id)
    facts = dict(vars(found[0]))
    people = zip(facts.pop("party_ids"), facts.pop("party_roles"), facts.pop("party_shares"), strict=True)
    parties = tuple(Party(cast("UUID", who), cast("str", role), share) for who, role, share in people)
    return Account(**facts, parties=parties)


def set_status(
    conn: psycopg.Connection[TupleRow],
    account_id: UUID,
    status: Status,
    *,
    restriction_reason: str | None = None,
    trace: Trace = NO_TRACE,
) -> Standing:
    """Change what an account may do; without a reason, one it had is lifted.

    Raises ``NeonctlError`` ACCOUNT_NOT_FOUND, STATUS_TRANSITION_REFUSED, ACCOUNT_NOT_EMPTY.
    """
    parameters = {
        "account_id": account_id,
        "status": status,
        "restriction_reason": restriction_reason,
        **trace.values(),
    }
    return row(conn, "accounts", "set_status", Standing, parameters, doing="changing an account's standing")
