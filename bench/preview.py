"""``neonctl preview create`` with six databases and a migration in each, beside a script of the bare steps.

dev has what this repository has; the pull request brings one more migration to each database. Floor, one step after
another as a script would have it: ``POST /branches`` with a compute, its operation asked for all the time; the owner's
password reset through the API and one psql that sets the password of every other role; psql for each database, over
TLS, with its file in a transaction and Flyway's row. Nobody stores, tries, records or proves anything.

What Python takes to start and to import is not counted, what psql takes to start is; ``details`` has whole processes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.embedded import embedded, neonctl, settings
from bench.measure import Figure, command, timed
from bench.raw_api import RawApi
from neonctl.desired.model import Desired, role_name
from neonctl.local.state import branches
from neonctl.migrations.evidence import Provenance
from neonctl.pipelines.configuration import Configuration, read_configuration, with_previews
from neonctl.pipelines.preview import create_preview
from neonctl.plan.ownership import PullRequest
from neonctl.provision.audit import AuditLog
from neonctl.provision.progress import silent
from neonctl.provision.services import Services

if TYPE_CHECKING:
    from neonctl.local.state import Platform

_SCHEMAS = {
    "bank_core": "core",
    "bank_kyc": "kyc",
    "bank_aml": "aml",
    "bank_payments": "payments",
    "bank_credit": "credit",
    "bank_app": "app",
}
_UP = """\
CREATE TABLE {schema}.notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notes_by_time ON {schema}.notes (written_at);
COMMENT ON TABLE {schema}.notes IS 'What the pull request adds';
"""


def run(runs: int) -> list[Figure]:
    """Previews and scripts by turns, then a few as whole processes."""
    made: list[float] = []
    floor: list[float] = []
    whole: list[float] = []
    folder = Path(tempfile.mkdtemp(prefix="neonctl-bench-preview-"))
    try:
        with embedded() as platform:
            neonctl(platform, "apply")
            _write_pull_request(folder / "db")
            maker, script = _Maker(platform, folder), _Script(platform, folder)
            maker.create(900)  # imports, connections, the parser: what a process does once
            maker.delete(900)
            for number in range(1, runs + 1):
                floor.append(timed(lambda number=number: script.run(f"bench-{number}")))
                script.delete(f"bench-{number}")
                made.append(timed(lambda number=number: maker.create(number)))
                maker.delete(number)
            for number in range(101, 101 + min(runs, 3)):
                whole.append(neonctl(platform, "preview", "create", str(number), "--db", str(folder / "db")))
                maker.delete(number)
            maker.close()
            script.close()
    finally:
        shutil.rmtree(folder)
    return [
        Figure(
            "preview with six databases and their migrations",
            made,
            floor,
            "the branch, psql for each database, psql for the passwords",
            most_ratio=1.4,
            details={"whole_process_s": [round(each, 4) for each in whole]},
        )
    ]


def _write_pull_request(folder: Path) -> None:
    """The repository's migrations, and one more in each database."""
    shutil.copytree("db", folder)
    for database, schema in _SCHEMAS.items():
        number = sum(1 for _ in (folder / database / "migrations").glob("V*.sql")) + 1
        up, down = f"V{number:03d}__add_notes.sql", f"U{number:03d}__add_notes_rollback.sql"
        (folder / database / "migrations" / up).write_text(_UP.format(schema=schema))
        (folder / database / "migrations" / down).write_text(f"DROP TABLE {schema}.notes;\n")


class _Maker:
    """What is measured, without what Python takes to start."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._configuration = read_configuration(Path("config"), folder / "db")
        self._services = Services(settings(platform), self._configuration.desired, purpose="bench")
        self._sink = f"file:{folder}/audit.jsonl"

    def create(self, number: int) -> None:
        """One preview from nothing."""
        made = create_preview(
            PullRequest(number),
            with_previews(self._configuration, [f"pr-{number}"]),
            self._services,
            recreate=False,
            progress=silent,
            audit=AuditLog(self._sink, actor=lambda _: "bench", trace_id="bench"),
            provenance=lambda _: Provenance("bench", "bench"),
        )
        assert set(made.migrations) == set(self._configuration.migrations)

    def delete(self, number: int) -> None:
        neonctl(self._platform, "preview", "delete", str(number))

    def close(self) -> None:
        self._services.close()


class _Script:
    """The bare steps."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._api = RawApi(platform)
        self._platform = platform
        self._folder = folder
        self._configuration = read_configuration(Path("config"), folder / "db")
        self._dev = next(each for each in branches(platform) if each.branch == "dev")
        for database in self._configuration.migrations:
            (folder / f"{database}.sql").write_text(_script(self._configuration, database))

    def run(self, name: str) -> None:
        """Branch, migrations, passwords."""
        where = f"/projects/{self._dev.project_id}/branches"
        compute = {"type": "read_write", "autoscaling_limit_min_cu": 0.25, "autoscaling_limit_max_cu": 0.25}
        body = {"branch": {"name": name, "parent_id": self._dev.branch_id}, "endpoints": [compute]}
        branch = self._api.change("POST", where, body)["branch"]["id"]
        self._api.change("POST", f"{where}/{branch}/roles/bank_owner/reset_password")
        query = {"branch_id": branch, "database_name": "bank_core", "role_name": "bank_owner"}
        uri = self._api.call("GET", f"/projects/{self._dev.project_id}/connection_uri", **query)["uri"]
        passwords = self._folder / "passwords.sql"
        passwords.write_text(_passwords(self._configuration.desired))
        self._psql(uri, "bank_core", passwords)
        for database in self._configuration.migrations:
            self._psql(uri, database, self._folder / f"{database}.sql")

    def delete(self, name: str) -> None:
        where = f"/projects/{self._dev.project_id}/branches"
        found = next(each for each in self._api.call("GET", where)["branches"] if each["name"] == name)
        self._api.change("DELETE", f"{where}/{found['id']}")

    def close(self) -> None:
        self._api.close()

    def _psql(self, uri: str, database: str, file: Path) -> None:
        parts = urlsplit(uri)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port),
            "PGUSER": parts.username or "",
            "PGPASSWORD": parts.password or "",
            "PGDATABASE": database,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self._platform.ca_file),
            "PGOPTIONS": "-c client_min_messages=warning",
        }
        command(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file)], environment)


def _script(configuration: Configuration, database: str) -> str:
    """The newest file of a database in a transaction, with Flyway's row, as the role that owns the schemas."""
    text = [f"SET ROLE {role_name(database, 'migrate_user')};\n"]
    for file in configuration.migrations[database].versioned[-1:]:
        facts = f"{file.number}, '{file.version}', 'x', 'SQL', '{file.script}', {file.checksum}"
        row = f"INSERT INTO flyway_schema_history VALUES ({facts}, current_user, now(), 1, true);"
        text.append(f"BEGIN;\n{file.sql}\n;\n{row}\nCOMMIT;\n")
    return "".join(text)


def _passwords(desired: Desired) -> str:
    roles = [role_name(name, kind) for name, wanted in desired.platform.databases.items() for kind in wanted.roles]
    return "".join(f"ALTER ROLE {role} PASSWORD '{secrets.token_urlsafe(32)}';\n" for role in roles)
