"""What was called, in order: the Neon API's method and path template, or the AWS operation. No bodies."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_KEPT: Final = 100_000


@dataclass
class Entry:
    """One call; ``status`` stays empty when no answer was given."""

    number: int
    service: str
    call: str
    status: int | None = None


@dataclass
class Journal:
    """Calls since the start or the last ``clear``, the newest 100,000 of them."""

    entries: deque[Entry] = field(default_factory=lambda: deque[Entry](maxlen=_KEPT))
    count: int = 0

    def record(self, service: str, call: str) -> Entry:
        """Note a call that begins; its status is filled in when it is answered."""
        self.count += 1
        entry = Entry(self.count, service, call)
        self.entries.append(entry)
        return entry

    def clear(self) -> None:
        self.entries.clear()
        self.count = 0

    def documents(self) -> list[dict[str, object]]:
        """The calls for JSON."""
        return [
            {"number": item.number, "service": item.service, "call": item.call, "status": item.status}
            for item in self.entries
        ]
