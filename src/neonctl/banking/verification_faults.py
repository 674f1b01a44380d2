"""What exactly is wrong where a query found that something is: the first row, by its name (FR-427)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from neonctl.banking.chain import ZERO_HASH, Fault, Head, HoldRow, LogRow, first_fault
from neonctl.banking.statement import row, rows
from neonctl.banking.verification_sessions import DOING, Connection


@dataclass(frozen=True)
class Heads:
    """Where the account itself says that its chains end."""

    log_seq: int
    log_head: bytes
    balance: Decimal
    currency: str
    hold_seq: int
    hold_head: bytes


@dataclass(frozen=True)
class _Base:
    seq: int
    head: bytes
    balance: Decimal | None
    hold_seq: int
    hold_head: bytes


@dataclass(frozen=True)
class _Legs:
    headers: int
    only_posted: list[int]
    only_logged: list[int]
    different: list[int]


def log_fault(conn: Connection, account: UUID, since: int) -> Fault:
    """The first wrong row of an account's log after the seal ``since``."""
    start, end = _ends(conn, account, since)
    found = rows(conn, "verify_account", "account_log", LogRow, {"account_id": account, "seq": start.seq}, doing=DOING)
    head = None if end is None else Head(end.log_seq, end.log_head, end.balance)
    begin = Head(start.seq, start.head, start.balance if start.seq else Decimal(0))
    for each in found:
        if end is not None and each.currency != end.currency:
            named = f"{account}/{each.seq}"
            return Fault(
                "altered",
                "core.transaction_log",
                named,
                f"row {named} is in {each.currency}, its account in {end.currency}",
            )
    return _fault(found, "core.transaction_log", begin, head, account)


def hold_fault(conn: Connection, account: UUID, since: int) -> Fault:
    """The first wrong row of an account's log of holds."""
    start, end = _ends(conn, account, since)
    parameters = {"account_id": account, "seq": start.hold_seq}
    found = rows(conn, "verify_account", "account_hold_log", HoldRow, parameters, doing=DOING)
    head = None if end is None else Head(end.hold_seq, end.hold_head)
    return _fault(found, "core.hold_log", Head(start.hold_seq, start.hold_head), head, account)


def _fault(
    found: Sequence[LogRow] | Sequence[HoldRow], table: str, start: Head, end: Head | None, account: UUID
) -> Fault:
    if end is None:
        return Fault("removed", "accounts.accounts", str(account), f"account {account} is gone, its rows are not")
    fault = first_fault(account, found, table=table, start=start, end=end)
    return fault or Fault("altered", table, str(account), f"the times of account {account} are not those of its chain")


def _ends(conn: Connection, account: UUID, since: int) -> tuple[_Base, Heads | None]:
    base = rows(conn, "verify_account", "account_base", _Base, {"account_id": account, "since": since}, doing=DOING)
    heads = rows(conn, "verify_account", "account_heads", Heads, {"account_id": account}, doing=DOING)
    start = base[0] if base else _Base(0, ZERO_HASH, Decimal(0), 0, ZERO_HASH)
    return start, heads[0] if heads else None


def transaction_fault(conn: Connection, transaction: UUID) -> Fault:
    """The first wrong leg of a transaction, or its header."""
    legs = row(conn, "verify_journal", "transaction_faults", _Legs, {"transaction_id": transaction}, doing=DOING)
    table, named = "accounts.postings", str(transaction)
    if not legs.headers:
        return Fault("removed", "accounts.transactions", named, f"transaction {named} has lost its header")
    if legs.only_posted:
        leg = f"{named}/{legs.only_posted[0]}"
        return Fault("inserted", table, leg, f"posting {leg} is not in the log")
    if legs.only_logged:
        leg = f"{named}/{legs.only_logged[0]}"
        return Fault("removed", table, leg, f"posting {leg} is gone, its row in the log is not")
    if legs.different:
        leg = f"{named}/{legs.different[0]}"
        return Fault("altered", table, leg, f"posting {leg} is not what the log says")
    return Fault("altered", "accounts.transactions", named, f"the header of transaction {named} is not what was posted")
