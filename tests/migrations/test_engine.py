"""The contract with yoyo: a new version that changes what ``engine.py`` builds on must fail here, not in a bank."""

from __future__ import annotations

import hashlib
import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest
from yoyo import migrations
from yoyo.backends import base
from yoyo.backends.core.postgresql import PostgresqlBackend, PostgresqlPsycopgBackend

RELIED_UPON = {
    base.TransactionManager: "27263f12aef4349b",
    base.DatabaseBackend: "ed9bdd28a8d7359d",
    PostgresqlBackend: "5430085b7ac767c2",
    PostgresqlPsycopgBackend: "22837bcc9eab3e8c",
    migrations.Migration: "3b0d6f796ca475f7",
    migrations.MigrationStep: "48d5382de0b933c5",
    migrations.MigrationList: "e786da22da72a44f",
    migrations.topological_sort: "f95224510b70ba08",
}


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("yoyo-migrations") == "9.0.0"


@pytest.mark.parametrize(("what", "digest"), RELIED_UPON.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_overridden_or_relied_upon_reads_as_it_did(what: object, digest: str) -> None:
    """If this fails: read yoyo's change, decide for each hook in ``engine.py``, then record the new digest."""
    assert _digest(what) == digest


def test_a_run_with_nothing_to_do_imports_neither_engine_nor_parser() -> None:
    look = "import sys, neonctl.migrations.runner; print({'yoyo', 'sqlparse', 'postgast'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], check=True, capture_output=True).stdout == b"set()\n"


def _digest(what: object) -> str:
    assert inspect.isclass(what) or inspect.isfunction(what)
    return hashlib.sha256(inspect.getsource(what).encode()).hexdigest()[:16]
