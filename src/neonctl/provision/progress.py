"""How long work is told while it runs: small events, given to a callback. The terminal decides how they look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Event:
    """One step of work. ``environment`` is "" for the project; ``subject`` says what, in words."""

    environment: str
    subject: str
    state: Literal["started", "done", "waiting"] = "done"


Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """Progress that nobody watches."""
    del event
