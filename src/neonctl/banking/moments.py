"""Moments, dates and durations as people write them, and as documents show them: RFC 3339, UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from neonctl.errors import UsageError

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str) -> datetime:
    """A moment with its offset, in UTC. Raises ``UsageError`` MOMENT_INVALID, for a leap second too: no clock here
    has one.
    """
    if _MOMENT.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise UsageError(
        "MOMENT_INVALID",
        f"{text!r:.40} is not a moment",
        hint="write it as 2026-11-20T00:00:00Z, or with an offset: 2026-11-20T13:00:00+13:00",
    )


def parse_date(text: str) -> date:
    """A date of the calendar. Raises ``UsageError`` DATE_INVALID."""
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise UsageError("DATE_INVALID", f"{text!r:.40} is not a date", hint="write it as 2026-11-19")


def parse_duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``24h``, ``7d``. Raises ``UsageError`` DURATION_INVALID."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError("DURATION_INVALID", f"{text!r:.40} is not a duration", hint="write it as 90s, 15m, 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def show_moment(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds. ``moment`` must know its offset."""
    if moment.tzinfo is None:
        raise ValueError("a moment without an offset")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
