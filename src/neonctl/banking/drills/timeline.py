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
    """Parts one after the other, in the order in which they began."""

    def __init__(self, tell: Tell, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._zero = clock()
        self._running: tuple[str, str, float] | None = None
        self.phases: list[Phase] = []

    @contextmanager
    def phase(self, name: str, title: str) -> Generator[None]:
        """Time the block as one part, also when it fails; whoever listens hears of it."""
        self._tell(title, "started")
        self.start(name, title)
        try:
            yield
        finally:
            self.stop()
        self._tell(title, "done")

    def start(self, name: str, title: str) -> None:
        """A part begins that others tell of."""
        self._running = (name, title, self._clock())

    def stop(self) -> None:
        """The part that runs, if one does, is over."""
        if self._running is not None:
            name, title, began = self._running
            self.phases.append(Phase(name, title, _ms(began - self._zero), _ms(self._clock() - began)))
            self._running = None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
