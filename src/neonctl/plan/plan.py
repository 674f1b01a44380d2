"""A plan: sorted changes, their summary and their fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property

from neonctl.frozen import frozen
from neonctl.plan.changes import AnyChange


@frozen
class Plan:
    """What would change, in the order of work. Build it with ``Plan.of``."""

    changes: tuple[AnyChange, ...] = ()

    @classmethod
    def of(cls, changes: Iterable[AnyChange]) -> Plan:
        """Sort the changes; equal inputs give equal plans."""
        return cls(tuple(sorted(changes)))

    @property
    def work(self) -> tuple[AnyChange, ...]:
        """The changes that do something: reports left out."""
        return tuple(change for change in self.changes if change.action != "report")

    @property
    def summary(self) -> dict[str, int]:
        """How many of each action."""
        counts = {"create": 0, "update": 0, "delete": 0, "report": 0}
        for change in self.changes:
            counts[change.action] += 1
        return counts

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what the plan would do. Reports do not count: they do nothing."""
        text = json.dumps([as_json(change) for change in self.work], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def as_json(change: AnyChange) -> dict[str, object]:
    """One change in the shape of product.md 3."""
    return {
        "action": change.action,
        "kind": change.kind,
        "address": change.address,
        "environment": change.environment or None,
        "reason": change.reason or None,
        "before": None if change.before is None else dict(change.before),
        "after": None if change.after is None else dict(change.after),
    }
