"""Durations as people write them: ``500ms``, ``2s``, ``1.5m``, ``24h``, ``7d``."""

from __future__ import annotations

import re

from neonctl.errors import UsageError

_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str, option: str) -> float:
    """``"2s"`` → 2.0. Raises ``UsageError`` that names ``option`` for what is no duration."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError("USAGE", f"{option}: {text!r} is no duration", hint="write 500ms, 2s, 5m, 24h or 7d")
    return float(found["number"]) * _SECONDS[found["unit"]]
