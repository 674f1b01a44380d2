"""Counting every call that a command makes to Neon, AWS and Postgres, and one fault at one of them.

The wrappers sit at the border: below the program's own retries and the SDK's, above the network. So a cut is
what a lost connection is, and a kill leaves behind what was really sent.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import botocore.exceptions
import botocore.httpsession
import httpx
import psycopg
from psycopg import sql

import neonctl.migrations.session

KILLED = 137  # as a shell tells SIGKILL
_MEET_S = 3.0
HOWS = ("kill-before", "kill-after", "cut-after")


@dataclass(frozen=True)
class Point:
    """The ``nth`` call (from 1) with this label. Which call is the hundredth differs from run to run; this does not."""

    label: str
    nth: int = 1

    @property
    def kind(self) -> str:
        """The label without what it was about: ``sql connect [bank_app as bank_owner]`` is a ``sql connect``."""
        return self.label.split(" [", 1)[0]

    def __str__(self) -> str:
        return f"{self.label} #{self.nth}"


@dataclass(frozen=True)
class Fault:
    """``how``: one of ``HOWS``; ``interrupt`` (Ctrl-C just before the call), ``kill-daemon`` (of the platform),
    ``meet`` (wait for another run to come here too; not for long, for a lock may keep it away).

    Without a ``point``, a cut strikes the first call of every label.
    """

    how: str
    point: Point | None = None

    def __str__(self) -> str:
        return f"{self.how} at {self.point or 'every first call'}"


class Border:
    """All calls of this process by label, in the order of each label's first one."""

    def __init__(self, fault: Fault | None, report: Path) -> None:
        self._fault = fault
        self._report = report
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._struck: list[str] = []

    def passing(self, label: str) -> bool:
        """One call is about to be made. True: its answer is to be lost."""
        with self._lock:
            self._counts[label] += 1
            fault = self._fault
            if fault is None or not self._meant(fault, label):
                return False
            self._struck.append(label)
            if fault.how == "kill-before":
                self._die()
        if fault.how == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        elif fault.how == "kill-daemon":
            _kill_daemon()
        elif fault.how == "meet":
            self._meet()
        return fault.how in {"kill-after", "cut-after"}

    def passed(self) -> None:
        """A call whose answer is to be lost has been made."""
        if self._fault and self._fault.how == "kill-after":
            with self._lock:
                self._die()

    def _meet(self) -> None:
        self._report.with_suffix(".here").touch()
        deadline = time.monotonic() + _MEET_S
        while len(list(self._report.parent.glob("*.here"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)

    def write(self) -> None:
        """Leave behind what was seen."""
        seen = {"calls": list(self._counts.items()), "struck": self._struck}
        self._report.write_text(json.dumps(seen), encoding="utf-8")

    def _meant(self, fault: Fault, label: str) -> bool:
        if fault.point is None:
            return self._counts[label] == 1 and not label.startswith("sql")
        return fault.point == Point(label, self._counts[label])

    def _die(self) -> None:
        self.write()
        os._exit(KILLED)


def install(border: Border) -> None:
    """Wrap the three drivers of this process for good."""
    _wrap_neon(border)
    _wrap_aws(border)
    _wrap_postgres(border)


def _kill_daemon() -> None:
    state = Path(os.environ["NEONCTL_LOCAL_DIR"]) / "platform.json"
    os.kill(int(json.loads(state.read_text(encoding="utf-8"))["pid"]), signal.SIGKILL)


# --- Neon ---------------------------------------------------------------------------------------------------


def _wrap_neon(border: Border) -> None:
    send = httpx.HTTPTransport.handle_request

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        lose = border.passing(neon_label(request.method, request.url.path))
        response = send(self, request)
        if lose:
            response.read()
            border.passed()
            response.close()
            raise httpx.ReadError("cut", request=request)
        return response

    httpx.HTTPTransport.handle_request = handle_request


def neon_label(method: str, path: str) -> str:
    """``neon POST /projects/{}/branches``: each second part of a path names one thing, and is left out."""
    parts = path.removeprefix("/api/v2").strip("/").split("/")
    named = parts[0] not in {"projects", "regions"}
    return f"neon {method} /" + "/".join("{}" if i % 2 and not named else part for i, part in enumerate(parts))


# --- AWS ----------------------------------------------------------------------------------------------------


def _wrap_aws(border: Border) -> None:
    send = botocore.httpsession.URLLib3Session.send

    def wrapped(self: Any, request: Any) -> Any:
        lose = border.passing(aws_label(request.headers, request.body))
        response = send(self, request)
        if lose:
            border.passed()
            raise botocore.exceptions.ConnectionClosedError(endpoint_url=request.url)
        return response

    botocore.httpsession.URLLib3Session.send = wrapped


def aws_label(headers: Any, body: Any) -> str:
    """``aws secretsmanager.CreateSecret [bank-neon/prod/…]``."""
    target = headers.get("X-Amz-Target", b"")
    target = target.decode() if isinstance(target, bytes) else target
    text = body.decode() if isinstance(body, bytes) else str(body or "")
    if not target:  # STS speaks in forms
        return f"aws sts.{parse_qs(text).get('Action', ['?'])[0]}"
    service, operation = target.split(".", 1)
    asked = json.loads(text)
    about = asked.get("SecretId") or asked.get("Name") or ""
    return f"aws {service}.{operation}" + (f" [{about}]" if about else "")


# --- Postgres -----------------------------------------------------------------------------------------------


def _wrap_postgres(border: Border) -> None:
    connect, execute = psycopg.Connection.connect, psycopg.Cursor.execute
    leave, script = psycopg.Transaction.__exit__, neonctl.migrations.session._simple_query

    def connected(*arguments: Any, **keywords: Any) -> Any:
        lose = border.passing(f"sql connect [{keywords['dbname']} as {keywords['user']}]")
        connection = connect(*arguments, **keywords)
        if lose:
            _lose(border, connection)
        return connection

    def executed(self: Any, query: Any, *arguments: Any, **keywords: Any) -> Any:
        lose = border.passing(f"sql {first_words(query)} [{_who(self.connection)}]")
        try:
            return execute(self, query, *arguments, **keywords)
        finally:  # a refusal is an answer too
            if lose:
                _lose(border, self.connection)

    def left(self: Any, kind: Any, error: Any, trace: Any) -> bool:
        lose = border.passing(f"sql {'ROLLBACK' if kind else 'COMMIT'} [{_who(self.connection)}]")
        result = leave(self, kind, error, trace)
        if lose:
            _lose(border, self.connection)
        return result

    def scripted(conn: Any, query: str) -> Any:
        lose = border.passing(f"sql migration [{_who(conn)}]")
        result = script(conn, query)
        if lose:
            _lose(border, conn)
        return result

    psycopg.connect = connected
    psycopg.Cursor.execute = executed  # type: ignore[method-assign]
    psycopg.Transaction.__exit__ = left  # type: ignore[method-assign]
    neonctl.migrations.session._simple_query = scripted


def _who(connection: Any) -> str:
    return "gone" if connection.closed else f"{connection.info.dbname} as {connection.info.user}"


def _lose(border: Border, connection: Any) -> None:
    border.passed()
    connection.close()
    raise psycopg.OperationalError("cut")


def first_words(query: Any) -> str:
    """``ALTER ROLE, COMMENT ON``: what the first statements of a group begin with. Never values: they may be secret."""
    text = query.as_string(None) if isinstance(query, sql.Composable) else query
    text = text.decode() if isinstance(text, bytes) else text
    text = re.sub(r"\$(\w*)\$.*?\$\1\$", "", text, flags=re.DOTALL)
    starts = re.findall(r"(?:^|;\s*\n)\s*(?:--[^\n]*\n\s*)*([A-Za-z]+(?:\s+[A-Z]+)?)", text)
    return ", ".join(list(dict.fromkeys(" ".join(start.split()).upper() for start in starts))[:3]) or "?"
