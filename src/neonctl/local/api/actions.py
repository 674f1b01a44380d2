"""What each kind of operation does to the real clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from neonctl.local.api import postgres
from neonctl.local.api.clock import now
from neonctl.local.api.undo import take_back

if TYPE_CHECKING:
    from neonctl.local.api.clusters import Clusters
    from neonctl.local.api.rows import Branch, Database, Endpoint, Operation, Project, Role
    from neonctl.local.api.store import Store


class ClusterActions:
    """``run`` may be called again after a kill; ``complete`` is part of the finishing transaction."""

    def __init__(self, store: Store, clusters: Clusters) -> None:
        self._store = store
        self._clusters = clusters
        self._engine = clusters.engine

    async def open(self) -> None:
        """Bring the ports of all finished endpoints back after a start."""
        for endpoint in self._store.endpoints.select("provisioned = 1 AND deleted_at IS NULL"):
            await self._expose(endpoint)

    async def run(self, operation: Operation) -> None:
        """Do the operation's work."""
        match operation.kind:
            case "create_branch":
                await self._create_branch(self._branch(operation))
            case "reset_branch":
                await self._reset_branch(self._branch(operation))
            case "delete_branch":
                await self._delete_branch(self._branch(operation))
            case "start":
                await self._start(self._endpoint(operation))
            case "suspend":
                await self._clusters.suspend(self._endpoint(operation).id)
            case "reconfigure":
                await self._reconfigure(operation)
            case "delete_endpoint":
                await self._clusters.unexpose(self._endpoint(operation).id)
            case "nothing":
                pass
            case _:
                await self._change_contents(operation)

    async def _change_contents(self, operation: Operation) -> None:
        branch, name = self._branch(operation), cast("str", operation.payload["name"])
        match operation.kind:
            case "create_role" | "reset_password":
                await self._put_role(self._role(branch, name), reset=operation.kind == "reset_password")
            case "delete_role":
                await self._drop_role(branch, name)
            case "create_database" | "update_database":
                await self._put_database(self._database(branch, name), operation.payload.get("old_name"))
            case "delete_database":
                async with self._engine.superuser(branch.id) as connection:
                    await postgres.drop_database(connection, name)
            case _:
                raise LookupError(f"no such kind of operation: {operation.kind}")

    def complete(self, operation: Operation) -> None:
        """Write what the finished work means for the rows. Inside a transaction."""
        store, at = self._store, now()
        match operation.kind:
            case "create_branch" | "reset_branch":
                branch = replace(self._branch(operation), state="ready", state_changed_at=at, updated_at=at)
                store.branches.put(branch)
            case "delete_branch":
                store.forget_branch(self._branch(operation).id)
            case "delete_endpoint":
                store.endpoints.delete("id = ?", (operation.endpoint_id,))
            case "start":
                store.endpoints.put(replace(self._endpoint(operation), started_at=at, suspended_at=None))
            case "suspend":
                store.endpoints.put(replace(self._endpoint(operation), suspended_at=at))
            case "delete_role":
                store.roles.delete("branch_id = ? AND name = ?", (operation.branch_id, operation.payload["name"]))
            case "delete_database":
                store.databases.delete("branch_id = ? AND name = ?", (operation.branch_id, operation.payload["name"]))
            case _:
                pass

    async def undo(self, batch: list[Operation]) -> None:
        """Take back what the request had written down, so that the rows say what is really there."""
        await take_back(self._store, self._clusters, batch)

    # -- branches ------------------------------------------------------------------------------------------

    async def _create_branch(self, branch: Branch) -> None:
        if branch.init_source == "schema-only" and branch.source_id is not None:
            await self._engine.create_schema_only_branch(branch.id, source=branch.source_id)
        else:
            await self._engine.create_branch(branch.id, parent=branch.source_id)
        if branch.fresh_passwords:
            await self._clusters.give_own_passwords(branch.id)

    async def _reset_branch(self, branch: Branch) -> None:
        source_id = cast("str", branch.source_id)
        await self._engine.reset_branch(branch.id, source=source_id)
        if branch.fresh_passwords:
            await self._clusters.give_own_passwords(branch.id)
            return
        with self._store.transaction():
            self._store.copy_contents(source_id, branch.id)

    async def _delete_branch(self, branch: Branch) -> None:
        for endpoint in self._store.endpoints.select("branch_id = ?", (branch.id,)):
            await self._clusters.unexpose(endpoint.id)
        await self._engine.delete_branch(branch.id)

    # -- computes ------------------------------------------------------------------------------------------

    async def _expose(self, endpoint: Endpoint) -> None:
        await self._clusters.expose(endpoint, self._project(endpoint.project_id))

    async def _start(self, endpoint: Endpoint) -> None:
        await self._expose(endpoint)
        if not endpoint.provisioned:
            await self._apply_declared(endpoint.branch_id)
            with self._store.transaction():
                self._store.endpoints.put(replace(endpoint, provisioned=True))
        if not endpoint.disabled:
            await self._engine.start_compute(endpoint.id)

    async def _reconfigure(self, operation: Operation) -> None:
        """New configuration; a changed size restarts a compute that is active."""
        endpoint = self._endpoint(operation)
        await self._clusters.reconfigure(endpoint, self._project(endpoint.project_id))
        if operation.payload.get("restart") and self._engine.compute_active(endpoint.id):
            await self._engine.restart_compute(endpoint.id)

    async def _apply_declared(self, branch_id: str) -> None:
        """What compute_ctl does at a first start: the API's roles and databases come to be."""
        async with self._engine.superuser(branch_id) as connection:
            found = await postgres.catalogue(connection)
        for role in self._store.live_roles(branch_id):
            if role.origin == "api" and role.name not in found.roles:
                await self._put_role(role, reset=False)
        for database in self._store.live_databases(branch_id):
            if database.name not in found.databases:
                await self._put_database(database, None)

    # -- roles and databases -------------------------------------------------------------------------------

    async def _put_role(self, role: Role, *, reset: bool) -> None:
        async with self._engine.superuser(role.branch_id) as connection:
            if reset and role.password is not None:
                await postgres.set_password(connection, role.name, role.password)
            else:
                await postgres.ensure_role(connection, role.name, role.password, no_login=role.no_login)
            await postgres.drop_connections(connection)

    async def _drop_role(self, branch: Branch, name: str) -> None:
        async with self._engine.superuser(branch.id) as connection:
            found = await postgres.catalogue(connection)
        for database, owner in found.databases.items():
            async with self._engine.superuser(branch.id, database) as connection:
                await postgres.give_up_objects(connection, name, owner)
        async with self._engine.superuser(branch.id) as connection:
            await postgres.drop_role(connection, name)
            await postgres.drop_connections(connection)

    async def _put_database(self, row: Database, old_name: str | None) -> None:
        async with self._engine.superuser(row.branch_id) as connection:
            if old_name is not None and old_name != row.name:
                await postgres.rename_database(connection, old_name, row.name)
            await postgres.ensure_database(connection, row.name, row.owner_name)
        async with self._engine.superuser(row.branch_id, row.name) as connection:
            await postgres.prepare_public_schema(connection, row.owner_name)

    # -- rows ----------------------------------------------------------------------------------------------

    def _project(self, project_id: str) -> Project:
        return _there(self._store.projects.get(project_id))

    def _branch(self, operation: Operation) -> Branch:
        return _there(self._store.branches.get(operation.branch_id))

    def _endpoint(self, operation: Operation) -> Endpoint:
        return _there(self._store.endpoints.get(operation.endpoint_id))

    def _role(self, branch: Branch, name: str) -> Role:
        return _there(self._store.roles.get(branch.id, name))

    def _database(self, branch: Branch, name: str) -> Database:
        return _there(self._store.databases.get(branch.id, name))


Row = TypeVar("Row")


def _there(row: Row | None) -> Row:
    """Operations name rows that exist as long as the operation is unfinished."""
    if row is None:
        raise LookupError("the row of an unfinished operation is gone")
    return row
