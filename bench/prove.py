"""A proof of 100 small migrations and their undos: nothing applied yet, rows in the tables, everything included.

Each fourth migration makes a table with its index, comment and synthetic rows; the others add a column, a checked
function with a trigger, or seed rows, so that 550 objects stand at the end. The floor is the same scripts in the same
order on the same connection (up, down and up, down to nothing, up, down and up), each as a bare transaction, with
nobody looking at what they did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from bench.embedded import embedded
from bench.measure import Figure, timed
from bench.raw_api import RawApi
from neonctl.migrations.files import MigrationFile, MigrationFolder, read_folder
from neonctl.migrations.proof import FixtureFile, read_fixtures
from neonctl.migrations.prove import prove
from neonctl.migrations.session import RunSettings

if TYPE_CHECKING:
    from neonctl.local.state import Platform

_COUNT = 100
_MOST_S = 8.0
_SETTINGS = RunSettings(lock_timeout_s=10, statement_timeout_s=60)

Connection = psycopg.Connection[tuple[object, ...]]


def run(runs: int) -> list[Figure]:
    """Proof and bare scripts by turns, each in a database of its own."""
    made: list[float] = []
    floor: list[float] = []
    objects = 0
    with embedded() as platform, tempfile.TemporaryDirectory() as folder, _server(platform) as uri:
        files, fixtures = write(Path(folder))
        for number in range(runs):
            with _database(uri, platform, f"floor_{number}") as connection:
                floor.append(timed(lambda connection=connection: _bare(connection, files.versioned)))
            with _database(uri, platform, f"proof_{number}") as connection:
                made.append(timed(lambda connection=connection: _prove(connection, files, fixtures)))
                objects = _objects(connection)
    return [
        Figure(
            "proof of 100 undos",
            made,
            floor,
            "the same scripts as bare transactions",
            most_s=_MOST_S,
            details={"catalogue_objects": objects},
        )
    ]


def write(folder: Path) -> tuple[MigrationFolder, tuple[FixtureFile, ...]]:
    """The files of the benchmark."""
    migrations, fixtures = folder / "migrations", folder / "fixtures"
    migrations.mkdir()
    fixtures.mkdir()
    for number in range(1, _COUNT + 1):
        up, down = _pair(number)
        (migrations / f"V{number:03d}__step.sql").write_text(up)
        (migrations / f"U{number:03d}__step_rollback.sql").write_text(down)
        if number % 4 == 1:
            rows = f"INSERT INTO bank.t{number} (code, amount) SELECT 'c' || i, i FROM generate_series(1, 20) AS i;\n"
            (fixtures / f"V{number:03d}.sql").write_text(rows)
    return read_folder(migrations), read_fixtures(fixtures)


def _pair(number: int) -> tuple[str, str]:
    table = f"bank.t{number - (number - 1) % 4}"
    match number % 4:
        case 1:
            return (
                (
                    f"CREATE TABLE {table} (\n"
                    "    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
                    "    code text NOT NULL UNIQUE,\n"
                    "    amount numeric(18, 2) NOT NULL DEFAULT 0 CHECK (amount >= 0),\n"
                    "    at timestamptz NOT NULL DEFAULT now()\n"
                    ");\n"
                    f"CREATE INDEX ON {table} (at);\n"
                    f"COMMENT ON TABLE {table} IS 'Table of step {number}.';\n"
                    f"GRANT SELECT ON {table} TO PUBLIC;\n"
                ),
                f"DROP TABLE {table};\n",
            )
        case 2:
            return (
                (
                    f"ALTER TABLE {table} ADD note text NOT NULL DEFAULT '', ADD CHECK (length(note) < 100);\n"
                    f"CREATE INDEX ON {table} (note, code);\n"
                    f"COMMENT ON COLUMN {table}.note IS 'Of step {number}.';\n"
                ),
                f"ALTER TABLE {table} DROP note;\n",
            )
        case 3:
            return (
                (
                    f"CREATE FUNCTION bank.f{number}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
                    "BEGIN\n    new.at := now();\n    RETURN new;\nEND $$;\n"
                    f"CREATE TRIGGER touch BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION bank.f{number}();\n"
                    f"CREATE TYPE bank.e{number} AS ENUM ('A', 'B');\n"
                    f"CREATE VIEW bank.v{number} AS SELECT code, amount FROM {table} WHERE amount > 0;\n"
                    f"ALTER TABLE {table} ADD kind bank.e{number};\n"
                ),
                (
                    f"ALTER TABLE {table} DROP kind;\nDROP VIEW bank.v{number};\nDROP TYPE bank.e{number};\n"
                    f"DROP TRIGGER touch ON {table};\nDROP FUNCTION bank.f{number}();\n"
                ),
            )
        case _:
            return (
                (
                    f"INSERT INTO {table} (code, amount) VALUES ('seed', 1), ('sood', 2);\n"
                    f"ALTER TABLE {table} ALTER amount SET DEFAULT 1;\n"
                ),
                (
                    f"ALTER TABLE {table} ALTER amount SET DEFAULT 0;\n"
                    f"DELETE FROM {table} WHERE code IN ('seed', 'sood');\n"
                ),
            )


def _bare(connection: Connection, files: Sequence[MigrationFile]) -> None:
    for file in files:
        for script in (file.sql, file.undo.sql, file.sql):
            connection.execute(f"BEGIN;\n{script};\nCOMMIT".encode())
    for file in reversed(files):
        connection.execute(f"BEGIN;\n{file.undo.sql};\nCOMMIT".encode())
    for file in files:
        for script in (file.sql, file.undo.sql, file.sql):
            connection.execute(f"BEGIN;\n{script};\nCOMMIT".encode())


def _prove(connection: Connection, files: MigrationFolder, fixtures: Sequence[FixtureFile]) -> None:
    proof = prove(
        connection, database="bench", files=files, fixtures=fixtures, progress=lambda _: None, settings=_SETTINGS
    )
    if not proof.ok:
        raise RuntimeError(f"{proof.problems} {[each.problems for each in proof.versions if not each.ok][:3]}")


def _objects(connection: Connection) -> int:
    from neonctl.migrations.catalogue import read_catalogue

    return len({line.partition(": ")[0] for line in read_catalogue(connection).lines})


@contextmanager
def _server(platform: Platform) -> Iterator[str]:
    """A project of its own on the platform; yields its owner's connection string."""
    api = RawApi(platform)
    made = api.change("POST", "/projects", {"project": {"name": "bench-prove", "org_id": api.org_id}})
    try:
        yield made["connection_uris"][0]["connection_uri"]
    finally:
        api.close()


@contextmanager
def _database(uri: str, platform: Platform, name: str) -> Iterator[Connection]:
    tls = {"sslmode": "verify-full", "sslrootcert": str(platform.ca_file)}
    with psycopg.connect(uri, autocommit=True, **tls) as owner:
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(uri, dbname=name, autocommit=True, **tls) as connection:
        connection.execute("CREATE SCHEMA bank")
        yield connection
