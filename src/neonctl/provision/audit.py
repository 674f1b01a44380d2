"""The audit line of each mutation and each reveal (product.md 3): appended, one JSON document a line, no secret."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from neonctl.errors import UsageError
from neonctl.plan.changes import AnyChange


class AuditLog:
    """Appends records to the sink that the YAML names: ``file:PATH`` or ``stderr``.

    ``actor`` is asked for once per environment ("" for the project): the caller's ARN, locally ``--actor``.
    """

    def __init__(self, sink: str, *, actor: Callable[[str], str], trace_id: str) -> None:
        self.actor = actor
        self.trace_id = trace_id
        self._sink = sink
        self._lock = threading.Lock()

    def open(self) -> None:
        """Prove that records can be written, before anything is done that needs one."""
        self._write("")

    def change(self, change: AnyChange, outcome: str) -> None:
        """Record one change of a plan with its outcome, ``done`` or ``failed``."""
        self.record(f"{change.kind}.{change.action}", change.address, change.environment, outcome)

    def record(
        self,
        what: str,
        target: str,
        environment: str,
        outcome: str,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Append one record. A sink that cannot be written is an error: what is not recorded is not done."""
        line = json.dumps(
            {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "actor": self.actor(environment),
                "what": what,
                "target": target,
                "environment": environment or None,
                "outcome": outcome,
                "trace_id": self.trace_id,
                **(details or {}),
            },
            ensure_ascii=False,
        )
        with self._lock:
            self._write(line + "\n")

    def _write(self, line: str) -> None:
        if self._sink == "stderr":
            sys.stderr.write(line)
            return
        path = Path(self._sink.removeprefix("file:"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UsageError(
                "AUDIT_SINK_UNWRITABLE",
                f"the audit sink {path} cannot be written: {error.strerror}",
                hint="correct audit.sink in platform.yaml; nothing is changed without its record",
            ) from None
