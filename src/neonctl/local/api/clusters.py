"""The API's view of the real clusters: their ports and configuration, and what their catalogues hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from neonctl.local.api import postgres
from neonctl.local.api.capacity import MAX_CLIENT_CONNECTIONS, idle_seconds, max_connections, pool_size
from neonctl.local.api.clock import now
from neonctl.local.api.ids import new_password
from neonctl.local.api.rows import Branch, Database, Endpoint, Project, Role
from neonctl.local.engine import ComputeConfig, Engine, Ports, SeenPassword
from neonctl.secret import Secret

if TYPE_CHECKING:
    from datetime import datetime

    from neonctl.local.api.store import Store


class Clusters:
    """Keeps the store in step with the branches' catalogues."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self.engine = engine
        self._exposed: set[str] = set()
        self._looking: dict[str, asyncio.Lock] = {}
        self._next_look: dict[str, asyncio.Task[None]] = {}

    def with_ports(self, endpoint: Endpoint) -> Endpoint:
        """A new endpoint with ports that nothing else has: the answer to its creation names them already."""
        known = self._store.endpoints.select("direct_port > 0")
        taken = {port for row in known for port in (row.direct_port, row.pooled_port)}
        while True:
            ports = self.engine.free_ports()
            if not {ports.direct, ports.pooled} & taken:
                return replace(endpoint, direct_port=ports.direct, pooled_port=ports.pooled)

    async def expose(self, endpoint: Endpoint, project: Project) -> None:
        """Open the endpoint's ports unless they are open."""
        if endpoint.id not in self._exposed:
            ports = Ports(endpoint.direct_port, endpoint.pooled_port)
            config = self.compute_config(endpoint, project)
            given = await self.engine.expose(endpoint.id, endpoint.branch_id, config, ports=ports)
            self._exposed.add(endpoint.id)
            if given != ports:  # another program had taken one of them
                self._store.endpoints.put(replace(endpoint, direct_port=given.direct, pooled_port=given.pooled))

    async def unexpose(self, endpoint_id: str) -> None:
        """Close the endpoint's ports."""
        if endpoint_id in self._exposed:
            await self.engine.unexpose(endpoint_id)
            self._exposed.discard(endpoint_id)

    async def reconfigure(self, endpoint: Endpoint, project: Project) -> None:
        """Give an open endpoint its present configuration."""
        if endpoint.id in self._exposed:
            await self.engine.reconfigure(endpoint.id, self.compute_config(endpoint, project))

    async def suspend(self, endpoint_id: str) -> None:
        """Stop the compute; a connection wakes it again."""
        if endpoint_id in self._exposed:
            await self.engine.suspend_compute(endpoint_id)

    def compute_config(self, endpoint: Endpoint, project: Project) -> ComputeConfig:
        """What the engine must give this compute (facts.md 4)."""
        return ComputeConfig(
            max_connections=max_connections(endpoint.max_cu),
            idle_suspend_seconds=idle_seconds(endpoint.suspend_timeout_seconds),
            read_only=endpoint.read_only,
            pool_size=pool_size(endpoint.max_cu),
            max_client_conn=MAX_CLIENT_CONNECTIONS,
            wal_logical=bool(project.settings.get("enable_logical_replication")),
        )

    def password_seen(self, seen: SeenPassword) -> None:
        """SQL gave a role this password: keep it, and the role with it when it is new."""
        at, store = now(), self._store
        known = store.roles.get(seen.branch_id, seen.role)
        role = known or Role(seen.branch_id, seen.role, "sql", False, None, None, at, at)
        with store.transaction():
            store.roles.put(replace(role, password=seen.password, updated_at=at))

    async def sync(self, branch: Branch) -> None:
        """Bring the branch's roles and databases up to the catalogue's; while operations run, rows lead.

        Calls that come while a look is under way share the next one: it begins after each of them.
        """
        look = self._next_look.get(branch.id)
        if look is None:
            look = self._next_look[branch.id] = asyncio.create_task(self._look_in_turn(branch.id))
        await asyncio.shield(look)  # a caller that goes away does not take the others' look along

    async def _look_in_turn(self, branch_id: str) -> None:
        async with self._looking.setdefault(branch_id, asyncio.Lock()):
            del self._next_look[branch_id]
            branch = self._store.branches.get(branch_id)
            if branch is not None:
                await self._look(branch)

    async def _look(self, branch: Branch) -> None:
        if branch.state != "ready" or self._store.unfinished(branch.project_id):
            return
        if not all(row.provisioned for row in self._store.live_endpoints(branch.id)):
            return  # a first start that failed: what was declared is not in the catalogue yet
        async with self.engine.superuser(branch.id) as connection:
            found = await postgres.catalogue(connection)
        if self._store.unfinished(branch.project_id) or self._store.branches.get(branch.id) is None:
            return
        with self._store.transaction():
            self.adopt(branch.id, found)

    def adopt(self, branch_id: str, found: postgres.Found) -> None:
        """Make the rows equal to what was found. Inside a transaction."""
        store, at = self._store, now()
        roles = {row.name: row for row in store.live_roles(branch_id)}
        for name, may_login in found.roles.items():
            if name not in roles:
                store.roles.put(Role(branch_id, name, "sql", not may_login, None, None, at, at))
            elif roles[name].no_login == may_login:
                store.roles.put(replace(roles[name], no_login=not may_login, updated_at=at))
        for name in roles.keys() - found.roles.keys():
            store.roles.delete("branch_id = ? AND name = ?", (branch_id, name))
        self._adopt_databases(branch_id, found, at)

    def _adopt_databases(self, branch_id: str, found: postgres.Found, at: datetime) -> None:
        store = self._store
        databases = {row.name: row for row in store.live_databases(branch_id)}
        for name, owner in found.databases.items():
            known = databases.get(name)
            if known is None:
                store.databases.put(Database(branch_id, name, store.databases.next("id"), owner, at, at))
            elif known.owner_name != owner:
                store.databases.put(replace(known, owner_name=owner, updated_at=at))
        for name in databases.keys() - found.databases.keys():
            store.databases.delete("branch_id = ? AND name = ?", (branch_id, name))

    async def give_own_passwords(self, branch_id: str) -> None:
        """Set each login role's password to the branch's own; roles without one get a fresh one."""
        rows = {row.name: row for row in self._store.live_roles(branch_id)}
        given: dict[str, Secret] = {}
        async with self.engine.superuser(branch_id) as connection:
            found = await postgres.catalogue(connection)
            for name, may_login in found.roles.items():
                if may_login:
                    known = rows.get(name)
                    given[name] = (known.password if known else None) or Secret(new_password())
                    await postgres.set_password(connection, name, given[name])
        with self._store.transaction():
            self.adopt(branch_id, found)
            for row in self._store.live_roles(branch_id):
                if row.name in given:
                    self._store.roles.put(replace(row, password=given[row.name], updated_at=now()))
