"""Fault rules and the journal, as the AWS services ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from neonctl.local.aws.faults import FaultDecision, FaultError

if TYPE_CHECKING:
    from aiohttp import web

    from neonctl.local.faults import Faults
    from neonctl.local.journal import Journal

_ERRORS: Final[dict[int, FaultError]] = {
    423: "throttled",
    429: "throttled",
    500: "internal",
    503: "unavailable",
}


@dataclass(frozen=True)
class AwsFaults:
    """Notes every AWS call and says what befalls it."""

    faults: Faults
    journal: Journal

    async def __call__(self, request: web.Request, service: str, operation: str) -> FaultDecision | None:
        self.journal.record(service, operation)
        fault = self.faults.aws(service, operation)
        if fault is None:
            return None
        error = None if fault.status is None else _ERRORS[fault.status]
        cut = cast("Literal['before', 'after'] | None", fault.cut)
        return FaultDecision(delay_s=fault.latency_ms / 1000, error=error, cut=cut)
