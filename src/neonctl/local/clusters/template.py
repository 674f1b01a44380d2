"""The cluster that every new root branch is copied from, made once per engine.

It holds what a fresh Neon compute holds: ``cloud_admin`` and ``neon_superuser`` (facts.md 5).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from pathlib import Path

from psycopg import AsyncConnection, sql

from neonctl.errors import ServiceError
from neonctl.local.clusters.cluster import Cluster, Tools
from neonctl.local.clusters.config import SUPERUSER, ClusterSettings
from neonctl.local.clusters.files import remove_tree, sync_folder
from neonctl.secret import Secret

_ADMIN_OPTIONS = (
    "pg_read_all_data",
    "pg_write_all_data",
    "pg_monitor",
    "pg_create_subscription",
    "pg_signal_backend",
    "pg_maintain",
    "pg_signal_autovacuum_worker",  # since 18
)

# The compute's port asks this before it lets a transaction commit that may have set a password. It shows a role
# only verifiers that its own transaction wrote: rows that are visible and yet in progress are one's own.
_CHANGED_PASSWORDS = """
CREATE FUNCTION pg_catalog.neonctl_changed_passwords(OUT role text, OUT verifier text) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT rolname::text, rolpassword FROM pg_catalog.pg_authid
    WHERE rolpassword IS NOT NULL AND pg_xact_status(xmin::text::xid8) = 'in progress'
$$
"""


def superuser_password(path: Path) -> Secret:
    """The superuser's password of this engine, made at the first call and kept in a file of mode 0600."""
    try:
        return Secret(path.read_text())
    except FileNotFoundError:
        password = Secret(secrets.token_urlsafe(32))
        part = path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password.reveal())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return password


async def make_template(tools: Tools, folder: Path, *, socket_folder: Path, log: Path) -> None:
    """Make the template cluster in ``folder``, stopped; nothing to do when it is there."""
    if await asyncio.to_thread(folder.exists):
        return
    part = folder.with_name(folder.name + ".part")
    remove_tree(part)
    tools.identity.make_folder(part)
    await asyncio.to_thread(_initdb, tools, part)
    cluster = Cluster(tools, part, socket_folder, log)
    await cluster.start(ClusterSettings())
    try:
        await _furnish(cluster)
    finally:
        await cluster.stop()
    part.rename(folder)
    sync_folder(folder.parent)


def _initdb(tools: Tools, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="neonctl-") as temporary:
        tools.identity.make_folder(Path(temporary))
        password_file = Path(temporary) / "password"
        tools.identity.write_private(password_file, tools.superuser_password.reveal())
        result = tools.identity.run(
            [
                tools.postgres.program("initdb"),
                f"--pgdata={folder}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--wal-segsize=1",
                "--no-instructions",
            ],
            folder=folder,
        )
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip().splitlines()
        raise ServiceError(
            "LOCAL_INITDB",
            f"initdb failed in {folder}: {said[-1] if said else 'it said nothing'}",
            hint="every folder above it must be accessible to the user that PostgreSQL runs as",
        )


async def _furnish(cluster: Cluster) -> None:
    async with await cluster.connect() as connection:
        await connection.execute("CREATE ROLE neon_superuser NOLOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS")
        existing = await connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(_ADMIN_OPTIONS)]
        )
        for (role,) in await existing.fetchall():
            await connection.execute(
                sql.SQL("GRANT {} TO neon_superuser WITH ADMIN OPTION").format(sql.Identifier(role))
            )
        await connection.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
    for dbname in ("template0", "template1", "postgres"):  # new databases are copies of the first two
        async with await cluster.connect(dbname) as connection:
            await _install_functions(connection)
    async with await cluster.connect() as connection:
        await connection.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS false")


async def _install_functions(connection: AsyncConnection) -> None:
    await connection.execute("SET allow_system_table_mods = on")
    await connection.execute(_CHANGED_PASSWORDS)
    await connection.execute("VACUUM (FREEZE)")
