"""Branching: a consistent copy of a running cluster, without stopping it.

The low-level base backup of the PostgreSQL manual, as measured in the platform's trials: start a backup, copy
the files in any order while they change, stop the backup, add the WAL in between and the backup label; the copy
repairs itself at its first start.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

from psycopg import AsyncConnection, sql

from neonctl.errors import ServiceError
from neonctl.local.clusters.cluster import Cluster, Tools
from neonctl.local.clusters.config import ClusterSettings
from neonctl.local.clusters.files import TreeCopier, remove_tree, sync_file_system, sync_folder

_START_WAL = re.compile(r"^START WAL LOCATION: .*\(file ([0-9A-F]{24})\)$", re.MULTILINE)


async def copy_stopped(tools: Tools, source: Path, target: Path) -> None:
    """Copy a cluster that was shut down properly and stays down. ``target`` appears complete or not at all."""
    part = _fresh_part(target)

    def copy() -> None:
        copier = TreeCopier(_giver(tools))
        copier.cluster(str(source), str(part))
        for segment in sorted(_segments(source)):
            copier.file(str(source / "pg_wal" / segment), str(part / "pg_wal" / segment))
        sync_file_system(part)

    await asyncio.to_thread(copy)
    _publish(part, target)


async def copy_running(tools: Tools, parent: Cluster, target: Path, *, socket_folder: Path, log: Path) -> None:
    """Copy a running cluster; it stays available. ``target`` appears complete or not at all.

    The copy has its parent's roles, passwords, databases and settings, but neither its slots nor its
    subscriptions: those would compete with the parent's.
    """
    part = _fresh_part(target)
    async with await parent.connect() as connection:
        await connection.execute("SET statement_timeout = 0")
        # Keeps the WAL of the copy's duration from being recycled by a checkpoint; dropped with the connection.
        await connection.execute(
            "SELECT pg_create_physical_replication_slot('neonctl_clone_' || pg_backend_pid(), true, true)"
        )
        await connection.execute("SELECT pg_backup_start('neonctl branch', fast => true)")
        copier = TreeCopier(_giver(tools))
        await asyncio.to_thread(copier.cluster, str(parent.data), str(part))
        cursor = await connection.execute(
            "SELECT labelfile, pg_walfile_name(lsn) FROM pg_backup_stop(wait_for_archive => false)"
        )
        row = await cursor.fetchone()
        assert row is not None
        label, last = str(row[0]), str(row[1])
        await asyncio.to_thread(_add_wal, copier, parent.data, part, _first_segment(label), last)
        tools.identity.write_private(part / "backup_label", label)
        subscribed = await connection.execute("SELECT 1 FROM pg_subscription LIMIT 1")
        must_detach = await subscribed.fetchone() is not None
    if must_detach:
        await _drop_subscriptions(Cluster(tools, part, socket_folder, log), parent.settings)
    await asyncio.to_thread(sync_file_system, part)
    _publish(part, target)


def _first_segment(label: str) -> str:
    match = _START_WAL.search(label)
    if match is None:
        raise ServiceError("LOCAL_CLONE", "PostgreSQL's backup label does not name its first WAL file")
    return match[1]


def _add_wal(copier: TreeCopier, source: Path, part: Path, first: str, last: str) -> None:
    needed = sorted(name for name in _segments(source) if first <= name <= last)
    if not needed or needed[0] != first or needed[-1] != last:
        raise ServiceError(
            "LOCAL_CLONE",
            f"WAL from {first} to {last} of {source} is no longer there",
            hint="run the command again",
        )
    for name in needed:
        copier.file(str(source / "pg_wal" / name), str(part / "pg_wal" / name))


def _segments(data: Path) -> list[str]:
    return [entry.name for entry in (data / "pg_wal").iterdir() if re.fullmatch(r"[0-9A-F]{24}", entry.name)]


async def _drop_subscriptions(cluster: Cluster, settings: ClusterSettings) -> None:
    # Neon's computes do the same before a child serves anybody (facts.md 3). No replication worker may start
    # meanwhile, and the slot at the publisher belongs to the parent, so it is let go, not dropped.
    quiet = ClusterSettings(settings.max_connections, settings.wal_logical, replication_workers=False)
    await cluster.start(quiet)
    try:
        async with await cluster.connect() as connection:
            cursor = await connection.execute(
                "SELECT DISTINCT d.datname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
            )
            databases = [str(row[0]) for row in await cursor.fetchall()]
        for dbname in databases:
            async with await cluster.connect(dbname) as connection:
                await _drop_subscriptions_here(connection)
    finally:
        await cluster.stop()


async def _drop_subscriptions_here(connection: AsyncConnection) -> None:
    cursor = await connection.execute(
        "SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        " WHERE d.datname = current_database()"
    )
    for (name,) in await cursor.fetchall():
        subscription = sql.Identifier(name)
        await connection.execute(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(subscription))
        await connection.execute(sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(subscription))
        await connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(subscription))


def _fresh_part(target: Path) -> Path:
    part = target.with_name(target.name + ".part")
    remove_tree(part)
    return part


def _publish(part: Path, target: Path) -> None:
    part.rename(target)
    sync_folder(target.parent)


def _giver(tools: Tools) -> Callable[[Path], None] | None:
    return tools.identity.give if tools.identity.user is not None else None
