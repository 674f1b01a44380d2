"""The file of permanent haircuts: what each account loses for good when a resolution ends (FR-636, MOD-143 11.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

import rfc8785

from neonctl.banking.money import parse_amount, show
from neonctl.banking.signing.strict_json import object_of
from neonctl.banking.statement import parse_id
from neonctl.errors import UsageError

_HINT: Final = 'it is a JSON object, account id → amount: {"0190c8a2-6c1e-7b3a-9d54-3f1f0a6b2c47": "12.34"}'


@dataclass(frozen=True)
class PermanentHaircuts:
    """Amounts by account, each above 0."""

    amounts: Mapping[UUID, Decimal]

    @property
    def document(self) -> dict[str, str]:
        """As JSON has it."""
        return {str(account): show(amount) for account, amount in self.amounts.items()}

    @property
    def sha256(self) -> str:
        """What an instruction is bound to: SHA-256 of the document in canonical form (RFC 8785)."""
        return hashlib.sha256(rfc8785.dumps(self.document)).hexdigest()


def parse_haircuts(text: str, *, name: str) -> PermanentHaircuts:
    """The haircuts in ``text``, the contents of the file ``name``.

    Raises ``UsageError`` HAIRCUTS_INVALID, also for an account that stands twice and for a file that says nothing.
    """
    try:
        found = object_of(text)
    except ValueError as error:
        raise _invalid(name, str(error)) from None
    amounts: dict[UUID, Decimal] = {}
    for account, amount in found.items():
        try:
            account_id = parse_id(account, "an account")
            if not isinstance(amount, str):
                raise _invalid(name, "an amount is text: a number would lose cents")
            amounts[account_id] = parse_amount(amount)
        except UsageError as error:
            raise _invalid(name, error.message) from None
    if len(amounts) != len(found):
        raise _invalid(name, "an account stands in it twice")
    if not amounts:
        raise _invalid(name, "nobody is in it: leave --permanent-haircut out")
    return PermanentHaircuts(amounts)


def _invalid(name: str, why: str) -> UsageError:
    return UsageError("HAIRCUTS_INVALID", f"{name} is no file of permanent haircuts: {why}", hint=_HINT)
