"""Carrying out a plan. Every step is idempotent; a run that was killed anywhere is finished by the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from neonctl.plan.changes import (
    AnyChange,
    DeleteParameter,
    DeleteSecret,
    PutParameter,
    Stage,
    StoreSecret,
    UpdateSecretMetadata,
)
from neonctl.provision.credentials import prepare_credentials, store_credentials
from neonctl.provision.databases import apply_publications, apply_roles, apply_structure
from neonctl.provision.infrastructure import apply_infrastructure
from neonctl.provision.parallel import for_each, run_all
from neonctl.provision.progress import Event, Progress
from neonctl.provision.world import World

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.plan.observed import Observed
    from neonctl.plan.plan import Plan
    from neonctl.provision.services import Services

Audit = Callable[[AnyChange, str], None]  # change, outcome


class Provisioner:
    """Applies plans to one platform. ``audit`` hears of every change with its outcome."""

    def __init__(self, desired: Desired, services: Services, *, progress: Progress, audit: Audit) -> None:
        self._desired = desired
        self._services = services
        self._progress = progress
        self._audit = audit

    def build(self, plan: Plan, observed: Observed) -> World:
        """What Neon's API makes, in sequence. Returns where everything is.

        SQL waits for all of Neon's work: Neon refuses statements on roles while an operation runs (facts.md 5).
        """
        world = World(self._desired, observed, self._services)
        owner = self._desired.platform.project.owner_role
        for change in self._infrastructure(plan.work):
            self._step(change, lambda each: apply_infrastructure(each, world, self._services, owner_role=owner))
        return world

    def fill(self, plan: Plan, world: World) -> None:
        """What is inside, up to the migrations: all environments side by side."""
        inside = [change for change in plan.work if Stage.ROLE <= change.stage <= Stage.PARAMETER]
        for_each(
            lambda environment: self._environment(environment, _of(environment, inside), world),
            _environments(inside),
        )

    def finish(self, plan: Plan, world: World) -> None:
        """What needs tables: privileges on them, publications, parameters that name them."""
        changes = [change for change in plan.work if change.stage >= Stage.ROLE]
        for_each(
            lambda environment: self._environment(environment, _of(environment, changes), world),
            _environments(changes),
        )

    def _infrastructure(self, changes: Iterable[AnyChange]) -> list[AnyChange]:
        """Project first; then each environment wholly, sources before what is made from them."""
        order = {name: depth for depth, name in enumerate(self._source_order())}
        mine = [change for change in changes if change.stage <= Stage.API]
        return sorted(mine, key=lambda change: (order.get(change.environment, -1), change.sort_key))

    def _source_order(self) -> list[str]:
        environments = self._desired.environments
        ordered: list[str] = []

        def add(name: str) -> None:
            source = environments[name].branch.source
            if source is not None:
                add(source)
            if name not in ordered:
                ordered.append(name)

        for name in environments:
            add(name)
        return ordered

    def _environment(self, environment: str, changes: Sequence[AnyChange], world: World) -> None:
        """Roles, then every database for itself; parameters beside them."""
        roles = [change for change in changes if change.stage is Stage.ROLE]
        if roles:
            access = world.access(environment)
            with self._services.connect_as_owner(access, access.direct.dbname) as connection:
                self._group(f"roles ({len(roles)})", environment, roles, lambda: apply_roles(connection, roles))
        by_database = _by_database(change for change in changes if change.stage is not Stage.ROLE)
        tasks: list[Callable[[], None]] = [
            self._bind(environment, database, mine, world) for database, mine in by_database.items() if database
        ]
        tasks += [self._bind_parameter(change, world) for change in changes if isinstance(change, PutParameter)]
        tasks += [
            self._bind_removal(change) for change in changes if isinstance(change, DeleteSecret | DeleteParameter)
        ]
        run_all(tasks)

    def _bind(self, environment: str, database: str, changes: list[AnyChange], world: World) -> Callable[[], None]:
        return lambda: self._database(environment, database, changes, world)

    def _bind_parameter(self, change: PutParameter, world: World) -> Callable[[], None]:
        return lambda: self._step(change, lambda each: self._put_parameter(each, world))

    def _bind_removal(self, change: DeleteSecret | DeleteParameter) -> Callable[[], None]:
        return lambda: self._step(change, self._remove)

    def _remove(self, change: AnyChange) -> None:
        spec = self._desired.environments[change.environment]
        aws = spec.aws
        match change:
            case DeleteSecret():
                days = None if spec.kind == "preview" else aws.recovery_window_days
                self._services.aws(aws).secrets().delete(change.secret, recovery_days=days)
            case DeleteParameter():
                self._services.aws(aws).parameters().delete([change.parameter])
            case _:
                pass

    def _database(self, environment: str, database: str, changes: Sequence[AnyChange], world: World) -> None:
        """Its structure, and beside that the secrets at AWS; then the passwords, which need both."""
        access = world.access(environment)
        spec = self._desired.environments[environment]
        secrets = [change for change in changes if isinstance(change, StoreSecret)]
        with ThreadPoolExecutor(max_workers=1) as beside:
            prepared = beside.submit(
                prepare_credentials, secrets, spec.aws, self._services, addresses=world.addresses(environment)
            )
            self._structure(environment, database, changes, world)
            if secrets:
                self._group(
                    f"{database}: credentials ({len(secrets)})",
                    environment,
                    secrets,
                    lambda: store_credentials(
                        prepared.result(), self._services, branch_id=world.branch(environment).id, access=access
                    ),
                )
        for change in changes:
            if isinstance(change, UpdateSecretMetadata):
                self._step(change, self._update_metadata)

    def _structure(self, environment: str, database: str, changes: Sequence[AnyChange], world: World) -> None:
        structure = [change for change in changes if change.stage in {Stage.SCHEMA, Stage.GRANT}]
        publications = [change for change in changes if change.stage is Stage.FINISH]
        if not structure and not publications:
            return
        with self._services.connect_as_owner(world.access(environment), database) as connection:
            if structure:
                branch_id = world.branch(environment).id
                self._group(
                    f"{database}: schemas and privileges",
                    environment,
                    structure,
                    lambda: apply_structure(connection, structure, branch_id=branch_id),
                )
            if publications:
                self._group(
                    f"{database}: publication",
                    environment,
                    publications,
                    lambda: apply_publications(connection, publications),
                )

    def _update_metadata(self, change: AnyChange) -> None:
        assert isinstance(change, UpdateSecretMetadata)
        store = self._services.aws(self._desired.environments[change.environment].aws).secrets()
        tags = {
            field.name.removeprefix("tag "): str(field.after)
            for field in change.fields
            if field.name.startswith("tag ")
        }
        store.set_tags(change.secret, tags)
        for field in change.fields:
            if field.name == "kms_key_id":
                store.update_kms(change.secret, str(field.after))

    def _put_parameter(self, change: AnyChange, world: World) -> None:
        assert isinstance(change, PutParameter)
        value = change.value if change.value is not None else self._known_now(change, world)
        self._services.aws(self._desired.environments[change.environment].aws).parameters().put(change.parameter, value)

    def _known_now(self, change: PutParameter, world: World) -> str:
        """A value that planning could not know: what it names has been made since."""
        match change.parameter.rsplit("/", 1)[-1]:
            case "project-id":
                return world.project.id
            case "branch-id":
                return world.branch(change.environment).id
            case "direct-host":
                return str(world.addresses(change.environment).direct)
            case "pooled-host":
                return str(world.addresses(change.environment).pooled)
            case other:
                raise AssertionError(f"parameter {other} has no value")

    def _step(self, change: AnyChange, work: Callable[[AnyChange], None]) -> None:
        self._group(f"{change.kind} {change.name}", change.environment, [change], lambda: work(change))

    def _group(self, subject: str, environment: str, changes: Sequence[AnyChange], work: Callable[[], None]) -> None:
        self._progress(Event(environment, subject, "started"))
        try:
            work()
        except BaseException:
            for change in changes:
                self._audit(change, "failed")
            raise
        for change in changes:
            self._audit(change, "done")
        self._progress(Event(environment, subject, "done"))


def _of(environment: str, changes: Iterable[AnyChange]) -> list[AnyChange]:
    return [change for change in changes if change.environment == environment]


def _environments(changes: Iterable[AnyChange]) -> list[str]:
    return list(dict.fromkeys(change.environment for change in changes))


def _by_database(changes: Iterable[AnyChange]) -> dict[str, list[AnyChange]]:
    grouped: dict[str, list[AnyChange]] = {}
    for change in changes:
        grouped.setdefault(getattr(change, "database", ""), []).append(change)
    return grouped
