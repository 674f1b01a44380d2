"""The claims of an instruction: what each action's payload says, and the one form that each value has."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal, get_args

from neonctl.banking.moments import show_moment
from neonctl.banking.money import parse_amount, show
from neonctl.errors import UsageError

Action = Literal["activate", "release", "unwind", "rearm", "add-key", "revoke-key"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

_HAIRCUT = re.compile(r"(0\.[0-9]{4}|1\.0000)")
_PERCENT = re.compile(r"(100|[1-9][0-9]?|0)\.[0-9]{2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{43}")
_SCOPE = re.compile(r"[A-Za-z0-9._-]{1,256}/[a-z][a-z0-9-]{0,30}")
_JTI = re.compile(r"[A-Za-z0-9._:-]{8,100}")
#: What people read before they sign: nothing that a terminal obeys, nothing invisible, nothing that turns text round.
_WORDS = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]{1,200}")
_LAST = 253_402_300_799  # the end of the year 9999
_TIMES = frozenset({"nbf", "exp", "valid_from", "valid_until"})


def _text(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))


def _one_of(*values: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in values


def _or_none(sound: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or sound(value)


def _amount(value: object) -> bool:
    try:
        return isinstance(value, str) and show(parse_amount(value, zero=True)) == value
    except UsageError:
        return False


def _percent(value: object) -> bool:
    return isinstance(value, str) and bool(_PERCENT.fullmatch(value)) and 0 < Decimal(value) <= 100


def _truth(value: object) -> bool:
    return isinstance(value, bool)


def _second(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST


Claims = Mapping[str, Callable[[object], bool]]

#: What every instruction says.
COMMON: Claims = MappingProxyType(
    {
        "action": _one_of(*ACTIONS),
        "jurisdiction": _one_of("NZ", "AU"),
        "scope": _text(_SCOPE),
        "reference": _text(_WORDS),
        "nbf": _second,
        "exp": _second,
        "jti": _text(_JTI),
    }
)
#: What each action's instruction says beside that.
TERMS: Mapping[Action, Claims] = MappingProxyType(
    {
        "activate": {"haircut": _text(_HAIRCUT), "de_minimis": _amount, "equal_shares": _truth},
        "release": {"percent": _percent},
        "unwind": {"permanent_haircut_sha256": _or_none(_text(_SHA256))},
        "rearm": {},
        "add-key": {
            "key_id": _text(_KEY_ID),
            "key_name": _text(_WORDS),
            "key_kind": _one_of("officer", "regulator"),
            "valid_from": _second,
            "valid_until": _or_none(_second),
        },
        "revoke-key": {"key_id": _text(_KEY_ID), "reason": _text(_WORDS)},
    }
)


def canonical_haircut(haircut: Decimal) -> str:
    """A haircut as it is signed: 0.0000 to 1.0000."""
    return f"{haircut:.4f}"


def canonical_percent(percent: Decimal) -> str:
    """A percentage as it is signed: 0.01 to 100.00."""
    return f"{percent:.2f}"


def parse_haircut(text: str) -> Decimal:
    """A haircut as people write it: 0 to 1, at most four decimals. Raises ``UsageError`` HAIRCUT_INVALID."""
    if re.fullmatch(r"0(\.[0-9]{1,4})?|1(\.0{1,4})?", text):
        return Decimal(text).quantize(Decimal("0.0001"))
    hint = "write it as 0.2500: between 0 and 1, at most four decimals"
    raise UsageError("HAIRCUT_INVALID", f"{text!r:.40} is not a haircut", hint=hint)


def parse_percent(text: str) -> Decimal:
    """A percentage above 0 and up to 100, at most two decimals. Raises ``UsageError`` PERCENT_INVALID."""
    if re.fullmatch(r"(100|[1-9]?[0-9])(\.[0-9]{1,2})?", text) and 0 < Decimal(text) <= 100:
        return Decimal(text).quantize(Decimal("0.01"))
    hint = "write it as 10 or 12.5: above 0, at most 100, two decimals"
    raise UsageError("PERCENT_INVALID", f"{text!r:.40} is not a percentage", hint=hint)


def shown_second(second: int) -> str:
    """A time claim for people: RFC 3339, UTC."""
    return show_moment(datetime.fromtimestamp(second, UTC))


def shown_claim(claim: str, value: object) -> str:
    """A claim for people."""
    if value is None:
        return "none"
    if claim in _TIMES and isinstance(value, int):
        return shown_second(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
