"""The Neon API as the rest of the program sees it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonctl.neon.branches import BranchCalls
from neonctl.neon.endpoints import EndpointCalls
from neonctl.neon.projects import ProjectCalls
from neonctl.neon.roles import RoleCalls
from neonctl.neon.transport import Patience, Transport

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import httpx

    from neonctl.secret import Secret


class NeonClient(ProjectCalls, BranchCalls, EndpointCalls, RoleCalls):
    """One narrow method per call; snapshots and Secrets out; errors are ServiceError. Safe for many threads.

    Changes are serialised per project, waited for, and done once even when an answer is lost (``changes``).
    ``on_wait`` is told, in a sentence, when something is waited for or tried again; it may be called from any
    thread that uses the client.
    """

    def __init__(
        self,
        *,
        api_host: str,
        api_key: Secret,
        org_id: str | None = None,
        on_wait: Callable[[str], None] | None = None,
        http: httpx.Client | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``api_host`` with ``/api/v2``. Raises UsageError for a host or key that cannot be right."""
        transport = Transport(
            api_host=api_host,
            api_key=api_key,
            on_wait=on_wait,
            http=http,
            patience=patience,
            clock=clock,
            sleep=sleep,
            now=now,
        )
        super().__init__(transport, org_id)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> NeonClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
