from __future__ import annotations

import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from neonctl.migrations.evidence import Provenance, last_listing
from neonctl.migrations.files import MigrationFile, read_migrations
from neonctl.migrations.session import RunSettings
from postgres_server import PostgresServer

SETTINGS = RunSettings(lock_timeout_s=10, statement_timeout_s=30, lock_wait_s=30)
WHO = Provenance(actor="tester", trace_id="trace-1", git_commit="c0ffee")

WriteMigrations = Callable[..., tuple[MigrationFile, ...]]


@pytest.fixture
def database(postgres_server: PostgresServer) -> Generator[str]:
    with postgres_server.database() as name:
        yield name


@pytest.fixture
def write(tmp_path: Path) -> WriteMigrations:
    """``write("CREATE TABLE a ()", ...)`` → V001, V002, … with twins that do nothing, read back.

    A pair of texts is a migration with its undo.
    """

    def write_and_read(*scripts: str | bytes | tuple[str | bytes, str | bytes]) -> tuple[MigrationFile, ...]:
        folder = tmp_path / "migrations"
        folder.mkdir(exist_ok=True)
        for number, script in enumerate(scripts, 1):
            up, down = script if isinstance(script, tuple) else (script, "SELECT 1;\n")
            (folder / f"V{number:03d}__step_{number}.sql").write_bytes(up if isinstance(up, bytes) else up.encode())
            (folder / f"U{number:03d}__step_{number}_rollback.sql").write_bytes(
                down if isinstance(down, bytes) else down.encode()
            )
        return read_migrations(folder)

    return write_and_read


def listed(conn: psycopg.Connection[Any]) -> list[str]:
    """The names of tables and indexes in schema public, as the catalogue was recorded last."""
    found = re.compile(r"(?:table|index) public\.(?:\w+\.)?(\w+): ")
    return sorted({match[1] for line in last_listing(conn) or () if (match := found.match(line))})
