"""Running neonctl as a user does: one harness that pins exit code, stdout and stderr (cli-conventions 12).

``run`` calls the program inside this process, which is fast; ``run_process`` starts it as a process of its own, for
what only a process shows: imports, signals, pipes. Both in a scrubbed environment and a folder of their own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from neonctl.cli.main import main

SCRUBBED = ("NEON", "AWS", "PG", "GITHUB_", "CI", "NO_COLOR", "FORCE_COLOR", "TERM", "XDG_")


@dataclass(frozen=True)
class Result:
    """How a run ended and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.stdout)

    @property
    def error(self) -> dict[str, Any]:
        """The failure, where JSON was asked for."""
        return self.json["error"]


def scrubbed(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what would make a run depend on this machine, plus ``environment``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
    kept["UV"] = "uv"  # the next steps are told as a newcomer runs them: by `uv run`
    return {**kept, **(environment or {})}


def run(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "") -> Result:
    """One command inside this process. stdin, stdout and stderr are no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, scrubbed(env), clear=True),
        patch.object(sys, "stdin", io.StringIO(stdin)),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(list(arguments))
    return Result(code, out.getvalue(), err.getvalue())


def run_process(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "", timeout_s: float = 60
) -> Result:
    """One command as a process of its own."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=scrubbed(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def command(*arguments: str) -> list[str]:
    """The argument list that starts neonctl."""
    return [sys.executable, "-m", "neonctl.cli.main", *arguments]


def run_on_terminal(
    *arguments: str,
    answer: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60,
    question: str = "[y/N]",
) -> Result:
    """One command on a pseudo-terminal: ``answer`` is typed when ``question`` is read. All output counts as stderr.

    ``"\\x03"`` as the answer is Ctrl-C.
    """
    terminal, other_end = os.openpty()
    process = subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=scrubbed({"TERM": "xterm", **(env or {})}),
        stdin=other_end,
        stdout=subprocess.PIPE,
        stderr=other_end,
        start_new_session=True,
        preexec_fn=_own_terminal,
        text=True,
    )
    os.close(other_end)
    guard = threading.Timer(timeout_s, process.kill)
    guard.start()
    seen = b""
    try:
        typed = False
        for piece in _pieces(terminal):
            seen += piece
            if not typed and question.encode() in seen:
                os.write(terminal, answer.encode())
                typed = True
        assert process.stdout is not None
        with process.stdout:
            stdout = process.stdout.read()
        code = process.wait()
    finally:
        guard.cancel()
        os.close(terminal)
    return Result(code, stdout, seen.decode().replace("\r\n", "\n"))


def _own_terminal() -> None:
    """Make the pseudo-terminal the controlling one, so that Ctrl-C reaches the process as SIGINT."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # EIO: the other end was closed
            return
        if not piece:
            return
        yield piece


def interrupt_when(
    text: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    number: signal.Signals = signal.SIGINT,
) -> Result:
    """Start a command, send it a signal as soon as a line of stderr holds ``text``, and wait for its end."""
    process = subprocess.Popen(
        command(*arguments), cwd=cwd, env=scrubbed(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    guard = threading.Timer(60, process.kill)
    guard.start()
    lines: list[str] = []
    assert process.stderr is not None
    assert process.stdout is not None
    with process.stderr, process.stdout:
        sent = False
        for line in process.stderr:
            lines.append(line)
            if not sent and text in line:
                process.send_signal(number)
                sent = True
        stdout = process.stdout.read()
    code = process.wait()
    guard.cancel()
    return Result(code, stdout, "".join(lines))


_STABLE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "[UUID]"),
    (re.compile(r"\b(br|ep)-[a-z]+-[a-z]+-[a-z0-9]+\b"), r"\1-[ID]"),
    (re.compile(r"\b[a-z]+-[a-z]+-\d{8}\b"), "[PROJECT]"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "[SHA256]"),
    (re.compile(r"\bPlan [0-9a-f]{12}\b"), "Plan [SHA]"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "[TRACE]"),
    (re.compile(r"\b(localhost|127\.0\.0\.1):\d+"), r"\1:[PORT]"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"), "[TIME]"),
    (re.compile(r"\bin \d+ s\b"), "in [N] s"),
    (re.compile(r"(?m)^((?:direct_|pooled_)?port) +\d+(?= *$)"), r"\1  [PORT]"),
)


def stable(text: str, *, folders: Mapping[str, Path] | None = None) -> str:
    """The text with ids, times, ports and folders replaced by placeholders; columns shrink to single blanks."""
    for name, folder in (folders or {}).items():
        text = text.replace(str(folder), f"[{name}]")
    for pattern, placeholder in _STABLE:
        text = pattern.sub(placeholder, text)
    return "\n".join(re.sub(r"(?<=\S) {2,}", "  ", line).rstrip() for line in text.splitlines())
