"""Copying a cluster's files: instantly where the file system can share blocks, plainly elsewhere."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

_FICLONE = 0x40049409  # Linux

# Contents that belong to a running server, or are rebuilt by it at start (PostgreSQL manual, "Making a Base
# Backup Using the Low Level API"). Slots are left behind: they belong to one compute (facts.md 3).
_EMPTY_FOLDERS = frozenset(
    {"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"}
)
_SKIPPED_FILES = frozenset(
    {
        "postmaster.pid",
        "postmaster.opts",
        "pg_internal.init",
        "backup_label",
        "tablespace_map",
        "current_logfiles",
        "backup_manifest",
    }
)
_TEMPORARY = re.compile(r"^(pgsql_tmp.*|t\d+_\d+(_\w+)?(\.\d+)?|pg_internal\.init\.\d+)$")
_CHUNK = 1 << 20


class TreeCopier:
    """Copies files of one cluster; remembers whether the file system shares blocks."""

    def __init__(self, give: Callable[[Path], None] | None = None) -> None:
        self._give = give  # makes another user own each copy, where the servers are another user
        self._shares_blocks = sys.platform.startswith("linux")

    def cluster(self, source: str, target: str) -> None:
        """Copy a data folder but for what a copy must not have. Files that vanish meanwhile are left out.

        ``pg_control`` comes last, so that it is never older than the files it speaks about.
        """
        self._folder(source, target, top=True)
        self.file(os.path.join(source, "global", "pg_control"), os.path.join(target, "global", "pg_control"))  # noqa: PTH118

    def _folder(self, source: str, target: str, *, top: bool = False) -> None:
        os.mkdir(target, 0o700)  # noqa: PTH102 - plain strings: thousands of files, Path costs more than the copy
        self._own(target)
        with contextlib.suppress(FileNotFoundError), os.scandir(source) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if top and name in _EMPTY_FOLDERS:
                        self._empty_folder(f"{target}/{name}", wal=name == "pg_wal")
                    elif not name.startswith("pgsql_tmp"):
                        self._folder(entry.path, f"{target}/{name}")
                elif name not in _SKIPPED_FILES and name != "pg_control" and not _TEMPORARY.match(name):
                    with contextlib.suppress(FileNotFoundError):
                        self.file(entry.path, f"{target}/{name}")

    def _empty_folder(self, folder: str, *, wal: bool) -> None:
        for path in [folder, *([f"{folder}/archive_status", f"{folder}/summaries"] if wal else [])]:
            os.mkdir(path, 0o700)  # noqa: PTH102
            self._own(path)

    def file(self, source: str, target: str) -> None:
        """Copy one file, sharing its blocks where possible. Raises FileNotFoundError when it has vanished."""
        read = os.open(source, os.O_RDONLY)
        try:
            write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                if not self._clone(read, write):
                    while chunk := os.read(read, _CHUNK):
                        _write_all(write, chunk)
            finally:
                os.close(write)
        finally:
            os.close(read)
        self._own(target)

    def _clone(self, read: int, write: int) -> bool:
        if not self._shares_blocks:
            return False
        try:
            fcntl.ioctl(write, _FICLONE, read)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM}:
                raise
            self._shares_blocks = False
            return False
        return True

    def _own(self, path: str) -> None:
        if self._give is not None:
            self._give(Path(path))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Make the renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Delete a folder with everything in it; one that is not there is fine."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def sync_file_system(folder: Path) -> None:
    """Have everything that was written to the file system of ``folder`` survive a power cut.

    One call for a copied cluster instead of an fsync for each of its thousands of files.
    """
    if sys.platform.startswith("linux"):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if ctypes.CDLL(None).syncfs(descriptor) == 0:
                return
        finally:
            os.close(descriptor)
    os.sync()
