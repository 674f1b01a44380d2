"""The clock of a drill: which part began when, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

from neonctl.banking.drills.report import Phase

#: Hears that a part, by its title, has started or is done.
Tell = Callable[[str, Literal["started", "done"]], object]


class Timeline:
    """Parts in the order in which they began."""

    def __init__(self, tell: Tell, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._zero = clock()
        self.phases: list[Phase] = []

    @contextmanager
    def phase(self, name: str, title: str) -> Generator[None]:
        """Time the block as one part, also when it fails."""
        self._tell(title, "started")
        began = self._clock()
        try:
            yield
        finally:
            ended = self._clock()
            self.phases.append(Phase(name, title, _ms(began - self._zero), _ms(ended - began)))
        self._tell(title, "done")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
