"""Amounts of money: ``Decimal`` with two decimals, never a float."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from neonctl.errors import UsageError

LIMIT: Final = Decimal(10) ** 16  # numeric(18,2) holds what is below
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,2})?")
_CENT = Decimal("0.01")


def parse_amount(text: str, *, zero: bool = False) -> Decimal:
    """The amount that ``text`` says: ASCII digits, at most two decimals, no sign, no exponent, no separators.

    ``zero``: whether 0 is an amount here, as it is for a limit. Raises ``UsageError`` AMOUNT_INVALID.
    """
    if not _AMOUNT.fullmatch(text):
        raise _invalid(text)
    return check_amount(Decimal(text), zero=zero)


def check_amount(value: object, *, zero: bool = False) -> Decimal:
    """``value`` itself, with exactly two decimals, when it can be an amount.

    Only ``Decimal`` and ``int`` can: a float has lost cents before anybody could look. Refused as well: NaN,
    infinities, negative numbers (negative zero too), fractions of a cent, 1e16 and more. Raises ``UsageError``
    AMOUNT_INVALID.
    """
    if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
        raise _invalid(type(value).__name__)
    amount = Decimal(value)
    if not amount.is_finite() or amount.is_signed() or amount >= LIMIT or (not amount and not zero):
        raise _invalid(value)
    cents = amount.quantize(_CENT)
    if cents != amount:
        raise _invalid(value)
    return cents


def show(amount: Decimal) -> str:
    """As people and documents read it: two decimals, no exponent, no separators."""
    return f"{amount:.2f}"


def _invalid(said: object) -> UsageError:
    shown = f"{said!r:.40}"
    return UsageError(
        "AMOUNT_INVALID",
        f"{shown} is not an amount",
        hint="write it as 12.34: positive, at most two decimals, no sign and no separators",
    )
