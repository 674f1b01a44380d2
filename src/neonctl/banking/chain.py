"""The hash chains of the ledger, byte for byte, and what is wrong with one that does not hold.

Written a second time, beside the SQL that checks millions of rows: it looks closely at the few that SQL complains of.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

ZERO_HASH: Final = bytes(32)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_CURRENCIES: Final = {"NZD": 1, "AUD": 2}
_EVENTS: Final = {"CREATED": 0, "RELEASED": 1}
_SIDES: Final = frozenset({"DEBIT", "CREDIT"})

FaultKind = Literal["altered", "removed", "inserted", "reordered", "balance"]


@dataclass(frozen=True)
class LogRow:
    """A row of core.transaction_log."""

    account_id: UUID
    seq: int
    transaction_id: UUID
    leg: int
    entry_type: str
    amount: Decimal
    currency: str
    balance_after: Decimal
    available_after: Decimal
    account_version: int
    posted_at: datetime
    transaction_hash: bytes
    prev_hash: bytes
    row_hash: bytes

    @property
    def signed(self) -> Decimal:
        """What the leg does to the balance."""
        return -self.amount if self.entry_type == "DEBIT" else self.amount

    def computed(self) -> bytes:
        """The hash that the row must have."""
        return hashlib.sha256(
            self.prev_hash
            + self.transaction_hash
            + self.account_id.bytes
            + self.transaction_id.bytes
            + _int(self.seq, 8)
            + _int((self.account_version << 32) + (_CURRENCIES.get(self.currency, 0) << 16) + self.leg, 8)
            + _numeric(self.signed)
            + _numeric(self.balance_after)
            + _numeric(self.available_after)
            + _microseconds(self.posted_at)
        ).digest()

    @property
    def possible(self) -> bool:
        """Whether a posting can say so: the hash is over the signed amount, which two sides could give."""
        return self.entry_type in _SIDES and (self.amount.is_nan() or self.amount > 0)

    def adds_up(self, before: Decimal) -> bool:
        """Whether the balance after it is the balance before it and its amount."""
        return self.balance_after == before + self.signed


@dataclass(frozen=True)
class HoldRow:
    """A row of core.hold_log."""

    account_id: UUID
    seq: int
    hold_id: UUID
    event: str
    amount: Decimal
    available_after: Decimal
    account_version: int
    expires_at: datetime
    recorded_at: datetime
    reason: str | None
    idempotency_key: str
    payment_id: str | None
    prev_hash: bytes
    row_hash: bytes

    def computed(self) -> bytes:
        """The hash that the row must have."""
        return hashlib.sha256(
            self.prev_hash
            + self.account_id.bytes
            + _int(self.seq, 8)
            + self.hold_id.bytes
            + _int((self.account_version << 1) + _EVENTS.get(self.event, 0), 8)
            + _numeric(self.amount)
            + _numeric(self.available_after)
            + _microseconds(self.expires_at)
            + _microseconds(self.recorded_at)
            + _texts(("", self.idempotency_key), ("r", self.reason), ("p", self.payment_id))
        ).digest()


@dataclass(frozen=True)
class Head:
    """Where a chain ends, or where checking begins: the row's number and hash; for the log the balance, too."""

    seq: int
    row_hash: bytes
    balance: Decimal | None = None


@dataclass(frozen=True)
class Fault:
    """The first row that is not as it was written. ``seq`` None: no row, but the account's own figure."""

    kind: FaultKind
    table: str
    row: str
    message: str


def first_fault(
    account: UUID, rows: Sequence[LogRow] | Sequence[HoldRow], *, table: str, start: Head, end: Head
) -> Fault | None:
    """What is wrong first with a chain, read in order of seq from behind ``start``; ``end``: what the account says."""
    before = start
    for position, row in enumerate(rows):
        named = f"{row.account_id}/{row.seq}"
        if row.seq != before.seq + 1:
            missing = f"{row.account_id}/{before.seq + 1}"
            return Fault("removed", table, missing, f"row {missing} is missing: after {before.seq} comes {row.seq}")
        if row.seq > end.seq:
            return Fault("inserted", table, named, f"row {named} is not the account's: it has seen {end.seq} rows")
        if row.computed() != row.row_hash:
            was = _other_place(row, rows)
            if was is not None:
                return Fault("reordered", table, named, f"row {named} was written as row {was} of its account")
            return Fault("altered", table, named, f"row {named} does not have the hash of its values")
        if row.prev_hash != before.row_hash:
            following = rows[position + 1] if position + 1 < len(rows) else None
            if following is not None and following.prev_hash == before.row_hash:
                return Fault("inserted", table, named, f"row {named} is not part of the chain, the row after it is")
            if before.seq == start.seq:
                return Fault("altered", table, named, f"row {named} does not follow what was there before")
            rewritten = f"{row.account_id}/{before.seq}"
            said = f"row {rewritten} was rewritten together with its hash: the row after it follows another one"
            return Fault("altered", table, rewritten, said)
        if isinstance(row, LogRow):
            if not row.possible:
                said = f"row {named}: {row.entry_type} of {row.amount} is no posting"
                return Fault("altered", table, named, said)
            if before.balance is not None and not row.adds_up(before.balance):
                said = f"row {named}: {before.balance} and {row.signed:+} are not {row.balance_after}"
                return Fault("altered", table, named, said)
            before = Head(row.seq, row.row_hash, row.balance_after)
        else:
            before = Head(row.seq, row.row_hash)
    return _wrong_end(account, table, before, end)


def _wrong_end(account: UUID, table: str, last: Head, end: Head) -> Fault | None:
    """A chain that holds, yet does not end where its account says."""
    if last.seq < end.seq:
        named = f"{account}/{last.seq + 1}"
        return Fault("removed", table, named, f"row {named} is missing: the account has seen {end.seq} rows")
    if last.row_hash != end.row_hash:
        named = f"{account}/{last.seq}"
        return Fault("altered", table, named, f"row {named} is not the one that the account saw last")
    if end.balance is not None and last.balance is not None and last.balance != end.balance:
        said = f"account {account} says {end.balance}, its log says {last.balance}"
        return Fault("balance", "accounts.accounts", str(account), said)
    return None


def _other_place(row: LogRow | HoldRow, rows: Iterable[LogRow | HoldRow]) -> int | None:
    """The seq under which the row's hash is right: somebody renumbered it."""
    for other in rows:
        if other.seq != row.seq and replace(row, seq=other.seq).computed() == row.row_hash:
            return other.seq
    return None


def _int(value: int, width: int) -> bytes:
    return value.to_bytes(width, "big", signed=True)


def _numeric(value: Decimal) -> bytes:
    """An amount with two decimals as PostgreSQL sends it: four decimal digits to each two bytes, none of them 0000 at
    an end; in front how many, the power of 10,000 of the first, the sign and the decimals."""
    if value.is_nan():
        return struct.pack("!hhHH", 0, 0, 0xC000, 0)
    cents = f"{abs(int(value.scaleb(2)))}00"  # four decimals
    padded = cents.zfill(-(-len(cents) // 4) * 4)
    groups = [int(padded[at : at + 4]) for at in range(0, len(padded), 4)]
    weight = len(groups) - 2
    while groups and groups[0] == 0:
        groups, weight = groups[1:], weight - 1
    while groups and groups[-1] == 0:
        groups = groups[:-1]
    sign = 0x4000 if groups and value < 0 else 0
    return struct.pack(f"!hhHH{len(groups)}h", len(groups), weight if groups else 0, sign, 2, *groups)


def _microseconds(moment: datetime) -> bytes:
    since = moment - _EPOCH
    return _int((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds, 8)


def _texts(*named: tuple[str, str | None]) -> bytes:
    """Texts with their lengths in front, after a letter where they may be missing; of none there is nothing."""
    return ":".join(f"{name}{len(text.encode())}:{text}" for name, text in named if text is not None).encode()


def seal_bytes(previous: bytes, numbers: Sequence[int], sealed_at: datetime, batch_hash: bytes) -> bytes:
    """What a seal is the hash of."""
    return previous + b"".join(_int(number, 8) for number in numbers) + _microseconds(sealed_at) + batch_hash
