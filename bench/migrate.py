"""100 small migrations on one database, beside psql, without and with 20 ms to the server and back.

Subject: reading the files, connecting and ``migrate``: the files held against the rules by the parser, then each with
Flyway's row and its evidence, in the end the catalogue's listing. Floors: psql with one transaction and one history
row a file; with 20 ms, ``psql -1`` with all files and no record. Each run has a database of its own.

What Python takes to start and to import is not counted here (``migrate_noop`` does), what psql takes to start is;
``details`` has the time of whole processes of ours, too. The less a commit costs, the more the parser, the evidence and
the listing weigh, which the floor has not: where the temporary folder is in memory the first ratio is at its worst.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

import neonctl.migrations.catalogue
import neonctl.migrations.engine
import neonctl.migrations.lint.script  # imported when needed: not while we measure
from bench.embedded import embedded, neonctl
from bench.measure import Figure, command, python, timed
from neonctl.local.clusters.binaries import find_postgres
from neonctl.local.clusters.template import superuser_password
from neonctl.local.home import Home
from neonctl.local.state import branches
from neonctl.migrations.evidence import Provenance
from neonctl.migrations.files import read_folder
from neonctl.migrations.history import CREATE_TABLE
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import RunSettings

if TYPE_CHECKING:
    from neonctl.local.state import Platform

_FILES = 100
_ROUND_TRIP_MS = 20
_UP = """\
CREATE TABLE step_{n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, made timestamptz);
CREATE INDEX step_{n}_name ON step_{n} (name);
COMMENT ON TABLE step_{n} IS 'The {n}th of many';
"""
_ROW = """\
INSERT INTO flyway_schema_history VALUES
({n}, '{n:03d}', 'step {n}', 'SQL', 'V{n:03d}__step_{n}.sql', 1, current_user, now(), 1, true);
"""
_RUNNER = """
import sys
from bench.migrate import migrate_all
migrate_all(sys.argv[1], sys.argv[2])
"""


def run(runs: int) -> list[Figure]:
    """Both by turns on one cluster, directly and from far away."""
    folder = Path(tempfile.mkdtemp(prefix="neonctl-bench-files-"))
    try:
        _write(folder)
        with embedded() as platform:
            neonctl(platform, "apply")
            server = _Server(platform)
            with server.far_away(_ROUND_TRIP_MS) as port:
                near = [server.both(folder, "each.sql", None) for _ in range(runs)]
                far = [server.both(folder, "all.sql", port, "-1") for _ in range(min(runs, 3))]
            whole = [server.process(folder) for _ in range(min(runs, 3))]
    finally:
        shutil.rmtree(folder)
    return [
        Figure(
            f"{_FILES} migrations",
            [ours for ours, _ in near],
            [floor for _, floor in near],
            "psql, one transaction and history row per file",
            most_ratio=1.25,
            details={"whole_process_s": [round(each, 4) for each in whole], "kept_in": tempfile.gettempdir()},
        ),
        Figure(
            f"{_FILES} migrations, {_ROUND_TRIP_MS} ms round trip",
            [ours for ours, _ in far],
            [floor for _, floor in far],
            "psql -1, all files in one transaction",
            most_ratio=0.6,
        ),
    ]


class _Server:
    """A branch's cluster by its private socket, as its superuser."""

    def __init__(self, platform: Platform) -> None:
        home = Home(platform.data_dir / "engine")
        branch = branches(platform)[0]
        conf = (home.branch(branch.branch_id) / "postgresql.conf").read_text()
        sockets = home.root / re.findall(r"^unix_socket_directories = '(.*)'$", conf, re.MULTILINE)[-1]
        self._socket = sockets / ".s.PGSQL.5432"
        self._psql = str(find_postgres().program("psql"))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PGHOST": str(sockets),
            "PGUSER": "cloud_admin",
            "PGPASSWORD": superuser_password(home.superuser).reveal(),
            "PGSSLMODE": "disable",
            "PGOPTIONS": "-c client_min_messages=warning",
        }
        self._made = 0

    def both(self, folder: Path, script: str, port: str | None, *options: str) -> tuple[float, float]:
        """Seconds of the runner and of psql, each in a fresh database."""
        there = {"PGHOST": "127.0.0.1", "PGPORT": port} if port else {}
        with self._database(history=False) as name:
            ours = timed(lambda: migrate_all(folder / "migrations", self._conninfo(name, port)))
        with self._database(history=True) as name:
            quiet = (self._psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", *options)
            floor = command([*quiet, "-f", str(folder / script)], {**self._environment, **there, "PGDATABASE": name})
        return ours, floor

    def process(self, folder: Path) -> float:
        """Seconds of a whole process of the runner."""
        with self._database(history=False) as name:
            return command(
                python("-c", _RUNNER, str(folder / "migrations"), self._conninfo(name, None)), self._environment
            )

    @contextlib.contextmanager
    def far_away(self, milliseconds: int) -> Iterator[str]:
        """The port of a way to the same server that takes so long both ways together."""
        process = subprocess.Popen(
            python("-m", "bench.delay", str(self._socket), str(milliseconds)), stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def _database(self, *, history: bool) -> Iterator[str]:
        self._made += 1
        name = f"bench_{self._made}"
        with self._connect("postgres") as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            if history:
                with self._connect(name) as conn:
                    conn.execute(CREATE_TABLE)
            yield name
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _conninfo(self, database: str, port: str | None) -> str:
        given = self._environment
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1" if port else given["PGHOST"],
            port=port or "5432",
            user=given["PGUSER"],
            password=given["PGPASSWORD"],
            dbname=database,
            sslmode="disable",
        )

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._conninfo(database, None), autocommit=True)


def migrate_all(folder: Path | str, conninfo: str) -> None:
    """What is measured."""
    files = read_folder(Path(folder))
    with psycopg.connect(conninfo, autocommit=True) as conn:
        done = migrate(
            conn,
            database="bench",
            files=files,
            progress=lambda _: None,
            settings=RunSettings(lock_timeout_s=5, statement_timeout_s=60),
            provenance=Provenance("bench", "bench"),
        )
    assert len(done.applied) == _FILES


def _write(folder: Path) -> None:
    """The files, what psql runs of them, and the same in one transaction without a record."""
    migrations = folder / "migrations"
    migrations.mkdir()
    each: list[str] = []
    for n in range(1, _FILES + 1):
        (migrations / f"V{n:03d}__step_{n}.sql").write_text(_UP.format(n=n))
        (migrations / f"U{n:03d}__step_{n}_rollback.sql").write_text(f"DROP TABLE step_{n};\n")
        each.append(f"BEGIN;\n\\i {migrations}/V{n:03d}__step_{n}.sql\n{_ROW.format(n=n)}COMMIT;\n")
    (folder / "each.sql").write_text("".join(each))
    (folder / "all.sql").write_text("".join(_UP.format(n=n) for n in range(1, _FILES + 1)))
