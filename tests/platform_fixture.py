"""One embedded platform for the whole test run, provisioned once by ``apply`` from the configuration as shipped.

Tests that change it bring it back by ``apply``, which is a test by itself. ``project`` is for tests that need
another configuration: a copy of it to edit, on the same platform.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from neonctl_run import Result, run

from neonctl.local import state
from neonctl.local.layout import Layout
from neonctl.local.platform import stop

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Project:
    """A project folder (``config/``, ``db/``) and the embedded platform that it is applied to."""

    folder: Path
    local_dir: Path

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What makes a command work on this platform when it says ``--local``."""
        return {"NEONCTL_LOCAL_DIR": str(self.local_dir), **(more or {})}

    def cloud(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The same platform as if it were Neon and AWS: found through the environment, without ``--local``."""
        return {
            "NEON_API_HOST": self.platform.api_url,
            "NEON_API_KEY": self.platform.api_key.reveal(),
            "AWS_ENDPOINT_URL": self.platform.aws_endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": self.platform.api_key.reveal(),
            "AWS_EC2_METADATA_DISABLED": "true",
            **(more or {}),
        }

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Result:
        """One command in this folder on the embedded platform."""
        return run(
            *arguments, cwd=self.folder, env=self.environment({"NEONCTL_TARGET": "local", **(env or {})}), stdin=stdin
        )

    @property
    def platform(self) -> state.Platform:
        """How to reach the platform."""
        found = state.read_state(Layout(self.local_dir))
        assert found is not None
        return found

    @property
    def audit_file(self) -> Path:
        """Where the configuration as shipped sends audit records."""
        return self.folder / ".neonctl" / "audit.jsonl"

    def audit_lines(self) -> list[str]:
        """The audit records so far."""
        return self.audit_file.read_text().splitlines() if self.audit_file.exists() else []

    def edit(self, file: str, *changes: tuple[str, str]) -> None:
        """Replace text that stands exactly once in a file below ``config/``."""
        path = self.folder / "config" / file
        text = path.read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} must stand exactly once in {file}"
            text = text.replace(old, new)
        path.write_text(text)

    def changing_calls(self) -> list[str]:
        """Every call so far that Neon or AWS may have changed something by."""
        return [
            f"{call['service']} {call['call']}"
            for call in state.journal(self.platform)
            if not str(call["call"]).startswith(("GET", "Get", "List", "Describe", "AssumeRole"))
        ]

    def superuser(self, branch: str, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of ``bank_owner``, with which people change things by hand."""
        import httpx

        found = next(each for each in state.branches(self.platform) if each.branch == branch and each.project == "bank")
        answer = httpx.get(
            f"{self.platform.api_url}/projects/{found.project_id}/connection_uri",
            params={"branch_id": found.branch_id, "database_name": database, "role_name": "bank_owner"},
            headers={"Authorization": f"Bearer {self.platform.api_key.reveal()}"},
            trust_env=False,
        )
        uri = answer.json()["uri"].split("?")[0]
        return psycopg.connect(
            uri, sslmode="verify-full", sslrootcert=str(self.platform.ca_file), autocommit=True, connect_timeout=10
        )

    def sql(self, branch: str, database: str, *statements: str) -> list[tuple[object, ...]]:
        """Run statements as ``bank_owner``; the rows of the last one."""
        with self.superuser(branch, database) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType]
            return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True)
class Provisioned(Project):
    """The shared platform, and what its first ``apply`` said."""

    first_apply: Result
    seen_arguments: Sequence[str]  # of every process that ran meanwhile


@pytest.fixture(scope="session")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provisioned]:
    """The shared platform with prod, uat and dev as shipped."""
    folder = tmp_path_factory.mktemp("bank")
    copy_configuration(folder)
    local_dir = folder / ".neonctl"
    project = Project(folder, local_dir)
    try:
        with ProcessWatch() as watch:
            first = project.run("apply", "--log-format", "text")
        assert first.code == 0, first.stderr
        yield Provisioned(folder, local_dir, first, sorted(watch.arguments))
    finally:
        stop(local_dir)


@pytest.fixture
def project(provisioned: Provisioned, tmp_path: Path) -> Project:
    """A copy of the configuration to edit, on the shared platform."""
    copy_configuration(tmp_path)
    return Project(tmp_path, provisioned.local_dir)


def copy_configuration(folder: Path) -> None:
    """``config/`` and ``db/`` of this repository, below ``folder``."""
    for name in ("config", "db"):
        shutil.copytree(REPOSITORY / name, folder / name)


class ProcessWatch:
    """Collects the arguments of every process on this machine while it is open."""

    def __init__(self) -> None:
        self.arguments: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.arguments.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
