"""What lint says: rules that keep their names, and findings with a place in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Rule:
    """A rule under its stable name. What has the severity ``error`` the runner refuses, too."""

    name: str
    severity: Severity
    summary: str  # what is found
    help: str  # what to do instead


@dataclass(frozen=True, order=True)
class Finding:
    """One thing to say about one place. ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    rule: str
    severity: Severity
    message: str  # one line
    help: str | None
