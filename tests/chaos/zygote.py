"""Runs commands in forked children of a process that has everything imported: a start costs milliseconds.

One JSON document a line on stdin, the answer in one line on stdout. ``runs`` start together; the commands of one
run are executed one after another in one process until one fails.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import psycopg

import neonctl
from chaos.faults import Border, Fault, Point, install
from neonctl.settings import Settings
from neonctl.vault.credentials import Sessions
from neonctl.vault.models import PlainFiles

POLL_S = 0.005


def main() -> None:
    """Serve until stdin ends."""
    _import_all()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        children = [_fork(run) for run in asked["runs"]]
        answers.write(json.dumps(_wait(children, asked["timeout_s"])) + "\n")
        answers.flush()


def _import_all() -> None:
    """Everything that a command would import or parse; no connection is opened, no thread is started."""
    assert psycopg
    # Each run parses the SDK's descriptions anew; the children inherit them parsed.
    load, one = PlainFiles.load_file, PlainFiles()
    read = functools.cache(lambda path: load(one, path))
    PlainFiles.load_file = lambda self, path: read(path)
    sessions = Sessions(Settings(local=True, aws_endpoint_url="http://127.0.0.1:9"))
    for service in ("sts", "secretsmanager", "ssm"):
        sessions.client(sessions.first("000000000000"), service, "ap-southeast-2")
    for module in pkgutil.walk_packages(neonctl.__path__, "neonctl."):
        if not module.name.startswith(("neonctl.local.", "neonctl.__main__")):
            importlib.import_module(module.name)
    importlib.import_module("neonctl.local.platform")
    from neonctl.cli.app import build

    build()
    # As in the program's own process, and what is imported is shared with the children, not looked through by each.
    gc.set_threshold(1_000_000)
    gc.freeze()


def _fork(run: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _child(run)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(99)
    os._exit(code)


def _child(run: dict[str, Any]) -> int:
    output = os.open(run["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(run["folder"])
    os.environ.clear()
    os.environ.update(run["environment"])
    from neonctl.cli.run import run as command

    point = Point(*run["point"]) if run["point"] else None
    border = Border(Fault(run["how"], point) if run["how"] else None, Path(run["report"]))
    install(border)
    code = 0
    for arguments in run["commands"]:
        sys.stderr.write(f"\n$ neonctl {' '.join(arguments)}\n")
        code = command(arguments)
        sys.stderr.write(f"exit {code}\n")
        if code:
            break
    border.write()
    return code


def _wait(children: list[int], timeout_s: float) -> list[int]:
    """The exit codes; one that does not end in time is killed and counts as -1."""
    deadline = time.monotonic() + timeout_s
    codes: dict[int, int] = {}
    while len(codes) < len(children):
        for pid in children:
            if pid in codes:
                continue
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                codes[pid] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                codes[pid] = -1
        time.sleep(POLL_S)
    return [codes[pid] for pid in children]


if __name__ == "__main__":
    main()
