"""The file of permanent haircuts: what each account loses for good when a resolution ends (FR-636, MOD-143 11.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from neonctl.banking.money import parse_amount, show
from neonctl.banking.signing.strict_json import object_of
from neonctl.banking.statement import parse_id
from neonctl.errors import UsageError

_HINT: Final = 'it is a JSON object, account id → amount: {"0190c8a2-6c1e-7b3a-9d54-3f1f0a6b2c47": "12.34"}'


@dataclass(frozen=True)
class PermanentHaircuts:
    """Amounts by account, each above 0, and the text that says so: to the byte what the instruction is bound to."""

    text: str
    amounts: Mapping[UUID, Decimal]

    @property
    def sha256(self) -> str:
        """What an instruction names: SHA-256 of the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def parse_haircuts(text: str, *, name: str) -> PermanentHaircuts:
    """The haircuts in ``text``, the contents of the file ``name``.

    Raises ``UsageError`` HAIRCUTS_INVALID, also for an account that stands twice and for a file that says nothing.
    """
    try:
        found = object_of(text)
    except ValueError as error:
        raise _invalid(name, str(error)) from None
    if not found:
        raise _invalid(name, "nobody is in it: leave --permanent-haircut out")
    return PermanentHaircuts(text, dict(_entry(*entry, name) for entry in found.items()))


def _entry(account: str, amount: object, name: str) -> tuple[UUID, Decimal]:
    try:
        account_id = parse_id(account, "an account")
        parsed = parse_amount(amount) if isinstance(amount, str) else None
    except UsageError as error:
        raise _invalid(name, error.message) from None
    if parsed is None or show(parsed) != amount or str(account_id) != account:
        raise _invalid(name, f"{account}: ids are in small letters, amounts are text with two decimals")
    return account_id, parsed


def _invalid(name: str, why: str) -> UsageError:
    return UsageError("HAIRCUTS_INVALID", f"{name} is no file of permanent haircuts: {why}", hint=_HINT)
