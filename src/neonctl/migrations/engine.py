"""yoyo-migrations as the engine: its order, its transactions, its steps. Record, lock and file format are Flyway's.

What yoyo does out of the box is not what a bank wants (a new connection per file, a lock row that survives a crash,
identity by file name, statements split by guesswork, rows printed to stdout), so those hooks are overridden here.
``tests/migrations/test_engine.py`` fails when a new yoyo changes one of them.
"""

# yoyo carries no types: what comes from it is unknown to the checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from typing import Any, NoReturn

import psycopg
from psycopg.pq import TransactionStatus
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import Migration, MigrationList, MigrationStep

from neonctl.migrations.files import AnyFile

_WHOLE_FILE = "the whole file"  # to yoyo an empty text is a step that need not be taken: a file without text is a file


class FileStep(MigrationStep):
    """A whole file as one step, up or down."""

    def __init__(self, file: AnyFile, run: Callable[[AnyFile], None]) -> None:
        super().__init__(0, _WHOLE_FILE, _WHOLE_FILE)
        self._file = file
        self._run = run

    def _execute(self, cursor: Any, stmt: Any, out: Any = None) -> None:
        # Not cursor.execute(stmt): file, history row, BEGIN and COMMIT travel together, and no row is ever printed.
        self._run(self._file)


class FileMigration(Migration):
    """A migration file to yoyo: keyed by its name, depending on the one before it, so that the order is a chain."""

    def __init__(
        self,
        file: AnyFile,
        previous: FileMigration | None,
        *,
        database: str,
        run: Callable[[AnyFile], None],
    ) -> None:
        # yoyo keeps all migrations of a process in one table by id: six databases have a V001 each.
        super().__init__(f"{database}/{file.path.stem}", str(file.path), str(file.path.parent))
        self.file = file
        self.hash = file.script
        self._depends = {previous} if previous else set()
        self._run = run

    def load(self) -> None:
        """The file was read and checked already; yoyo would read and split it again."""
        if not self.loaded:
            self.steps = [FileStep(self.file, self._run)]


class FlywayBackend(PostgresqlPsycopgBackend):
    """yoyo on a connection that the caller opened, keeping Flyway's record instead of its own tables."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        applied: Collection[str],
        around: Callable[[AnyFile, Callable[[], None]], None],
    ) -> None:
        self._given = conn
        self._applied = list(applied)
        self._around = around
        super().__init__(None, "flyway_schema_history")

    def connect(self, dburi: object) -> psycopg.Connection[Any]:
        return self._given

    def init_connection(self, connection: object) -> None:
        """The session's settings travel with each script."""

    def init_database(self) -> None:
        """No lock table, no probe: PostgreSQL rolls back DDL."""

    def ensure_internal_schema_updated(self) -> None:
        """There is no internal schema."""

    def log_migration(self, migration: object, operation: object) -> None:
        """The record says it; host and user of the machine are nobody's business."""

    def copy(self) -> NoReturn:
        raise AssertionError("one connection holds the lock and does the work")

    @contextmanager
    def lock(self, timeout: float = 10) -> Generator[None]:
        """The runner holds Flyway's advisory lock around everything."""
        yield

    def get_applied_migration_hashes(self) -> list[str]:
        return self._applied

    def apply_one(self, migration: Any, force: bool = False, mark: bool = True) -> None:
        """One file: steps and record in one transaction, on the one connection."""
        self._around(migration.file, lambda: migration.process_steps(self, "apply"))

    def rollback_one(self, migration: Any, force: bool = False) -> None:
        """One undo: as above."""
        self._around(migration.file, lambda: migration.process_steps(self, "rollback"))

    def begin(self) -> None:
        """BEGIN travels with the script."""
        self._in_transaction = True

    def commit(self) -> None:
        """COMMIT travelled with the script."""
        self._in_transaction = False

    def rollback(self) -> None:
        """End what an error left open. A connection that is gone has rolled back; its error must not be masked."""
        self._in_transaction = False
        if self._given.closed or self._given.info.transaction_status == TransactionStatus.IDLE:
            return
        try:
            self._given.execute("ROLLBACK")
        except psycopg.OperationalError:
            self._given.close()


def apply_in_order(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    files: Iterable[AnyFile],
    applied: Collection[str],
    run: Callable[[AnyFile], None],
    around: Callable[[AnyFile, Callable[[], None]], None],
) -> None:
    """Let yoyo find what is not applied, sort it and apply it one by one; the first error stops it.

    ``applied`` are names of files. ``run`` sends one file; ``around`` is called with a file and what to call to apply
    it (timing, retries).
    """
    backend = FlywayBackend(conn, applied, around)
    backend.apply_migrations(backend.to_apply(_chain(files, database, run)))


def undo_in_order(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    files: Iterable[AnyFile],
    applied: Collection[str],
    run: Callable[[AnyFile], None],
    around: Callable[[AnyFile, Callable[[], None]], None],
) -> None:
    """Let yoyo undo those of ``files`` that are ``applied``, the newest first; the first error stops it."""
    backend = FlywayBackend(conn, applied, around)
    backend.rollback_migrations(backend.to_rollback(_chain(files, database, run)))


def _chain(files: Iterable[AnyFile], database: str, run: Callable[[AnyFile], None]) -> MigrationList:
    chain: list[FileMigration] = []
    for file in files:
        chain.append(FileMigration(file, chain[-1] if chain else None, database=database, run=run))
    return MigrationList(chain)
