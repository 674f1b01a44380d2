"""What a run tells while it works. The terminal decides how to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MigrationEvent:
    """One step of one database's run."""

    kind: Literal["waiting", "applying", "retrying", "applied", "undoing", "undone", "proving"]
    database: str
    script: str | None = None  # None while waiting for the lock
    duration_ms: int | None = None  # of an applied or undone file


Progress = Callable[[MigrationEvent], None]
