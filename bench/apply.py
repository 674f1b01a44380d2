"""``neonctl apply`` from nothing, with 50 ms in front of every API answer.

Floor: the critical path, replayed on another fresh platform with the same latency, one step after another and
nothing beside it, each step at its bare cost:

1. start-up and a look at nothing (is there a project of that name?);
2. what Neon lets happen only one after another within a project: the project, its branch's protection, each further
   database of the default branch, then a branch for each other environment; every change by the bare HTTP client,
   its operation asked for all the time;
3. inside the branch that was made last: the owner's way in, its roles, and of one database the schemas and
   privileges, one credential stored, set and tried;
4. the migrations of one database, three times, because environments are promoted one after another;
5. a look at everything, one publication, and a look again, which proves that nothing is left.

What a step does on an environment that is not on this path (the other branches must have their roles and
credentials before step 4) is done too, but not counted: it can go on beside what is. Nor is the other databases'
share of step 3 and 4: it can be done side by side, as far as the machine has cores.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bench.embedded import LATENCY_MS, embedded, latency, neonctl, settings
from bench.look import IMPORT_LIBRARIES, look, look_at_nothing, warm
from bench.measure import Figure, Stopwatch, command, python, say
from bench.raw_api import RawApi
from neonctl.desired.model import secret_name
from neonctl.local.state import journal
from neonctl.migrations.evidence import Provenance
from neonctl.migrations.runner import migrate
from neonctl.migrations.session import RunSettings
from neonctl.pipelines.configuration import Configuration, read_configuration
from neonctl.pipelines.migrate import promotion_order
from neonctl.plan.changes import (
    AnyChange,
    CreateBranch,
    CreateDatabase,
    CreateProject,
    SetPublication,
    Stage,
    StoreSecret,
    UpdateBranch,
)
from neonctl.plan.diff import diff
from neonctl.plan.observed import Address
from neonctl.plan.ownership import branch_annotations
from neonctl.provision.credentials import prepare_credentials, store_credentials
from neonctl.provision.databases import apply_publications, apply_roles, apply_structure
from neonctl.provision.observe import addresses_of, observe, owner_access
from neonctl.provision.services import Services

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neonctl.local.state import Platform
    from neonctl.plan.changes import Compute

_DATABASE = "bank_core"  # the one with the most schemas, roles and tables


def run(runs: int) -> list[Figure]:
    """Applies and replays by turns, each on a platform of its own. Three runs: they are long."""
    applies: list[float] = []
    floors: list[float] = []
    parts: list[dict[str, float]] = []
    calls = 0
    for _ in range(min(runs, 3)):
        with embedded() as platform, latency(platform):
            applies.append(neonctl(platform, "apply"))
            calls = len(journal(platform))
        with embedded() as platform, latency(platform):
            replay = Replay(platform)
            watch = replay.run()
        floors.append(watch.total)
        parts.append({name: round(seconds, 3) for name, seconds in watch.parts.items()})
        say(f"  applied in {applies[-1]:.1f} s, critical path {floors[-1]:.1f} s")
    return [
        Figure(
            f"cold apply, three environments, {LATENCY_MS} ms latency",
            applies,
            floors,
            "the critical path of an apply, replayed step by step",
            most_ratio=1.3,
            details={"calls": calls, "critical_path": parts},
        )
    ]


class Replay:
    """One walk along the critical path on a fresh platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._configuration: Configuration = read_configuration(Path("config"), Path("db"))
        self._desired = self._configuration.desired
        self._services = Services(settings(platform), self._desired, purpose="bench")
        self._watch = Stopwatch()
        self._branches: dict[str, str] = {}
        self._project = ""

    def run(self) -> Stopwatch:
        """Walk, and return the time of each part."""
        warm(self._desired, self._services)
        changes = diff(self._desired, observe(self._desired, self._services)).work
        self._watch.parts["start"] = command(python("-c", IMPORT_LIBRARIES), os.environ)
        self._watch.parts["look at nothing"] = look_at_nothing(self._platform, self._desired, self._services)
        with self._watch.on("Neon's API, one change after another"):
            self._infrastructure(changes)
        last = list(self._branches)[-1]
        for environment in self._branches:
            self._inside(environment, changes, Stopwatch() if environment != last else self._watch)
        for environment in promotion_order(self._desired, list(self._branches)):
            with self._watch.on("migrations of one database, three environments"):
                self._migrate(environment)
        self._finish()
        self._services.close()
        return self._watch

    def _infrastructure(self, changes: Sequence[AnyChange]) -> None:
        api = RawApi(self._platform)
        first = next(change for change in changes if isinstance(change, CreateProject))
        self._project = self._create_project(api, first)
        where = f"/projects/{self._project}/branches"
        default = api.call("GET", where)["branches"][0]["id"]
        self._branches[first.default_environment] = default
        for change in changes:
            if isinstance(change, UpdateBranch) and change.environment == first.default_environment:
                api.change("PATCH", f"{where}/{default}", {"branch": {"protected": True}})
        for change in changes:
            if isinstance(change, CreateDatabase) and change.environment == first.default_environment:
                body = {"database": {"name": change.database, "owner_name": change.owner}}
                api.change("POST", f"{where}/{default}/databases", body)
        for change in changes:
            if isinstance(change, CreateBranch):
                made = api.change("POST", where, self._branch_body(change))
                self._branches[change.environment] = made["branch"]["id"]
        api.close()

    def _create_project(self, api: RawApi, change: CreateProject) -> str:
        project = {
            "name": change.project,
            "region_id": change.region,
            "pg_version": change.postgres_version,
            "org_id": api.org_id,
            "store_passwords": True,
            "branch": {
                "name": change.branch,
                "role_name": change.owner_role,
                "database_name": change.database,
                "annotations": branch_annotations(change.default_environment, build="empty"),
            },
            "settings": {"enable_logical_replication": bool(change.logical_replication)},
            "default_endpoint_settings": _size(change.compute),
        }
        return api.change("POST", "/projects", {"project": project})["project"]["id"]

    def _branch_body(self, change: CreateBranch) -> dict[str, object]:
        branch = {"name": change.branch, "parent_id": self._branches[change.source], "init_source": change.init}
        return {
            "branch": branch | {"protected": change.protected},
            "endpoints": [{"type": "read_write", **_size(change.compute)}],
            "annotation_value": branch_annotations(change.environment, build=change.init),
        }

    def _inside(self, environment: str, changes: Sequence[AnyChange], watch: Stopwatch) -> None:
        mine = [change for change in changes if change.environment == environment]
        database = [change for change in mine if getattr(change, "database", "") == _DATABASE]
        branch = self._branches[environment]
        with watch.on("roles"):
            access = owner_access(self._desired, self._services, self._project, branch)
            assert access is not None
            with self._services.connect_as_owner(access, access.direct.dbname) as connection:
                apply_roles(connection, [change for change in mine if change.stage is Stage.ROLE])
        with (
            watch.on("schemas and privileges of one database"),
            self._services.connect_as_owner(access, _DATABASE) as connection,
        ):
            structure = [change for change in database if change.stage in {Stage.SCHEMA, Stage.GRANT}]
            apply_structure(connection, structure, branch_id=branch)
        with watch.on("one credential"):
            secrets = [change for change in database if isinstance(change, StoreSecret)]
            targets = prepare_credentials(
                [change for change in secrets if change.role_kind == "migrate_user"],
                self._desired.environments[environment].aws,
                self._services,
                addresses=addresses_of(access, self._services),
            )
            store_credentials(targets, self._services, branch_id=branch, access=access)

    def _migrate(self, environment: str) -> None:
        spec = self._desired.environments[environment]
        name = secret_name(spec.stage, _DATABASE, "migrate_user")
        _, credential = self._services.aws(spec.aws).secrets().read(name)
        address = Address(credential.direct_host, credential.direct_port)
        with self._services.login(address, _DATABASE, credential.username, credential.password) as connection:
            migrate(
                connection,
                database=_DATABASE,
                files=self._configuration.migrations[_DATABASE],
                progress=lambda _: None,
                settings=RunSettings(lock_timeout_s=5.0, statement_timeout_s=900.0),
                provenance=Provenance("bench", "bench"),
            )

    def _finish(self) -> None:
        parts = self._watch.parts
        parts["look at everything"] = look(self._platform, self._desired, self._services)
        left = diff(self._desired, observe(self._desired, self._services), adopt=True).work
        changes = [each for each in left if isinstance(each, SetPublication) and each.database == _DATABASE]
        branch = self._branches[changes[0].environment]
        with self._watch.on("one publication"):
            access = owner_access(self._desired, self._services, self._project, branch)
            assert access is not None
            with self._services.connect_as_owner(access, _DATABASE) as connection:
                apply_publications(connection, changes)
        parts["look again"] = look(self._platform, self._desired, self._services)


def _size(compute: Compute) -> dict[str, object]:
    return {
        "autoscaling_limit_min_cu": compute.min_cu,
        "autoscaling_limit_max_cu": compute.max_cu,
        "suspend_timeout_seconds": compute.suspend_timeout_seconds,
    }
