"""Ctrl-C: said at once, obeyed after the calls under way; a second one ends the program there and then.

Ending anywhere is safe: what an interrupted run left is finished by the next one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130


@contextlib.contextmanager
def answering_ctrl_c() -> Generator[None]:
    """While a command runs: say that Ctrl-C was heard, then raise ``KeyboardInterrupt`` in the main thread."""

    def heard(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, _leave)
        _say("interrupting: calls under way are finished first")
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Interruption:
    """While work is under way in threads, which no signal reaches: they ask here between their steps.

    Use as a context manager in the main thread; ``check`` from any.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._heard) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises ``KeyboardInterrupt`` once somebody asked to stop."""
        if self._asked:
            raise KeyboardInterrupt

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            _leave(number, frame)
        self._asked = True
        _say("interrupting: steps under way are finished first")


def _say(text: str) -> None:
    # Not through sys.stderr, which the interrupted code may be in the middle of.
    os.write(2, f"\n{text} (Ctrl-C again: not even those)\n".encode())


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)
