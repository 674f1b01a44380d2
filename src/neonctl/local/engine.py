"""The embedded platform's engine: branches as real PostgreSQL clusters, endpoints as ports that wake them.

Everything the engine knows lies in its data folder; killing it anywhere and opening it again repairs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from neonctl.errors import ServiceError, UsageError
from neonctl.local.branch import Branch
from neonctl.local.clusters.binaries import PoolerInfo, find_pooler, find_postgres
from neonctl.local.clusters.cluster import Tools
from neonctl.local.clusters.config import ClusterSettings
from neonctl.local.clusters.identity import Identity, choose_identity
from neonctl.local.clusters.orphans import stop_orphans
from neonctl.local.clusters.programs import runnable_by
from neonctl.local.clusters.template import make_template, superuser_password
from neonctl.local.compute import Compute
from neonctl.local.front.authority import Authority
from neonctl.local.front.guard import Sighting
from neonctl.local.front.pooler import Pooler
from neonctl.local.home import Home, raise_file_limit
from neonctl.local.registry import ComputeConfig, Endpoint, Ports, Registry
from neonctl.local.shelf import Shelf
from neonctl.secret import Secret

__all__ = ["ComputeConfig", "Engine", "PoolerInfo", "Ports", "SeenPassword"]

log = logging.getLogger("neonctl.local")

_WATCH_SECONDS = 0.1  # how long a crash may go unnoticed


@dataclass(frozen=True)
class SeenPassword:
    """A plain-text password that a committed SQL statement gave to a role through a compute."""

    branch_id: str
    role: str
    password: Secret


class Engine:
    """Call ``open`` first and ``close`` last; all methods belong to one event loop.

    ``on_password`` is called in that loop, after the commit and before the client hears of it.
    ``identity`` says as whom children run; None finds out.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        on_password: Callable[[SeenPassword], None],
        identity: Identity | None = None,
    ) -> None:
        self._home = Home(data_dir)
        self._on_password = on_password
        self._identity = identity
        self._authority = Authority(self._home.authority)
        self._registry = Registry(self._home.endpoints)
        self._branches: dict[str, Branch] = {}
        self._computes: dict[str, Compute] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._pooler = PoolerInfo(None, None)
        self._tools: Tools | None = None
        self._watch: asyncio.Task[None] | None = None
        self._shelf: Shelf | None = None
        self._context: ssl.SSLContext | None = None

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients must trust (``sslrootcert``)."""
        return self._authority.ca_file

    @property
    def pooler(self) -> PoolerInfo:
        """The PgBouncer in use. Without one, pooled ports reach Postgres directly."""
        return self._pooler

    async def open(self) -> None:
        """Take the data folder, put it in order, and listen on the ports of all endpoints.

        Raises RetryableError while another engine has the folder, and ServiceError when programs are missing.
        Computes sleep until somebody connects.
        """
        self._home.lock()
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        raise_file_limit()
        await asyncio.to_thread(stop_orphans, self._home.root)
        identity = self._identity or await asyncio.to_thread(choose_identity)
        owner = os.geteuid() if identity.user is None else identity.user
        await asyncio.to_thread(self._home.tidy, owner=owner)
        for folder in (self._home.branches, self._home.logs, self._home.poolers):
            identity.give(folder)
        postgres = await asyncio.to_thread(find_postgres)
        postgres = await asyncio.to_thread(runnable_by, identity, postgres, self._home.programs)
        self._pooler = await asyncio.to_thread(find_pooler)
        self._tools = Tools(postgres, identity, superuser_password(self._home.superuser))
        self._context = self._authority.server_context()
        await make_template(
            self._tools,
            self._home.template,
            socket_folder=self._home.socket_folder("template"),
            log=self._home.log("template"),
        )
        self._shelf = Shelf(self._home, self._tools)
        endpoints = self._registry.load()
        for endpoint_id, endpoint in endpoints.items():
            if self._home.branch(endpoint.branch_id).exists():
                await self._listen(endpoint_id, endpoint)
            else:
                self._registry.remove(endpoint_id)
        self._watch = asyncio.get_running_loop().create_task(self._watch_computes())

    async def close(self) -> None:
        """Stop listeners, poolers and clusters; no process is left. Can be called at any time, and again."""
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(compute.close() for compute in self._computes.values()))
        await asyncio.gather(*(branch.close() for branch in self._branches.values()))
        if self._shelf is not None:
            await self._shelf.close()
        self._computes.clear()
        self._branches.clear()
        self._home.remove_sockets()
        self._home.unlock()

    # Branches

    async def create_branch(self, branch_id: str, *, parent: str | None) -> None:
        """Make a branch: a copy of ``parent`` as it is now, which stays up meanwhile, or a new empty cluster.

        Nothing to do when the branch exists. Killed on the way, it does not exist.
        """
        target = self._home.branch(branch_id)
        async with self._locked(branch_id):
            if target.exists():
                return
            if parent is None:
                await self._ready.add_empty(branch_id)
            else:
                await self._ready.add_copy(branch_id, self._branch(parent))

    async def create_schema_only_branch(self, branch_id: str, *, source: str) -> None:
        """Make a branch with all that ``source`` has but rows: roles with passwords, schemas, owners, grants."""
        target = self._home.branch(branch_id)
        async with self._locked(branch_id):
            if target.exists():
                return
            await self._ready.add_schema(branch_id, self._branch(source))

    async def reset_branch(self, branch_id: str, *, source: str) -> None:
        """Replace a branch's contents by those of ``source``; its endpoints and ports stay.

        Connections are cut; computes that were active run again afterwards.
        """
        async with self._locked(branch_id):
            await self._ready.replace(branch_id, self._branch(branch_id), self._branch(source))

    async def delete_branch(self, branch_id: str) -> None:
        """Delete a branch and its endpoints; nothing to do when there is none."""
        async with self._locked(branch_id):
            for endpoint_id, compute in tuple(self._computes.items()):
                if compute.branch is self._branches.get(branch_id):
                    await self.unexpose(endpoint_id)
            branch = self._branches.pop(branch_id, None)
            if branch is not None:
                await branch.close()
            self._ready.remove(branch_id)

    # Endpoints

    def free_ports(self) -> Ports:
        """Ports for an endpoint that is announced before its branch exists; pass them to ``expose``."""
        return self._registry.free_ports()

    async def expose(
        self, endpoint_id: str, branch_id: str, config: ComputeConfig, *, ports: Ports | None = None
    ) -> Ports:
        """Give an endpoint its ports, which wake the branch at the first connection.

        A new endpoint gets ``ports``, or free ones. They stay the same for good, unless another program has taken
        one when the platform starts.
        """
        async with self._locked(endpoint_id):
            compute = self._computes.get(endpoint_id)
            if compute is not None:
                await self._reconfigure(compute, config)
                return compute.ports
            self._branch(branch_id)
            endpoint = Endpoint(branch_id, ports or self._registry.free_ports(), config)
            self._registry.put(endpoint_id, endpoint)
            return await self._listen(endpoint_id, endpoint)

    async def reconfigure(self, endpoint_id: str, config: ComputeConfig) -> None:
        """Change an endpoint's configuration; a running compute takes it at its next start."""
        await self._reconfigure(self._compute(endpoint_id), config)

    async def _reconfigure(self, compute: Compute, config: ComputeConfig) -> None:
        compute.config = config
        known = self._registry.get(compute.endpoint_id)
        if known.config != config:
            self._registry.put(compute.endpoint_id, replace(known, config=config))

    async def unexpose(self, endpoint_id: str) -> None:
        """Suspend an endpoint and give up its ports; nothing to do when there is none."""
        compute = self._computes.pop(endpoint_id, None)
        if compute is not None:
            await compute.close()
        self._registry.remove(endpoint_id)

    async def start_compute(self, endpoint_id: str) -> None:
        """Wake an endpoint's compute."""
        await self._compute(endpoint_id).start()

    async def suspend_compute(self, endpoint_id: str) -> None:
        """Cut an endpoint's connections and let its compute sleep."""
        await self._compute(endpoint_id).suspend()

    async def restart_compute(self, endpoint_id: str) -> None:
        """Stop an endpoint's compute and start it with the configuration that holds now."""
        await self._compute(endpoint_id).restart()

    def compute_active(self, endpoint_id: str) -> bool:
        """Whether an endpoint's compute runs; False for an unknown endpoint."""
        compute = self._computes.get(endpoint_id)
        return compute is not None and compute.active

    @contextlib.asynccontextmanager
    async def superuser(self, branch_id: str, dbname: str = "postgres") -> AsyncGenerator[psycopg.AsyncConnection]:
        """A connection as ``cloud_admin`` in autocommit mode. Runs the cluster, but activates no endpoint."""
        async with self._branch(branch_id).lease() as cluster:
            connection = await cluster.connect(dbname)
            try:
                yield connection
            finally:
                await connection.close()

    # Within

    @property
    def _ready(self) -> Shelf:
        if self._shelf is None:
            raise RuntimeError("the engine is not open")
        return self._shelf

    async def _watch_computes(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for compute in tuple(self._computes.values()):
                await compute.mend()

    def _locked(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _branch(self, branch_id: str) -> Branch:
        branch = self._branches.get(branch_id)
        if branch is None:
            if not self._home.branch(branch_id).exists():
                raise UsageError("LOCAL_BRANCH_UNKNOWN", f"the local platform has no branch {branch_id}")
            branch = Branch(self._ready.cluster(branch_id), lambda: self._settings(branch_id))
            self._branches[branch_id] = branch
        return branch

    def _compute(self, endpoint_id: str) -> Compute:
        compute = self._computes.get(endpoint_id)
        if compute is None:
            raise UsageError("LOCAL_ENDPOINT_UNKNOWN", f"the local platform has no endpoint {endpoint_id}")
        return compute

    def _settings(self, branch_id: str) -> ClusterSettings:
        """What the branch's cluster is to run with: its read-write endpoint decides, else any other."""
        branch = self._branches[branch_id]
        configs = [compute.config for compute in self._computes.values() if compute.branch is branch]
        slots = any((branch.cluster.data / "pg_replslot").iterdir())  # a server with slots insists on logical
        wal_logical = slots or any(config.wal_logical for config in configs)
        first = min(configs, key=lambda config: config.read_only, default=None)
        return ClusterSettings(first.max_connections if first else 104, wal_logical)

    async def _listen(self, endpoint_id: str, endpoint: Endpoint) -> Ports:
        """Open the endpoint's ports; when another program took one meanwhile, move to free ones."""
        compute = self._new_compute(endpoint_id, endpoint)
        try:
            await compute.listen()
        except ServiceError as error:
            await compute.close()
            if error.code != "LOCAL_PORT_TAKEN":
                raise
            endpoint = replace(endpoint, ports=self._registry.free_ports())
            log.warning("%s; moved to ports %s and %s", error.message, endpoint.ports.direct, endpoint.ports.pooled)
            self._registry.put(endpoint_id, endpoint)
            compute = self._new_compute(endpoint_id, endpoint)
            await compute.listen()
        self._computes[endpoint_id] = compute
        return endpoint.ports

    def _new_compute(self, endpoint_id: str, endpoint: Endpoint) -> Compute:
        assert self._context is not None
        branch_id = endpoint.branch_id

        def seen(sighting: Sighting) -> None:
            self._on_password(SeenPassword(branch_id, sighting.role, sighting.password))

        return Compute(
            endpoint_id,
            self._branch(branch_id),
            endpoint.config,
            endpoint.ports,
            context=self._context,
            pooler=self._new_pooler(endpoint_id),
            on_password=seen,
        )

    def _new_pooler(self, endpoint_id: str) -> Pooler | None:
        if self._pooler.program is None or self._tools is None:
            return None
        return Pooler(
            self._pooler,
            self._tools.identity,
            self._tools.superuser_password,
            self._home.poolers / endpoint_id,
            self._home.socket_folder(f"pooler of {endpoint_id}"),
        )
