"""Ctrl-C, SIGTERM and a terminal that is closed, while there is something that must not be left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Literal, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Turns these signals into one ``KeyboardInterrupt`` that never comes in the middle of tidying up.

    Use as a context manager in the main thread (in another one, signals go where they went before). Three phases:
    while making, the first signal waits for ``work`` and only a second one interrupts; while working, ``cut`` is
    called and ``KeyboardInterrupt`` raised at once; while tidying, signals wait for the end. However often somebody
    asks, it is raised once: an impatient second Ctrl-C does not undo the tidying of the first.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._phase: Literal["making", "working", "tidying"] = "making"
        self._asked = False
        self._raised = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            # What is ignored stays so: by nohup, or in the background of a shell.
            heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._heard) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._asked and not isinstance(error, KeyboardInterrupt):
            # What failed after that, failed because of it: connections were cut.
            raise KeyboardInterrupt from None

    def check(self) -> None:
        """Between two steps of making: raises ``KeyboardInterrupt`` if somebody asked to stop."""
        if self._asked:
            self._raised = True
            raise KeyboardInterrupt

    def work(self) -> None:
        """What was to be made is there; from here on a signal interrupts at once."""
        self.check()
        self._phase = "working"

    def tidy(self) -> None:
        """From here on nothing interrupts."""
        self._phase = "tidying"

    def _heard(self, number: int, frame: FrameType | None) -> None:
        first, self._asked = not self._asked, True
        if self._raised or self._phase == "tidying" or (self._phase == "making" and first):
            return
        self._raised = True
        self._cut()
        raise KeyboardInterrupt
