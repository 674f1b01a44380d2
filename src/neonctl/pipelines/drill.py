"""Drills: Open Bank Resolution carried out and unwound on an instant copy of an environment, and proven there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from uuid import uuid4

from neonctl import __version__
from neonctl.pipelines.bank import DATABASE, bank
from neonctl.provision.progress import Event

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.banking.drills.conduct import Findings
    from neonctl.banking.drills.report import Drill, Parameters, Target
    from neonctl.banking.drills.timeline import Timeline
    from neonctl.desired.model import Desired, RoleKind
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services
    from neonctl.provision.throwaway import ThrowawayBranch

LIFETIME, LONGEST = timedelta(hours=2), timedelta(days=30)  # the longest is Neon's
_ROLES: Final[tuple[RoleKind, ...]] = ("app_user", "readonly", "resolution_officer", "migrate_user")


@dataclass(frozen=True)
class Order:
    """What is asked for, of which environment, by whom. ``lifetime``: of the copy, when this process is killed."""

    environment: str
    parameters: Parameters
    actor: str
    trace_id: str
    lifetime: timedelta = LIFETIME


def drill_environment(
    order: Order, *, desired: Desired, services: Services, progress: Progress, audit: AuditLog
) -> Drill:
    """Copy the environment's branch, carry the resolution out there, and delete the copy.

    What was found wrong is in the result; the environment itself is only read. Raises ``NeonctlError``
    OBR_DRILL_REFUSED while a resolution is under way there, and what making the copy raises; ``ServiceError`` and
    ``RetryableError`` when Neon or Postgres let it come to no end: then nothing was shown.
    """
    from neonctl.banking.drills.conduct import ROUNDING
    from neonctl.banking.drills.report import Drill
    from neonctl.banking.drills.timeline import Timeline

    def tell(title: str, state: Literal["started", "done"]) -> None:
        progress(Event(order.environment, f"drill: {title[0].lower()}{title[1:]}", state))

    run = _Run(order, desired, services, progress, audit)
    started, timeline = datetime.now(UTC), Timeline(tell)
    run.check_target()
    target, found = run.on_copy(timeline)
    return Drill(
        drill_id=uuid4(),
        target=target,
        parameters=order.parameters,
        started_at=started,
        ended_at=datetime.now(UTC),
        actor=order.actor,
        trace_id=order.trace_id,
        program=f"neonctl {__version__}",
        rounding=ROUNDING,
        phases=tuple(timeline.phases),
        **vars(found),
    )


class _Run:
    def __init__(self, order: Order, desired: Desired, services: Services, progress: Progress, audit: AuditLog) -> None:
        self._order = order
        self._desired = desired
        self._services = services
        self._progress = progress
        self._audit = audit

    def check_target(self) -> None:
        """Whether a drill makes sense, and its record could be written, before anything is made."""
        from neonctl.banking.drills.conduct import check_ready

        environment = self._order.environment
        with bank(environment, desired=self._desired, services=self._services, role="resolution_officer") as connection:
            check_ready(connection, environment)

    def on_copy(self, timeline: Timeline) -> tuple[Target, Findings]:
        """The drill on its branch, which is gone afterwards."""
        from neonctl.provision.throwaway import throwaway_branch

        copy = throwaway_branch(
            self._desired,
            self._services,
            environment=self._order.environment,
            purpose="drill",
            databases=[DATABASE],
            progress=self._progress,
            now=datetime.now(UTC),
            audit=self._audit,
            lifetime=self._order.lifetime,
            kinds=_ROLES,
        )
        with ExitStack() as opened:
            timeline.start("copy", "Copy of the branch")
            opened.callback(timeline.stop)  # of the deletion, which comes before it
            branch = opened.enter_context(copy)
            timeline.stop()
            opened.callback(timeline.start, "delete", "Copy deleted")
            return self._drilled(branch, timeline)

    def _drilled(self, branch: ThrowawayBranch, timeline: Timeline) -> tuple[Target, Findings]:
        from neonctl.banking.drills.conduct import Conduct, Doors, check_ready
        from neonctl.banking.drills.officer import Copy
        from neonctl.banking.drills.report import Target
        from neonctl.banking.statement import Trace

        def door(kind: RoleKind) -> Callable[[], AbstractContextManager[psycopg.Connection[TupleRow]]]:
            return lambda: branch.login(DATABASE, kind)

        doors = Doors(*(door(kind) for kind in ("resolution_officer", "app_user", "readonly", "migrate_user")))
        environment, spec = self._order.environment, self._desired.environments[self._order.environment]
        with doors.owner() as owner:
            state, version = check_ready(owner, environment), _schema_version(owner)
        copy = Copy(
            scope=f"{self._desired.platform.project.name}/{branch.name[:31]}",
            token=branch.name.rpartition("-")[2],
            trace=Trace(self._order.actor, self._order.trace_id),
        )
        conduct = Conduct(doors, self._order.parameters, copy, timeline)
        conduct.carry_out(state)
        target = Target(environment, DATABASE, branch.name, state, version, f"{spec.compute.min_cu:g}")
        return target, conduct.findings


def _schema_version(owner: psycopg.Connection[TupleRow]) -> str:
    from neonctl.migrations.history import read_history

    versions = [row.version for row in read_history(owner) if row.success and row.version is not None]
    return versions[-1] if versions else "none"
