"""The API's memory: SQLite in WAL mode, one transaction per change. A kill at any point loses nothing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

from neonctl.local.api.rows import (
    UNFINISHED,
    Branch,
    Database,
    Endpoint,
    Operation,
    Project,
    Role,
)
from neonctl.local.api.table import Table

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_UNFINISHED_SQL = "('" + "', '".join(UNFINISHED) + "')"


class FileSeal:
    """Encrypts with a key that lies beside the data in a file of its own (0600)."""

    def __init__(self, key_file: Path) -> None:
        if not key_file.exists():
            part = key_file.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_bytes(Fernet.generate_key())
            part.replace(key_file)
        self._fernet = Fernet(key_file.read_bytes())

    def close(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, text: str) -> str:
        return self._fernet.decrypt(text.encode()).decode()


class Store:
    """Everything the API knows. All calls are synchronous and short; use it from one thread."""

    def __init__(self, path: Path, key_file: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        seal = FileSeal(key_file)
        self.projects = Table(self._db, "projects", Project, ("id",), seal)
        self.branches = Table(self._db, "branches", Branch, ("id",), seal)
        self.endpoints = Table(self._db, "endpoints", Endpoint, ("id",), seal)
        self.roles = Table(self._db, "roles", Role, ("branch_id", "name"), seal)
        self.databases = Table(self._db, "databases", Database, ("branch_id", "name"), seal)
        self.operations = Table(self._db, "operations", Operation, ("id",), seal)
        self._db.execute("CREATE INDEX IF NOT EXISTS operations_by_project ON operations (project_id, seq)")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All or nothing. Not to be nested."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def unfinished(self, project_id: str) -> list[Operation]:
        """Operations still to be done, oldest first."""
        return self.operations.select(f"project_id = ? AND status IN {_UNFINISHED_SQL} ORDER BY seq", (project_id,))

    def projects_with_work(self) -> set[str]:
        """Ids of projects that have unfinished operations."""
        return {item.project_id for item in self.operations.select(f"status IN {_UNFINISHED_SQL}")}

    def live_branches(self, project_id: str) -> list[Branch]:
        return self.branches.select("project_id = ? AND deleted_at IS NULL ORDER BY created_at", (project_id,))

    def children(self, branch_id: str) -> list[Branch]:
        return self.branches.select("parent_id = ? AND deleted_at IS NULL", (branch_id,))

    def live_endpoints(self, branch_id: str) -> list[Endpoint]:
        return self.endpoints.select("branch_id = ? AND deleted_at IS NULL ORDER BY created_at", (branch_id,))

    def live_roles(self, branch_id: str) -> list[Role]:
        return self.roles.select("branch_id = ? AND deleted_at IS NULL ORDER BY created_at, name", (branch_id,))

    def live_databases(self, branch_id: str) -> list[Database]:
        return self.databases.select("branch_id = ? AND deleted_at IS NULL ORDER BY id", (branch_id,))

    def forget_branch(self, branch_id: str) -> None:
        """Remove a branch that never came to be, with all that belongs to it. Inside a transaction."""
        for table in (self.endpoints, self.roles, self.databases):
            table.delete("branch_id = ?", (branch_id,))
        self.branches.delete("id = ?", (branch_id,))

    def copy_contents(self, source_id: str, target_id: str) -> None:
        """Give a branch the roles, their passwords and the databases of another. Inside a transaction."""
        for table in (self.roles, self.databases):
            table.delete("branch_id = ?", (target_id,))
        for role in self.live_roles(source_id):
            self.roles.put(replace(role, branch_id=target_id))
        for database in self.live_databases(source_id):
            self.databases.put(replace(database, branch_id=target_id, id=self.databases.next("id")))
