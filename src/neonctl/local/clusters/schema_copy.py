"""Schema-only branches: roles with their passwords, databases, schemas, owners and grants; never a row.

PostgreSQL's own dump programs write the SQL, so that nothing is forgotten; rows are not read at all.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from neonctl.errors import ServiceError
from neonctl.local.clusters.cluster import Cluster, Tools
from neonctl.local.clusters.config import SOCKET_PORT, SUPERUSER

_PARALLEL = 4
_IN_TEMPLATE = {f"CREATE ROLE {SUPERUSER};".encode(), b"CREATE ROLE neon_superuser;"}


async def copy_schema(tools: Tools, source: Cluster, target: Cluster) -> None:
    """Give ``target``, fresh from the template, everything of ``source`` but rows. Both must be running.

    Raises ServiceError with the program's own words when a dump or its replay fails.
    """
    with tempfile.TemporaryDirectory(prefix="neonctl-") as temporary:
        folder = tools.identity.make_folder(Path(temporary))
        password_file = folder / "pgpass"
        tools.identity.write_private(password_file, f"*:*:*:*:{tools.superuser_password.reveal()}\n")
        copy = _SchemaCopy(tools, source, target, folder)
        await asyncio.to_thread(copy.roles)
        async with await source.connect() as connection:
            cursor = await connection.execute(
                "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
            )
            databases = [str(row[0]) for row in await cursor.fetchall()]
        limit = asyncio.Semaphore(min(_PARALLEL, os.cpu_count() or 1))

        async def one(dbname: str) -> None:
            async with limit:
                await asyncio.to_thread(copy.database, dbname)

        await asyncio.gather(*(one(dbname) for dbname in databases))


class _SchemaCopy:
    def __init__(self, tools: Tools, source: Cluster, target: Cluster, folder: Path) -> None:
        self._tools = tools
        self._source = source
        self._target = target
        self._folder = folder

    def roles(self) -> None:
        text = self._run("pg_dumpall", self._source, "postgres", "--roles-only")
        self._replay(b"\n".join(line for line in text.splitlines() if line not in _IN_TEMPLATE), "postgres")

    def database(self, dbname: str) -> None:
        # The database "postgres" exists in every cluster; the others bring their own CREATE DATABASE.
        create = [] if dbname == "postgres" else ["--create"]
        text = self._run("pg_dump", self._source, dbname, "--schema-only", "--no-subscriptions", *create)
        self._replay(text, "postgres")

    def _replay(self, text: bytes, dbname: str) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".sql")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        script = Path(name)
        self._tools.identity.give(script)
        try:
            self._run("psql", self._target, dbname, "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", name)
        finally:
            script.unlink()

    def _run(self, program: str, cluster: Cluster, dbname: str, *arguments: str) -> bytes:
        target = (
            f"host='{_quoted(str(cluster.socket_folder))}' port={SOCKET_PORT} user={SUPERUSER} "
            f"dbname='{_quoted(dbname)}' passfile='{_quoted(str(self._folder / 'pgpass'))}'"
        )
        result = self._tools.identity.run(
            [self._tools.postgres.program(program), f"--dbname={target}", *arguments], folder=self._folder
        )
        if result.returncode != 0:
            said = [line for line in result.stderr.decode(errors="replace").splitlines() if "ERROR" in line]
            raise ServiceError(
                "LOCAL_SCHEMA_COPY",
                f"{program} failed on database {dbname}: {said[0] if said else 'it gave no error line'}",
            )
        return result.stdout


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
