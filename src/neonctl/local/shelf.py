"""The branches' clusters on disk: how they appear, are replaced and go, each step complete or not at all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from neonctl.local.branch import Branch
from neonctl.local.clusters.clone import copy_running, copy_stopped
from neonctl.local.clusters.cluster import Cluster, Tools
from neonctl.local.clusters.files import remove_tree, sync_folder
from neonctl.local.clusters.schema_copy import copy_schema
from neonctl.local.home import Home


class Shelf:
    """Makes, replaces and removes branches in a ``Home``. Callers see to it that one works on a branch at a time."""

    def __init__(self, home: Home, tools: Tools) -> None:
        self._home = home
        self._tools = tools
        self._removals: set[asyncio.Task[None]] = set()

    def cluster(self, branch_id: str) -> Cluster:
        """The cluster of a branch, stopped."""
        data = self._home.branch(branch_id)
        return Cluster(self._tools, data, self._home.socket_folder(branch_id), self._home.log(branch_id))

    async def add_empty(self, branch_id: str) -> None:
        """A branch as a fresh Neon project has it."""
        await copy_stopped(self._tools, self._home.template, self._home.branch(branch_id))

    async def add_copy(self, branch_id: str, source: Branch) -> None:
        """A branch with all that ``source`` has now."""
        target = self._home.branch(branch_id)
        async with source.lease() as cluster:
            await copy_running(
                self._tools,
                cluster,
                target,
                socket_folder=self._home.socket_folder(branch_id),
                log=self._home.log(branch_id),
            )

    async def add_schema(self, branch_id: str, source: Branch) -> None:
        """A branch with all that ``source`` has now, but rows."""
        making = self.cluster(f"{branch_id}.schema.part")
        await copy_stopped(self._tools, self._home.template, making.data)
        async with source.lease() as origin:
            await making.start(replace(origin.settings, replication_workers=False))
            try:
                await copy_schema(self._tools, origin, making)
            finally:
                await making.stop()
        target = self._home.branch(branch_id)
        making.data.rename(target)
        sync_folder(target.parent)

    async def replace(self, branch_id: str, branch: Branch, source: Branch) -> None:
        """Give a branch the contents of ``source``; it is down only for the moment of the exchange."""
        current, new = self._home.branch(branch_id), self._home.branch(f"{branch_id}.new")
        await asyncio.to_thread(remove_tree, new)
        await self.add_copy(new.name, source)
        async with branch.stopped():
            self._retire(current, then=lambda: new.rename(current))

    def remove(self, branch_id: str) -> None:
        """Remove a branch that is stopped; its files go in the background."""
        folder = self._home.branch(branch_id)
        if folder.exists():
            self._retire(folder)

    async def close(self) -> None:
        """Wait until the files of removed branches are gone."""
        await asyncio.gather(*self._removals, return_exceptions=True)

    def _retire(self, folder: Path, then: Callable[[], object] = lambda: None) -> None:
        # Its own name each time: an earlier one may still be on its way out.
        trash = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.trash")
        folder.rename(trash)
        then()
        sync_folder(folder.parent)
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(remove_tree, trash))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)
