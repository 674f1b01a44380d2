"""Rehearsals: what is pending in an environment runs on an instant copy of it first; the outcome stays on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonctl.migrations.check import compare
from neonctl.migrations.history import read_history
from neonctl.pipelines.logins import logged_in
from neonctl.pipelines.migrate import Order, run_settings, shown
from neonctl.provision.parallel import by_key

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder
    from neonctl.migrations.rehearsal import Rehearsal
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services


def rehearse_environment(
    environment: str,
    databases: Sequence[str],
    *,
    desired: Desired,
    files: Mapping[str, MigrationFolder],
    services: Services,
    progress: Progress,
    provenance: Callable[[], Provenance],
    audit: AuditLog,
    max_lock_s: float | None,
) -> Mapping[str, Rehearsal]:
    """Run what is pending on a throw-away copy, watched statement by statement; ``{}`` when nothing is pending.

    The lock budget is the stricter of ``max_lock_s`` and the environment's own, of those that are given. A file that
    fails or holds a lock too long is in the result; the record, in the target itself, says so too. Raises what files,
    Neon and Postgres raise.
    """
    from neonctl.migrations.evidence import NewEntry, record
    from neonctl.migrations.rehearse import rehearse
    from neonctl.migrations.scripts import require_runnable
    from neonctl.provision.throwaway import throwaway_branch

    spec = desired.environments[environment]
    budget = min((each for each in (spec.migrations.max_lock_seconds, max_lock_s) if each is not None), default=None)
    with logged_in(databases, spec, services) as connections:
        found = by_key(
            lambda name: compare(files[name], read_history(connections[name]), database=name, out_of_order=True),
            databases,
        )
    waiting = [name for name in databases if found[name]]
    if not waiting:
        return {}
    for name in waiting:
        require_runnable(found[name].files)
    with throwaway_branch(
        desired,
        services,
        environment=environment,
        purpose="rehearsal",
        databases=waiting,
        progress=progress,
        now=datetime.now(UTC),
        audit=audit,
    ) as branch:

        def one(database: str) -> Rehearsal:
            with branch.login(database) as connection:
                return rehearse(
                    connection,
                    database=database,
                    files=found[database].files,
                    progress=lambda event: progress(shown(branch.name, event)),
                    settings=run_settings(desired, spec, Order()),
                    max_lock_s=budget,
                )

        rehearsals = by_key(one, waiting)
    with logged_in(waiting, spec, services) as connections:
        origin = provenance()
        by_key(
            lambda name: record(
                connections[name], NewEntry("rehearsal", origin, details=rehearsals[name].as_details())
            ),
            waiting,
        )
    return rehearsals
