"""Progress on stderr: a live line on a terminal, one plain line per finished step elsewhere."""

from __future__ import annotations

import json
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from neonctl.cli.interruption import Interruption
from neonctl.cli.messages import write_message
from neonctl.provision.progress import Event

if TYPE_CHECKING:
    from rich.status import Status

    from neonctl.cli.session import Session


class ProgressLines:
    """Shows events as they come, from any thread."""

    def __init__(self, session: Session, *, enabled: bool = True) -> None:
        self._session = session
        self._enabled = enabled and not session.options.quiet
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], float] = {}
        self._done = 0
        self._started = time.monotonic()
        self._status: Status | None = None
        self._interruption = Interruption()

    def __enter__(self) -> Self:
        self._interruption.__enter__()
        if self._enabled and sys.stderr.isatty() and self._session.options.log_format == "text":
            self._status = self._session.messages.status("working …")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
        self._interruption.__exit__(kind, error, trace)

    def confirm(self, question: str, *, about: str = "") -> None:
        """``Session.confirm`` in the middle of work: the live line makes room for the question."""
        if self._status is not None:
            self._status.stop()
        self._session.confirm(question, about=about)
        if self._status is not None:
            self._status.start()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def __call__(self, event: Event) -> None:
        """Show one event. Raises ``KeyboardInterrupt`` in the thread that tells it, after Ctrl-C."""
        with self._lock:
            key = (event.environment, event.subject)
            if event.state == "started":
                self._running[key] = time.monotonic()
            elif event.state == "done":
                self._running.pop(key, None)
                self._done += 1
            self._show(event)
        self._interruption.check()

    def _show(self, event: Event) -> None:
        if not self._enabled:
            return
        where = event.environment or "project"
        if self._session.options.log_format == "json":
            line = {
                "level": "info",
                "environment": event.environment or None,
                "message": f"{event.subject}: {event.state}",
                "trace_id": self._session.trace_id,
            }
            write_message(json.dumps(line, ensure_ascii=False))
        elif event.state != "started":
            sign = "✓" if event.state == "done" else "…"
            text = f"  {sign} {where:<8} {event.subject}"
            text += " (waiting for another run)" if event.state == "waiting" else ""
            if self._status is not None:
                self._status.console.print(text, markup=False)
            else:
                write_message(text)
        if self._status is not None:
            newest = next(reversed(self._running), None)
            current = f"{newest[0] or 'project'}: {newest[1]}" if newest else "working"
            self._status.update(f"{current} … {self.seconds:.0f} s, {self._done} steps done")
