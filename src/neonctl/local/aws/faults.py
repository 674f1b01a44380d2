"""What a fault injector may do to an AWS call. Deciding is the caller's business; this room only obeys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from aiohttp import web

FaultError = Literal["throttled", "internal", "unavailable"]


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """Applied in this order: wait ``delay_s``; then ``cut="before"`` breaks the connection with nothing done,
    or ``error`` answers as AWS does with nothing done; ``cut="after"`` does and commits the work, then breaks
    the connection without an answer.
    """

    delay_s: float = 0.0
    error: FaultError | None = None
    cut: Literal["before", "after"] | None = None


class FaultHook(Protocol):
    """Called once per authenticated AWS call, before any work. ``service`` is botocore's name of it
    (``secretsmanager``, ``ssm``, ``events``, ``kms``, ``sts``), ``operation`` the API's (``PutSecretValue``).
    None: no fault.
    """

    async def __call__(self, request: web.Request, service: str, operation: str) -> FaultDecision | None: ...
