"""Processes that a killed engine left running: found by where they work, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from neonctl.errors import ServiceError
from neonctl.frozen import frozen

_PATIENCE_SECONDS = 20.0


@frozen
class Orphan:
    """A PostgreSQL or PgBouncer process whose working folder or arguments lie under the engine's folder."""

    pid: int
    program: str
    leader: bool  # a postmaster, or PgBouncer; False: a child of a postmaster


def stop_orphans(root: Path) -> int:
    """Stop every such process below ``root`` and wait until it is gone; returns how many there were. Blocks.

    Raises ServiceError when one survives being killed.
    """
    found = find_orphans(root)
    count = len(found)
    for step in (signal.SIGINT, signal.SIGKILL):
        for orphan in found:
            # A postmaster stops its own children; those without one end by themselves or are killed.
            # PgBouncer holds no state and would wait for its clients.
            if orphan.leader or step is signal.SIGKILL:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan.pid, signal.SIGKILL if orphan.program == "pgbouncer" else step)
        deadline = time.monotonic() + (_PATIENCE_SECONDS if step is signal.SIGINT else 5.0)
        while found and time.monotonic() < deadline:
            time.sleep(0.01)
            found = find_orphans(root)
    if found:
        raise ServiceError(
            "LOCAL_ORPHANS",
            f"processes {', '.join(str(orphan.pid) for orphan in found)} of an earlier run do not end",
            hint="kill them, then run the command again",
        )
    return count


def find_orphans(root: Path) -> list[Orphan]:
    """The processes that work below ``root`` now. Process ids alone prove nothing: they are used again."""
    if Path("/proc/self/cwd").exists():
        return _from_proc(str(root))
    return _from_ps(str(root))


def _from_proc(root: str) -> list[Orphan]:
    found: list[Orphan] = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            folder = str(Path(entry.path, "cwd").readlink())
            if folder != root and not folder.startswith(root + "/"):
                continue
            command = Path(entry.path, "cmdline").read_bytes()
            state = Path(entry.path, "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue  # it ended, or is somebody else's
        child = command.startswith(b"postgres:")
        name = "postgres" if child else Path(os.fsdecode(command.split(b"\0")[0])).name
        if state != "Z" and name in {"postgres", "pgbouncer"}:
            found.append(Orphan(int(entry.name), name, leader=not child))
    return found


def _from_ps(root: str) -> list[Orphan]:
    listing = subprocess.run(
        ["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    found: list[Orphan] = []
    for line in listing.splitlines():
        pid, _, command = line.strip().partition(" ")
        program = Path(command.split(" -D ")[0].split(" ")[0]).name
        if f"{root}/" in command and program in {"postgres", "pgbouncer"}:
            found.append(Orphan(int(pid), program, leader=True))
    return found
