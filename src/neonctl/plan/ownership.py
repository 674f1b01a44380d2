"""How a branch says that it is ours: annotations given when it is made (Neon cannot change them later)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from neonctl.plan.observed import BranchSnapshot

Purpose = Literal["proof", "rehearsal", "drill"]  # what a throw-away branch is for

MANAGED_BY = "managed-by"
ENVIRONMENT = "neonctl-environment"
BUILD = "neonctl-build"
PULL_REQUEST = "neonctl-pull-request"
PURPOSE = "neonctl-purpose"
SOURCE = "neonctl-source"
UNTIL = "neonctl-until"

_PURPOSES = ("proof", "rehearsal", "drill")


def branch_annotations(environment: str, *, build: str) -> dict[str, str]:
    """What a branch made for an environment carries. ``build`` is ``schema-only``, ``empty`` or ``parent-data``."""
    return {MANAGED_BY: "neonctl", ENVIRONMENT: environment, BUILD: build}


def is_ours(branch: BranchSnapshot) -> bool:
    """Whether neonctl made this branch."""
    return branch.annotations.get(MANAGED_BY) == "neonctl"


def made_for(branch: BranchSnapshot) -> str | None:
    """The environment that the branch was made for."""
    return branch.annotations.get(ENVIRONMENT) if is_ours(branch) else None


def throwaway_annotations(environment: str, *, purpose: Purpose, until: datetime) -> dict[str, str]:
    """What a throw-away branch carries. ``until`` stands here too: an expiry can be taken away, this cannot."""
    return {MANAGED_BY: "neonctl", PURPOSE: purpose, SOURCE: environment, UNTIL: until.astimezone(UTC).isoformat()}


def is_throwaway(branch: BranchSnapshot) -> bool:
    """Whether neonctl made this branch for one proof, rehearsal or drill. It belongs to no environment."""
    return is_ours(branch) and branch.annotations.get(PURPOSE) in _PURPOSES


def is_left_over(branch: BranchSnapshot, now: datetime) -> bool:
    """Whether a throw-away branch has outlived its time: the run that made it was killed."""
    if not is_throwaway(branch) or branch.default or branch.protected:
        return False
    try:
        return datetime.fromisoformat(branch.annotations[UNTIL]) <= now
    except (KeyError, ValueError):
        return branch.expires_at is None or branch.expires_at <= now
