"""Migrations that a test adds to a copy of the project, and the way back to what was there before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neonctl_run import Result, run
from platform_fixture import Project

SHIPPED = {"bank_credit": "1", "bank_aml": "1", "bank_app": "1"}  # newest versions of the databases used here


def write(project: Project, database: str, version: str, up: str, down: str = "SELECT 1;") -> Path:
    """``V{version}__added.sql`` and its twin; the path of the first."""
    folder = project.folder / "db" / database / "migrations"
    (folder / f"U{version}__added_rollback.sql").write_text(down + "\n")
    path = folder / f"V{version}__added.sql"
    path.write_text(up + "\n")
    return path


@contextmanager
def taken_back(project: Project, *places: tuple[str, str]) -> Iterator[None]:
    """Afterwards each (environment, database) is at the version that ships, whatever became of the test."""
    kept = {path: path.read_text() for path in (project.folder / "config" / "environments").iterdir()}
    yield
    for path, text in kept.items():
        path.write_text(text)
    for environment, database in places:
        to = SHIPPED[database]
        done = project.run("migrate", "down", "--env", environment, "--database", database, "--to", to, "--confirm", to)
        assert done.code == 0, done.stderr


def cloud(project: Project, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """One command as on Neon and AWS: only there is a run on production asked for."""
    monkeypatch.setattr("certifi.where", lambda: str(project.platform.ca_file))
    return run(*arguments, cwd=project.folder, env=project.cloud())
