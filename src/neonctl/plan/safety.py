"""What a plan may do only when it was asked to, by flag and by name."""

from __future__ import annotations

from collections.abc import Collection

from neonctl.errors import PlanChangedError, UnsafePlanError
from neonctl.plan.plan import Plan


def check_deletions(plan: Plan, allowed: Collection[str]) -> None:
    """Refuse a deletion whose name (``dev``, or its whole address) was not given with ``--allow-delete``."""
    refused = [
        change
        for change in plan.changes
        if change.action == "delete" and change.name not in allowed and change.address not in allowed
    ]
    if refused:
        names = ", ".join(change.address for change in refused)
        flags = " ".join(f"--allow-delete {change.name}" for change in refused)
        raise UnsafePlanError(
            "DELETION_NOT_ALLOWED",
            f"the plan would delete {names}",
            hint=f"if that is meant, add {flags}",
            details={"deletions": [change.address for change in refused]},
        )


def check_expected(plan: Plan, expected: str | None) -> None:
    """Refuse a plan that is not the reviewed one. A prefix of at least 12 characters of the fingerprint will do."""
    if expected is None:
        return
    if len(expected) < 12 or not plan.fingerprint.startswith(expected.lower()):
        raise PlanChangedError(
            "PLAN_CHANGED",
            f"the plan at hand is {plan.fingerprint[:12]}, the reviewed one was {expected[:12]}",
            hint="review the new plan and give its fingerprint to --expect",
            details={"expected": expected, "fingerprint": plan.fingerprint},
        )
