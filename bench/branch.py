"""From asking for a branch to the first answer of its database, without latency.

Subject: ``POST /branches`` with a compute on the embedded platform, its operations waited for, then a verified TLS
connection as the owner and ``select 1``. Floor: the same running cluster copied by the platform's own copier, a
postmaster started on the copy, a connection over its socket and ``select 1``: no API, no operations, no TLS.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import psycopg

from bench.embedded import embedded, neonctl
from bench.measure import Figure, timed
from bench.raw_api import RawApi
from neonctl.local.clusters.binaries import find_postgres
from neonctl.local.clusters.clone import copy_running
from neonctl.local.clusters.cluster import Cluster, Tools
from neonctl.local.clusters.config import ClusterSettings
from neonctl.local.clusters.files import remove_tree
from neonctl.local.clusters.identity import choose_identity
from neonctl.local.clusters.programs import runnable_by
from neonctl.local.clusters.template import superuser_password
from neonctl.local.home import Home
from neonctl.local.state import branches

if TYPE_CHECKING:
    from pathlib import Path

    from neonctl.local.state import LocalBranch, Platform

_PARENT = "dev"


def run(runs: int) -> list[Figure]:
    """Branches and raw copies of the provisioned dev branch by turns."""
    with embedded() as platform:
        neonctl(platform, "apply")
        parent = next(each for each in branches(platform) if each.branch == _PARENT)
        api = RawApi(platform)
        raw = _Raw(platform, parent)
        made: list[float] = []
        floor: list[float] = []
        for number in range(runs):
            _wake(api, platform, parent)
            floor.append(timed(raw.copy_and_ask))
            raw.remove()
            _wake(api, platform, parent)
            made.append(timed(lambda number=number: _branch_and_ask(api, platform, parent, f"bench-{number}")))
        api.close()
    return [Figure("branch to first query", made, floor, "the copy, a postmaster, a socket", most_ratio=1.5)]


def _wake(api: RawApi, platform: Platform, parent: LocalBranch) -> None:
    """Both find the parent's cluster running."""
    _ask(_uri(api, parent.project_id, parent.branch_id), platform)


def _branch_and_ask(api: RawApi, platform: Platform, parent: LocalBranch, name: str) -> None:
    body = {"branch": {"name": name, "parent_id": parent.branch_id}, "endpoints": [{"type": "read_write"}]}
    made = api.change("POST", f"/projects/{parent.project_id}/branches", body)
    _ask(_uri(api, parent.project_id, made["branch"]["id"]), platform)


def _uri(api: RawApi, project: str, branch: str) -> str:
    query = {"branch_id": branch, "database_name": "bank_core", "role_name": "bank_owner"}
    return api.call("GET", f"/projects/{project}/connection_uri", **query)["uri"]


def _ask(uri: str, platform: Platform) -> None:
    with psycopg.connect(uri, sslmode="verify-full", sslrootcert=str(platform.ca_file)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


class _Raw:
    """The copier and a postmaster, used without the platform around them."""

    def __init__(self, platform: Platform, parent: LocalBranch) -> None:
        home = Home(platform.data_dir / "engine")
        identity = choose_identity()
        postgres = runnable_by(identity, find_postgres(), home.programs)
        self._tools = Tools(postgres, identity, superuser_password(home.superuser))
        data = home.branch(parent.branch_id)
        conf = (data / "postgresql.conf").read_text()
        sockets = home.root / re.findall(r"^unix_socket_directories = '(.*)'$", conf, re.MULTILINE)[-1]
        self._parent = Cluster(self._tools, data, sockets, home.log(parent.branch_id))
        connections = int(re.findall(r"^max_connections = (\d+)$", conf, re.MULTILINE)[-1])
        self._settings = ClusterSettings(connections, wal_logical="wal_level = logical" in conf)
        self._target: Path = home.branches / "bench-raw"
        self._copy = Cluster(self._tools, self._target, sockets.parent / "bench", home.log("bench-raw"))

    def copy_and_ask(self) -> None:
        """One raw copy, started and asked."""
        asyncio.run(self._copy_and_ask())

    async def _copy_and_ask(self) -> None:
        await copy_running(
            self._tools, self._parent, self._target, socket_folder=self._copy.socket_folder, log=self._target
        )
        await self._copy.start(self._settings)
        async with await self._copy.connect("bank_core") as connection:
            await connection.execute("select 1")

    def remove(self) -> None:
        """Stop and delete the copy."""
        asyncio.run(self._copy.stop())
        remove_tree(self._target)
