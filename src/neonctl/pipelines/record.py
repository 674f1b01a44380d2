"""Changing the record of one database: taking it over as it is, and repairing what disagrees with the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from neonctl.pipelines.logins import logged_in
from neonctl.pipelines.migrate import Order, run_settings, shown

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder
    from neonctl.migrations.history import AppliedMigration
    from neonctl.migrations.repair import RepairAction
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services


def set_baseline(
    environment: str,
    database: str,
    *,
    version: str,
    description: str,
    desired: Desired,
    services: Services,
    progress: Progress,
    provenance: Callable[[], Provenance],
) -> AppliedMigration:
    """Write the baseline and return its row. Raises what ``migrations.baseline.baseline`` raises."""
    from neonctl.migrations.baseline import baseline

    spec = desired.environments[environment]
    with logged_in([database], spec, services) as connections:
        return baseline(
            connections[database],
            database=database,
            version=version,
            description=description,
            progress=lambda event: progress(shown(environment, event)),
            settings=run_settings(desired, spec, Order()),
            provenance=provenance(),
        )


def repair_record(
    environment: str,
    database: str,
    *,
    desired: Desired,
    files: MigrationFolder,
    services: Services,
    progress: Progress,
    provenance: Callable[[], Provenance],
    before: Callable[[Sequence[RepairAction]], None],
) -> tuple[RepairAction, ...]:
    """Plan a repair, tell ``before``, which may refuse by raising, and carry it out; what was done.

    Raises what ``migrations.repair.repair`` raises.
    """
    from neonctl.migrations.history import read_history
    from neonctl.migrations.repair import plan_repair, repair

    spec = desired.environments[environment]
    with logged_in([database], spec, services) as connections:
        connection = connections[database]
        actions = plan_repair(files, read_history(connection))
        if actions:
            before(actions)
            repair(
                connection,
                actions,
                database=database,
                progress=lambda event: progress(shown(environment, event)),
                settings=run_settings(desired, spec, Order()),
                provenance=provenance(),
            )
    return actions
