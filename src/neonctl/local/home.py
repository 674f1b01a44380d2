"""The engine's folder: what lies where, one engine at a time, and order after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import resource
import shutil
import tempfile
from pathlib import Path

from neonctl.errors import RetryableError, UsageError
from neonctl.local.clusters.files import remove_tree

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")
_SOCKET_PATH_BYTES = 100  # 104 on macOS, 108 on Linux, the closing zero included
_SOCKET_ROOM = len("/12345678/.s.PGSQL.5432.lock")


class Home:
    """Folders below the engine's data folder.

    ``branches/ID`` is a cluster. ``ID.part`` is being made, ``ID.new`` is complete and about to replace ``ID``,
    ``ID.trash`` is being deleted.
    """

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir.resolve()
        self.branches = self.root / "branches"
        self.template = self.root / "template"
        self.logs = self.root / "logs"
        self.poolers = self.root / "poolers"
        self.authority = self.root / "ca"
        self.programs = self.root / "programs"
        self.superuser = self.root / "superuser"
        self.endpoints = self.root / "endpoints.json"
        self._socket_record = self.root / "sockets"
        self._sockets: Path | None = None
        self._lock: int | None = None

    def branch(self, branch_id: str) -> Path:
        """The data folder of a branch."""
        if not _ID.fullmatch(branch_id):
            raise UsageError("LOCAL_BRANCH_ID", f"{branch_id!r} cannot be a branch id")
        return self.branches / branch_id

    def log(self, name: str) -> Path:
        """The log file of a branch or a pooler."""
        return self.logs / f"{name}.log"

    def socket_folder(self, name: str) -> Path:
        """The private folder of one server's socket; its name is short because socket paths must be."""
        assert self._sockets is not None
        return self._sockets / hashlib.blake2s(name.encode(), digest_size=4).hexdigest()

    def lock(self) -> None:
        """Take the folder. Raises RetryableError while another process has it."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.root / "engine.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RetryableError(
                "LOCAL_ALREADY_RUNNING",
                f"another process runs the local platform in {self.root}",
                hint="use that one, stop it, or choose another folder with NEONCTL_LOCAL_DIR",
            ) from None
        self._lock = descriptor

    def unlock(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def tidy(self, *, owner: int) -> None:
        """Make the folders and finish or undo what a crash interrupted. No server may be running.

        ``owner`` is the user id that the servers have.
        """
        mode = 0o700 if owner == os.geteuid() else 0o711
        self.root.chmod(mode)
        for folder in (self.branches, self.logs, self.poolers):
            folder.mkdir(exist_ok=True, mode=mode)
        remove_tree(self.template.with_name("template.part"))
        for entry in sorted(self.branches.iterdir()):
            if entry.suffix in {".part", ".trash"}:
                remove_tree(entry)
            elif entry.suffix == ".new":
                _finish_swap(entry)
        for entry in self.branches.iterdir():
            # Its process id may belong to some other program by now, which would keep PostgreSQL from starting.
            with contextlib.suppress(FileNotFoundError):
                (entry / "postmaster.pid").unlink()
        self._make_sockets(mode)

    def _make_sockets(self, mode: int) -> None:
        self.remove_sockets()
        near = self.root / "s"
        if len(os.fsencode(near)) + _SOCKET_ROOM < _SOCKET_PATH_BYTES:
            near.mkdir(exist_ok=True, mode=mode)
            self._sockets = near
            return
        far = Path(tempfile.mkdtemp(prefix="neonctl-", dir="/tmp"))
        far.chmod(mode)
        self._socket_record.write_text(str(far))
        self._sockets = far

    def remove_sockets(self) -> None:
        """Remove the folder of sockets, also one that an earlier run left outside."""
        with contextlib.suppress(OSError):
            far = Path(self._socket_record.read_text())
            if far.name.startswith("neonctl-") and far.stat().st_uid == os.geteuid():
                shutil.rmtree(far)
        self._socket_record.unlink(missing_ok=True)
        remove_tree(self.root / "s")


def _finish_swap(new: Path) -> None:
    old = new.with_suffix("")
    if old.exists():  # the swap had not begun
        remove_tree(new)
    else:
        new.rename(old)


def raise_file_limit() -> None:
    """Let this process and its children open as many files as the system lets them."""
    # Each client costs two descriptors here, and PgBouncer inherits the limit.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
