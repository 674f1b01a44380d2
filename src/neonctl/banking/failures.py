"""What the ledger in the database refuses, as neonctl errors, and trying again where that helps.

The database names each refusal by a code of its own (SQLSTATE class NB, the code in the constraint's name): it is the
error's code here. Exit 1, but 64 where the request itself was malformed, and 75 where the same one may succeed later.

LEDGER_MISSING            1   the database has no ledger, or an older one than this program needs
CONCURRENT_MODIFICATION  75   also for deadlocks and serialization failures, after the retries
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import psycopg
from psycopg import pq

from neonctl.errors import NeonctlError, RetryableError, UsageError
from neonctl.postgres import failures as postgres_failures

T = TypeVar("T")

RETRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.02
_MOVED: Final = "CONCURRENT_MODIFICATION"
_AGAIN = "run the same command again, with the same idempotency key"
_ONCE = frozenset({"40001", "40P01"})
_MISSING = frozenset({"42P01", "42883", "42703", "3F000", "42704"})

#: What to do about each refusal of the database.
_HINTS: Mapping[str, str | None] = MappingProxyType(
    {
        "UNBALANCED_TRANSACTION": "debits and credits must be equal in each currency",
        "INCOMPLETE_TRANSACTION": "a transaction has two legs or more, each with account, entry type and amount",
        "INSUFFICIENT_FUNDS": "`neonctl balance get` shows what is available; holds count against it",
        "ACCOUNT_NOT_FOUND": None,
        "ACCOUNT_PENDING": "`neonctl account set-status` makes it ACTIVE",
        "ACCOUNT_RESTRICTED": "`neonctl account show` says why",
        "ACCOUNT_FROZEN": "`neonctl account show` says why",
        "NOTICE_PENDING": "`neonctl account show` says why",
        "ACCOUNT_DORMANT": "`neonctl account set-status` wakes it up",
        "ACCOUNT_CLOSED": None,
        "CURRENCY_MISMATCH": "a leg has the currency of its account",
        "IDEMPOTENCY_KEY_REUSED": "this key stands for another request: choose a new one, or send the first request",
        "TRANSACTION_NOT_FOUND": None,
        "ALREADY_REVERSED": None,
        "REVERSAL_OF_REVERSAL": "post what is meant as a transaction of its own",
        "REVERSAL_MISMATCH": None,
        "HOLD_NOT_FOUND": None,
        "HOLD_ALREADY_RELEASED": None,
        "APPEND_ONLY": "corrections are reversals",
        "LEDGER_MANAGED": None,
        "STATUS_TRANSITION_REFUSED": "CLOSED is final, and PENDING is left for ACTIVE or CLOSED",
        "ACCOUNT_NOT_EMPTY": "move the balance away and release the holds first",
        "OBR_FROZEN_BALANCE": "`neonctl balance get` shows what may be spent while the resolution lasts",
        "OBR_STATE_TABLE_EMPTY": "restore the row from a backup: no migration and no command removes it",
        "OBR_STATE_MANAGED": "`neonctl obr` moves it, by an instruction",
        "OBR_TRANSITION_REFUSED": "`neonctl obr status` says where the bank stands",
        "ALREADY_ACTIVATED": "`neonctl obr status` shows the activation",
        "OBR_NOT_PRE_POSITIONED": "after a resolution, `neonctl obr rearm`",
        "OBR_NOT_ACTIVATED": "`neonctl obr status` says where the bank stands",
        "OBR_NOT_RESOLVED": "`neonctl obr status` says where the bank stands",
        "OBR_JURISDICTION_UNSUPPORTED": "only New Zealand's regime exists here",
        "OBR_SHARES_NOT_100": "correct the holders of the accounts listed, or have equal shares ordered",
        "OBR_RELEASE_EXCEEDS_FROZEN": "percentages are of what was frozen at activation; together they are 100 at most",
        "OBR_WRITE_OFF_INVALID": "correct the file and have it confirmed anew; the details name the accounts",
        "READ_COMMITTED_REQUIRED": "set default_transaction_isolation back to read committed",
        "OBR_OFFICER_ONLY": "log in as bank_core_resolution_officer",
        "OBR_KEY_EXISTS": None,
        "OBR_KEY_UNKNOWN": "`neonctl obr keys list`",
        "OBR_LAST_OFFICERS": "register another officer's key first",
        "OBR_INSTRUCTION_MISSING": "have it signed: `neonctl obr sign` writes the documents",
        "OBR_INSTRUCTION_PAYLOADS_DIFFER": "both officers sign the same file",
        "OBR_INSTRUCTION_SAME_OFFICER": "two different officers sign",
        "OBR_INSTRUCTION_KEY_UNKNOWN": "`neonctl obr keys list` shows the keys that are registered",
        "OBR_INSTRUCTION_KEY_REVOKED": "have another one signed, with a key that is valid",
        "OBR_INSTRUCTION_KEY_EXPIRED": "have another one signed, with a key that is valid",
        "OBR_INSTRUCTION_KEY_NOT_YET_VALID": "have another one signed, with a key that is valid",
        "OBR_INSTRUCTION_KEY_WRONG_KIND": "the regulator signs, or in an emergency two officers",
        "OBR_INSTRUCTION_WRONG_ACTION": "have another one signed",
        "OBR_INSTRUCTION_MISMATCH": "give the command what the document says, or have another one signed",
        "OBR_INSTRUCTION_NOT_YET_VALID": "wait until then, or have another one signed",
        "OBR_INSTRUCTION_EXPIRED": "have another one signed",
        "OBR_INSTRUCTION_REPLAYED": "an instruction is used once: `neonctl obr events` shows for what",
        "SNAPSHOT_TOO_EARLY": "the day's cutoff, 23:55 of the jurisdiction's wall clock, has not passed",
    }
)
#: Requests that no state of the ledger could make right: wrong usage.
_MALFORMED: Mapping[str, str | None] = MappingProxyType(
    {
        "AMOUNT_INVALID": "write it as 12.34: positive, at most two decimals",
        "IDEMPOTENCY_KEY_INVALID": "1 to 200 bytes, not only spaces",
        "HOLD_INVALID": "a hold lasts up to 366 days; reasons are upper case letters and underscores",
        "SHARES_NOT_100": "the holders' shares are percentages that sum to 100",
        "SHARES_INVALID": "customer accounts have different parties with a share each, internal ones have none",
        "JURISDICTION_UNKNOWN": "known are NZ and AU",
        "REASON_INVALID": "upper case letters and underscores; docs/concepts/ledger.md has the table",
        "SHARDS_INVALID": None,
        "DATE_INVALID": None,
        "SNAPSHOT_DATE_INVALID": "the day is one from 2000-01-01 on",
        "OBR_INSTRUCTION_INVALID": "`neonctl obr sign` writes one",
        "OBR_REQUEST_INVALID": "a haircut reads 0.2500, a percentage 12.50, an amount 12.34",
        "OBR_KEY_INVALID": "`neonctl obr keys generate` makes one",
    }
)
_LATER: Mapping[str, str] = MappingProxyType(
    {
        _MOVED: _AGAIN,
        "SNAPSHOT_NOT_READY": "postings from before the cutoff are still running: try again in a moment",
        "OUTBOX_RELAY_BUSY": "another relay is at work; it does what this one would",
    }
)
#: Constraints that speak for themselves, by name.
_CONSTRAINTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "chk_idempotency_key": ("IDEMPOTENCY_KEY_INVALID", "the idempotency key is empty or too long"),
        "chk_reason_code": ("REASON_INVALID", "a restriction is named by a code, such as FROZEN"),
        "chk_jurisdiction_code": ("JURISDICTION_UNKNOWN", "there is no such jurisdiction"),
        "chk_book_date": ("DATE_INVALID", "a posting or value date is from 1900-01-01 to 9999-12-31"),
        "chk_positive_amount": ("AMOUNT_INVALID", "an amount is positive and has two decimals"),
        "chk_not_negative_amount": ("AMOUNT_INVALID", "a limit is not negative and has two decimals"),
    }
)


def translate(error: psycopg.Error, doing: str) -> NeonctlError:
    """The neonctl error for ``error``, met while ``doing`` (``"posting a transaction"``)."""
    state, code = error.sqlstate or "", error.diag.constraint_name or ""
    said = error.diag.message_primary or doing
    details: dict[str, object] = {"sqlstate": state}
    if error.diag.message_detail and state.startswith("NB"):
        details["detail"] = error.diag.message_detail
    if state in _ONCE:
        return RetryableError("CONCURRENT_MODIFICATION", f"{doing}: {said}", hint=_AGAIN, details=details)
    if state.startswith("NB") and code:
        return _refusal(code, said, details)
    if code == "uniq_accounts_account_number":
        return NeonctlError("ACCOUNT_NUMBER_TAKEN", "another account has this number", details=details)
    if code in _CONSTRAINTS:
        return _refusal(*_CONSTRAINTS[code], details)
    if state == "22003":
        hint = "no balance reaches 10000000000000000.00"
        return UsageError("AMOUNT_INVALID", f"{doing}: too large a number", hint=hint, details=details)
    if state[:2] in {"22", "23"}:
        return UsageError("VALUE_REFUSED", f"{doing}: {said}", details={**details, "constraint": code or None})
    if state in _MISSING:
        hint = "`neonctl migrate status` shows where the database stands, `neonctl migrate up` brings it up to date"
        return NeonctlError("LEDGER_MISSING", f"{doing}: {said}", hint=hint, details=details)
    return postgres_failures.translate(error, doing)


def _refusal(code: str, said: str, details: Mapping[str, object]) -> NeonctlError:
    if code in _LATER:
        return RetryableError(code, said, hint=_LATER[code], details=details)
    if code in _MALFORMED:
        return UsageError(code, said, hint=_MALFORMED[code], details=details)
    return NeonctlError(code, said, hint=_HINTS.get(code), details=details)


def retrying(
    conn: psycopg.Connection[tuple[object, ...]],
    attempt: Callable[[], T],
    *,
    on_retry: Callable[[int], object] | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """What ``attempt`` gives; tried again up to three times when somebody else's change came between (FR-430).

    Each time in a new transaction, so never while the caller has one open: then the caller must begin his anew.
    ``on_retry`` hears which retry begins. Raises what the last attempt raised.
    """
    for retry in range(RETRIES):
        try:
            return attempt()
        except RetryableError as moved:
            if moved.code != _MOVED or conn.closed or conn.info.transaction_status != pq.TransactionStatus.IDLE:
                raise
            if on_retry is not None:
                on_retry(retry + 1)
            pause(_FIRST_PAUSE_S * 2**retry * (0.5 + random.random()))  # noqa: S311  # spreads those who collided
    return attempt()
