"""How a branch says that it is ours: annotations given when it is made (Neon cannot change them later)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from neonctl.desired.preview import preview_name
from neonctl.frozen import frozen
from neonctl.plan.observed import BranchSnapshot

Purpose = Literal["proof", "rehearsal", "drill"]  # what a throw-away branch is for

MANAGED_BY = "managed-by"
ENVIRONMENT = "neonctl-environment"
BUILD = "neonctl-build"
PULL_REQUEST = "neonctl-pull-request"
REPOSITORY = "neonctl-repository"
COMMIT = "neonctl-commit"
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


@frozen
class PullRequest:
    """Whose preview it is. ``repository``: ``owner/name``; ``commit``: what is being previewed. None: not known."""

    number: int
    repository: str | None = None
    commit: str | None = None


def preview_annotations(pull_request: PullRequest, *, build: str) -> dict[str, str]:
    """What the branch of a pull request carries; the commit is the one that it was made for."""
    known = {REPOSITORY: pull_request.repository, COMMIT: pull_request.commit}
    return {
        **branch_annotations(preview_name(pull_request.number), build=build),
        PULL_REQUEST: str(pull_request.number),
        **{key: value for key, value in known.items() if value},
    }


def previewed(branch: BranchSnapshot) -> PullRequest | None:
    """The pull request that neonctl made this branch for; None for every other branch, whatever its name."""
    written = branch.annotations.get(PULL_REQUEST, "")
    if not written.isdecimal() or made_for(branch) != branch.name or branch.name != preview_name(int(written)):
        return None
    return PullRequest(int(written), branch.annotations.get(REPOSITORY), branch.annotations.get(COMMIT))


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
