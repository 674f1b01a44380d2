"""Drills: Open Bank Resolution carried out and unwound on an instant copy of an environment, and proven there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from neonctl.pipelines.bank import DATABASE, bank, require_bank
from neonctl.provision.progress import Event

if TYPE_CHECKING:
    from neonctl.banking.drills.report import Drill, Parameters
    from neonctl.desired.model import Desired, RoleKind
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services
    from neonctl.provision.throwaway import ThrowawayBranch

LIFETIME: Final = timedelta(hours=2)
ROLES: Final[tuple[RoleKind, ...]] = ("app_user", "readonly", "resolution_officer", "migrate_user")


@dataclass(frozen=True)
class Order:
    """What is asked for. ``program``: its name and version, for the report."""

    environment: str
    parameters: Parameters
    program: str
    trace_id: str
    lifetime: timedelta = LIFETIME


def drill_environment(
    order: Order, *, desired: Desired, services: Services, progress: Progress, audit: AuditLog
) -> Drill:
    """Copy the environment's branch, carry the resolution out there, and delete the copy.

    What was found wrong is in the result; the environment itself is not written to. Raises ``NeonctlError``
    OBR_DRILL_REFUSED while a resolution is under way there, and what making the copy raises; ``ServiceError`` and
    ``RetryableError`` when Neon or Postgres did not let it come to an end: then nothing was shown.
    """
    from neonctl.banking.drills.conduct import Doors, conduct
    from neonctl.banking.drills.report import Drill, Target
    from neonctl.banking.drills.timeline import Timeline
    from neonctl.provision.throwaway import throwaway_branch
