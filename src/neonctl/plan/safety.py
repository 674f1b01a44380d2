"""What a plan may do only when it was asked to, by flag and by name."""

from __future__ import annotations

from collections.abc import Collection

from neonctl.errors import PlanChangedError, UnsafePlanError
from neonctl.plan.plan import Plan


def check_deletions(plan: Plan, allowed: Collection[str]) -> None:
    """Refuse a deletion that was not allowed by name: ``dev`` or ``dev/bank_old``, its own or what it goes with.

    A branch takes its secrets and parameters along, a database its roles, secrets and parameters.
    """
    refused = [
        change
        for change in plan.changes
        if change.action == "delete"
        and not {change.goes_with, f"{change.environment}/{change.goes_with}", change.address} & set(allowed)
    ]
    if refused:
        parents = list(dict.fromkeys(change.goes_with for change in refused))
        raise UnsafePlanError(
            "DELETION_NOT_ALLOWED",
            f"the plan would delete {', '.join(parents)} ({len(refused)} deletions)",
            hint=f"if that is meant, add {' '.join(f'--allow-delete {name}' for name in parents)}",
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
