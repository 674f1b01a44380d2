"""The state behind the AWS endpoints: one SQLite file per account, one transaction per operation."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from neonctl.errors import NeonctlError
from neonctl.local.aws.sealing import Sealer, load_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

T = TypeVar("T")

_SCHEMA_VERSION = 1
_SUFFIX = ".db"
ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)
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
    """The accounts' files in ``folder``, one SQLite database each, and the key file that values are sealed with.

    An account's file is made at its first use. No statement can see another account's rows: they are not in
    the file that it runs on.

    Raises NeonctlError (LOCAL_AWS_KEY_MISSING, LOCAL_AWS_KEY_INVALID, LOCAL_AWS_SEAL_BROKEN,
    LOCAL_AWS_STATE_UNKNOWN); what is stored already is checked at once.
    """

    def __init__(self, folder: Path, key_file: Path, *, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = [path.stem for path in folder.glob(f"*{_SUFFIX}") if ACCOUNT_ID.fullmatch(path.stem)]
        self.clock = clock
        self._folder = folder
        self._key = load_key(key_file, create=not found)
        self._lock = Lock()
        self._accounts: dict[str, _Account] = {}
        try:
            for account_id in found:
                self.run_sync(account_id, lambda _: None)
        except BaseException:
            self.close()
            raise

    def sealer(self, realm: str) -> Sealer:
        """A sealer under this store's key, for what is kept elsewhere."""
        return Sealer(self._key, realm)

    def close(self) -> None:
        """Finish the running operations and close the files. Further calls fail."""
        with self._lock:
            for account in self._accounts.values():
                account.close()

    async def run(self, account_id: str, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in a transaction of its own; what it raises rolls everything back."""
        return await asyncio.wrap_future(self._account(account_id).submit(work))

    def run_sync(self, account_id: str, work: Callable[[Transaction], T]) -> T:
        """As ``run``, for callers without an event loop (start-up)."""
        return self._account(account_id).submit(work).result()

    def _account(self, account_id: str) -> _Account:
        if not ACCOUNT_ID.fullmatch(account_id):  # it becomes the name of a file
            raise ValueError(account_id)
        with self._lock:
            if account_id not in self._accounts:
                path = self._folder / f"{account_id}{_SUFFIX}"
                self._accounts[account_id] = _Account(path, self.sealer(account_id), self.clock)
            return self._accounts[account_id]


class _Account:
    """One account's file (0600).

    All work runs on one thread of its own, one transaction after the other: operations are serialised as if
    the account had one front, and the caller's event loop never waits for the disk. WAL with
    ``synchronous=FULL``: a committed answer is on disk, because a database password that changed while its
    stored copy was lost by a power cut could not be found again.
    """

    def __init__(self, path: Path, sealer: Sealer, clock: Callable[[], float]) -> None:
        self._path = path
        self._sealer = sealer
        self._clock = clock
        self._opened: sqlite3.Connection | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-aws")

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Queue a transaction."""
        return self._worker.submit(self._transact, work)

    def close(self) -> None:
        """Finish what is queued and close the file."""
        self._worker.shutdown(wait=True)
        if self._opened is not None:
            self._opened.close()

    def _transact(self, work: Callable[[Transaction], T]) -> T:
        db, now = self._database(), self._clock()
        db.execute("BEGIN IMMEDIATE")
        try:
            _purge(db, now)
            result = work(Transaction(db, self._sealer, now))
            db.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself; then there is nothing left to end.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return result

    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            # SQLite gives its WAL and shared-memory files the rights of the main file.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._path.chmod(0o600)
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10.0)
            try:
                self._open(db)
            except BaseException:
                db.close()
                raise
            self._opened = db
        return self._opened

    def _open(self, db: sqlite3.Connection) -> None:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                self._create(db)
            _check_format(version or _SCHEMA_VERSION)
            proof: bytes = db.execute("SELECT value FROM meta WHERE name = 'key_proof'").fetchone()[0]
            self._sealer.open(_KEY_PROOF_PLACE, proof)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _create(self, db: sqlite3.Connection) -> None:
        # One statement after the other: executescript() would commit on its own.
        now = self._clock()
        for statement in _statements(files(__package__ or "").joinpath("schema.sql").read_text()):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('key_proof', ?)", (self._sealer.seal(_KEY_PROOF_PLACE, b"key proof"),))
        db.execute("INSERT INTO event_bus VALUES ('default', NULL, ?, ?)", (now, now))
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
