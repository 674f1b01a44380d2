"""Start, find, stop and reset the embedded platform. Synchronous and light: the terminal imports this.

The daemon holds a lock on its data directory as long as it lives, so a process id is never trusted alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from neonctl.errors import NeonctlError, RetryableError, ServiceError, UsageError
from neonctl.local.layout import Layout
from neonctl.local.state import Platform, answers, read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

_START_S: Final = 90.0
_STOP_S: Final = 30.0
_POLL_S: Final = 0.02
_LOG_TAIL_LINES: Final = 20
_LOG_KEPT_BYTES: Final = 5_000_000
_NOT_INHERITED: Final = ("AWS_", "NEON_API", "PG", "GITHUB_")


def running(data_dir: Path) -> Platform | None:
    """The platform in ``data_dir`` when it is up and answers."""
    platform = read_state(Layout(data_dir.resolve()))
    return platform if platform is not None and answers(platform) else None


def ensure_running(data_dir: Path, *, progress: Callable[[str], None]) -> Platform:
    """The running platform, started when there is none. Of two callers one starts, the other waits.

    Raises ServiceError ``LOCAL_START_FAILED`` with the end of the daemon's log, UsageError ``LOCAL_FOLDER`` where no
    state can be kept.
    """
    platform = running(data_dir)
    if platform is not None:
        return platform
    layout = Layout(data_dir.resolve())
    try:
        layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        layout.start_lock.touch(mode=0o600)
    except OSError as error:
        raise UsageError(
            "LOCAL_FOLDER",
            f"the local platform cannot keep its state in {layout.root}: {error.strerror}",
            hint="choose another folder with NEONCTL_LOCAL_DIR, or make this one writable",
        ) from None
    deadline = time.monotonic() + _START_S
    with _start_lock(layout, deadline, progress):
        platform = running(data_dir)
        if platform is not None:
            return platform
        progress(f"starting the local platform in {layout.root}")
        return _start(layout, deadline)


@contextlib.contextmanager
def _start_lock(layout: Layout, deadline: float, progress: Callable[[str], None]) -> Generator[None]:
    descriptor = os.open(layout.start_lock, os.O_CREAT | os.O_RDWR, 0o600)
    told = False
    try:
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise RetryableError("LOCAL_BUSY", "another neonctl has been starting the platform for too long")
            if not told:
                progress("another neonctl is starting the local platform; waiting")
                told = True
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _spawn(layout: Layout) -> int:
    """Start the daemon in a session of its own, so that it outlives the terminal."""
    if layout.log.exists() and layout.log.stat().st_size > _LOG_KEPT_BYTES:
        layout.log.replace(layout.old_log)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    command = [sys.executable, "-P", "-m", "neonctl.local.daemon", "--data-dir", str(layout.root)]
    return os.posix_spawn(
        sys.executable,
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(layout.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _start(layout: Layout, deadline: float) -> Platform:
    """Spawn the daemon and wait for its first answer; its early end is the end of waiting.

    A daemon that holds the directory without answering is starting, hanging or just dying: it is waited for.
    """
    pid: int | None = None
    while time.monotonic() < deadline:
        platform = read_state(layout)
        if platform is not None and answers(platform):
            return platform
        if pid is None and _daemon_pid(layout) is None:
            pid = _spawn(layout)
        elif pid is not None and _ended(pid):
            raise _start_failed(layout, "the daemon ended")
        time.sleep(_POLL_S)
    raise _start_failed(layout, "the daemon was not ready in time")


def _ended(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def _start_failed(layout: Layout, what: str) -> ServiceError:
    tail = layout.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:] if layout.log.exists() else []
    # The last thing that the daemon said, without date and level: the reason, more often than not.
    said = tail[-1].split(" neonctl.local ", 1)[-1] if tail else ""
    return ServiceError(
        "LOCAL_START_FAILED",
        f"the local platform did not start: {what}" + (f"; {said}" if said else ""),
        hint=f"see {layout.log}",
        details={"log": tail},
    )


def _daemon_pid(layout: Layout) -> int | None:
    """The process that holds the data directory, starting or running."""
    try:
        descriptor = os.open(layout.daemon_lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _try_lock(descriptor):
            return None
        text = os.read(descriptor, 32).decode()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(descriptor)


def stop(data_dir: Path) -> bool:
    """Stop the daemon and everything it runs, also what a killed daemon left behind. False: nothing ran.

    Raises NeonctlError ``LOCAL_STOP_FAILED`` when the daemon can't be ended.
    """
    layout = Layout(data_dir.resolve())
    pid = _daemon_pid(layout)
    if pid is not None:
        _end(layout, pid)
    left = 0
    if layout.engine.is_dir():
        from neonctl.local.clusters.orphans import stop_orphans
        from neonctl.local.home import Home

        left = stop_orphans(layout.engine)
        Home(layout.engine).remove_sockets()
    layout.state_file.unlink(missing_ok=True)
    return pid is not None or left > 0


def _end(layout: Layout, pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + _STOP_S
        while time.monotonic() < deadline:
            _ended(pid)
            if _daemon_pid(layout) is None:
                _ended(pid)
                return
            time.sleep(_POLL_S)
    raise NeonctlError("LOCAL_STOP_FAILED", f"the daemon (process {pid}) does not end", hint="end it by hand")


def reset(data_dir: Path) -> None:
    """Stop the platform and delete all it kept. Files that aren't the platform's own stay."""
    layout = Layout(data_dir.resolve())
    stop(data_dir)
    for folder in layout.folders():
        if folder.exists():
            shutil.rmtree(folder)
    for path in layout.files():
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        layout.root.rmdir()
