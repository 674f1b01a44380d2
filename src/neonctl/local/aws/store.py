"""The state behind the AWS endpoints: one SQLite file, one transaction per operation."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, TypeVar

from neonctl.errors import NeonctlError
from neonctl.local.aws.sealing import Sealer, load_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_SCHEMA_VERSION = 2
_KEY_PROOF_PLACE = "meta:key_proof"
MANAGED_ALIASES = ("alias/aws/secretsmanager", "alias/aws/ssm")
"""The keys that AWS makes by itself in every account."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one operation works with: the open transaction, the sealer and the moment it runs at."""

    db: sqlite3.Connection
    sealer: Sealer
    now: float


class AwsStore:
    """Owns the SQLite file ``path`` (0600) and the key file that its values are sealed with.

    One file holds what all accounts and regions made, so that whoever looks sees everything. All work runs on
    one thread of its own, one transaction after the other: operations are serialised as if AWS had one front,
    and the caller's event loop never waits for the disk. WAL with ``synchronous=FULL``: a committed answer is
    on disk, because a database password that changed while its stored copy was lost by a power cut could not
    be found again.

    Raises NeonctlError (LOCAL_AWS_KEY_MISSING, LOCAL_AWS_KEY_INVALID, LOCAL_AWS_SEAL_BROKEN,
    LOCAL_AWS_STATE_UNKNOWN).
    """

    def __init__(self, path: Path, key_file: Path, *, clock: Callable[[], float] = time.time) -> None:
        fresh = not path.exists() or path.stat().st_size == 0
        self.sealer = Sealer(load_key(key_file, create=fresh))
        self.clock = clock
        # SQLite gives its WAL and shared-memory files the rights of the main file.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-aws")
        try:
            self._worker.submit(self._open).result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Finish the running operation and close the file. Further calls fail."""
        self._worker.shutdown(wait=True)
        self._db.close()

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in a transaction of its own; what it raises rolls everything back."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._transact, work)

    def run_sync(self, work: Callable[[Transaction], T]) -> T:
        """As ``run``, for callers without an event loop (start-up)."""
        return self._worker.submit(self._transact, work).result()

    def _transact(self, work: Callable[[Transaction], T]) -> T:
        now = self.clock()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            _purge(self._db, now)
            result = work(Transaction(self._db, self.sealer, now))
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself; then there is nothing left to end.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> None:
        db = self._db
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                self._create()
            _check_format(version or _SCHEMA_VERSION)
            proof: bytes = db.execute("SELECT value FROM meta WHERE name = 'key_proof'").fetchone()[0]
            self.sealer.open(_KEY_PROOF_PLACE, proof)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _create(self) -> None:
        # One statement after the other: executescript() would commit on its own.
        db, now = self._db, self.clock()
        for statement in _statements(files(__package__ or "").joinpath("schema.sql").read_text()):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('key_proof', ?)", (self.sealer.seal(_KEY_PROOF_PLACE, b"key proof"),))
        db.execute("INSERT INTO event_bus VALUES ('default', NULL, NULL, ?, ?)", (now, now))
        for alias in MANAGED_ALIASES:
            key_id = str(uuid.uuid4())
            db.execute(
                "INSERT INTO kms_key (key_id, spec, usage, description, manager, created_at)"
                " VALUES (?, 'SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT', ?, 'AWS', ?)",
                (key_id, f"Default key for {alias.rsplit('/', 1)[1]}", now),
            )
            db.execute("INSERT INTO kms_alias VALUES (?, ?, ?, ?)", (alias, key_id, now, now))
        db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _check_format(version: int) -> None:
    if version != _SCHEMA_VERSION:
        raise NeonctlError(
            "LOCAL_AWS_STATE_UNKNOWN",
            f"The stored AWS state has format {version}, this program knows {_SCHEMA_VERSION}",
            hint="Use the version of neonctl that wrote it, or run `neonctl local reset`",
        )


def _statements(script: str) -> list[str]:
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _purge(db: sqlite3.Connection, now: float) -> None:
    """Whatever's recovery window has passed is gone, as in AWS. Writes nothing when nothing is due."""
    for table, column in (("secret", "purge_at"), ("kms_key", "deletion_at")):
        due = db.execute(f"SELECT 1 FROM {table} WHERE {column} <= ? LIMIT 1", (now,)).fetchone()  # noqa: S608
        if due is not None:
            db.execute(f"DELETE FROM {table} WHERE {column} <= ?", (now,))  # noqa: S608
