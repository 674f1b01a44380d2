"""How a branch says that it is ours: annotations given when it is made (Neon cannot change them later)."""

from __future__ import annotations

from neonctl.plan.observed import BranchSnapshot

MANAGED_BY = "managed-by"
ENVIRONMENT = "neonctl-environment"
BUILD = "neonctl-build"
PULL_REQUEST = "neonctl-pull-request"


def branch_annotations(environment: str, *, build: str) -> dict[str, str]:
    """What a branch made for an environment carries. ``build`` is ``schema-only``, ``empty`` or ``parent-data``."""
    return {MANAGED_BY: "neonctl", ENVIRONMENT: environment, BUILD: build}


def is_ours(branch: BranchSnapshot) -> bool:
    """Whether neonctl made this branch."""
    return branch.annotations.get(MANAGED_BY) == "neonctl"


def made_for(branch: BranchSnapshot) -> str | None:
    """The environment that the branch was made for."""
    return branch.annotations.get(ENVIRONMENT) if is_ours(branch) else None
