"""Migrations for the databases of one environment, side by side, each with its own stored credential."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from neonctl.desired.model import Desired, secret_name
from neonctl.migrations.runner import MigrationResult, migrate
from neonctl.migrations.session import RunSettings
from neonctl.plan.observed import Address
from neonctl.provision.parallel import by_key
from neonctl.provision.progress import Event, Progress

if TYPE_CHECKING:
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder
    from neonctl.migrations.progress import MigrationEvent
    from neonctl.provision.services import Services

LOCK_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 900.0
SETTINGS = RunSettings(LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S)


def promotion_order(desired: Desired, environments: Sequence[str]) -> list[str]:
    """The environments so that each comes after the one it is promoted from: dev → uat → prod (product.md 5)."""
    ordered: list[str] = []

    def add(name: str) -> None:
        before = desired.environments[name].migrations.promoted_from
        if before is not None and before in environments:
            add(before)
        if name not in ordered:
            ordered.append(name)

    for name in environments:
        add(name)
    return ordered


def migrate_environment(
    environment: str,
    databases: Sequence[str],
    *,
    desired: Desired,
    files: Mapping[str, MigrationFolder],
    services: Services,
    progress: Progress,
    provenance: Provenance,
) -> Mapping[str, MigrationResult]:
    """Run what is pending in these databases, as ``{db}_migrate_user`` over the direct host.

    The first error lets no database begin another file.
    """
    failed = threading.Event()
    spec = desired.environments[environment]
    secrets = services.aws(spec.aws).secrets()

    def tell(event: MigrationEvent) -> None:
        text = " ".join(part for part in (event.database, event.script) if part)
        state = {"waiting": "waiting", "applied": "done", "undone": "done"}.get(event.kind, "started")
        progress(Event(environment, f"migration {text}", state))  # pyright: ignore[reportArgumentType]

    def one(database: str) -> MigrationResult:
        try:
            _, credential = secrets.read(secret_name(spec.stage, database, "migrate_user"))
            address = Address(credential.direct_host, credential.direct_port)
            with services.login(address, database, credential.username, credential.password) as connection:
                return migrate(
                    connection,
                    database=database,
                    files=files[database],
                    progress=tell,
                    settings=SETTINGS,
                    provenance=provenance,
                    stop=failed.is_set,
                )
        except BaseException:
            failed.set()
            raise

    return by_key(one, databases)
