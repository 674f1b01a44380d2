"""A branch at work: its cluster runs while a compute is active or somebody works on it as the superuser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from neonctl.local.clusters.cluster import Cluster
from neonctl.local.clusters.config import ClusterSettings

_LINGER_SECONDS = 5.0  # work as the superuser comes in bursts
_DRAIN_SECONDS = 5.0


class Branch:
    """Starts and stops one cluster for all who need it.

    ``wanted`` tells the settings that the branch's endpoints ask for; they are applied when a compute starts.
    """

    def __init__(self, cluster: Cluster, wanted: Callable[[], ClusterSettings]) -> None:
        self.cluster = cluster
        self._wanted = wanted
        self._lock = asyncio.Lock()
        self._leases = 0
        self._unleased = asyncio.Event()
        self._unleased.set()
        self._active: set[str] = set()
        self._linger: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def is_active(self, endpoint_id: str) -> bool:
        """Whether this endpoint's compute was started and its cluster still runs."""
        return endpoint_id in self._active and self.cluster.running

    def has_crashed(self, endpoint_id: str) -> bool:
        """Whether this endpoint's compute was started and its cluster has ended by itself."""
        return endpoint_id in self._active and not self.cluster.running and not self._lock.locked()

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncGenerator[Cluster]:
        """The running cluster, for the duration of the block; this activates no compute."""
        async with self._lock:
            if not self.cluster.running:
                await self.cluster.start(self._wanted())
            self._leases += 1
            self._unleased.clear()
        try:
            yield self.cluster
        finally:
            self._leases -= 1
            if not self._leases:
                self._unleased.set()
            self._stop_later()

    async def activate(self, endpoint_id: str) -> None:
        """Start an endpoint's compute with the settings wanted now; nothing to do when it is active."""
        if self.is_active(endpoint_id):
            return
        async with self._lock:
            if self.is_active(endpoint_id):
                return
            if self.cluster.running and self.cluster.settings != self._wanted():
                await self._drain()
                await self.cluster.stop()
            if not self.cluster.running:
                await self.cluster.start(self._wanted())
            self._active.add(endpoint_id)

    async def deactivate(self, endpoint_id: str) -> None:
        """Stop an endpoint's compute, and the cluster when nobody else needs it."""
        async with self._lock:
            self._active.discard(endpoint_id)
            if self._unused():
                await self.cluster.stop()

    async def restart(self, endpoint_id: str) -> None:
        """Stop the cluster and start it with the settings wanted now."""
        async with self._lock:
            await self._drain()
            await self.cluster.stop()
            await self.cluster.start(self._wanted())
            self._active.add(endpoint_id)

    @contextlib.asynccontextmanager
    async def stopped(self) -> AsyncGenerator[None]:
        """Keep the cluster down during the block; afterwards active computes run again."""
        async with self._lock:
            await self._drain()
            await self.cluster.stop()
            yield
            if self._active:
                await self.cluster.start(self._wanted())

    async def close(self) -> None:
        """Stop the cluster for good."""
        if self._linger is not None:
            self._linger.cancel()
        async with self._lock:
            self._active.clear()
            await self.cluster.stop()

    def _unused(self) -> bool:
        return not self._active and not self._leases

    async def _drain(self) -> None:
        # Who works as the superuser gets time to finish, but cannot hold a restart up for ever.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unleased.wait(), _DRAIN_SECONDS)

    def _stop_later(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
        if self._unused():
            self._linger = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._stop_unused)

    def _stop_unused(self) -> None:
        async def stop() -> None:
            async with self._lock:
                if self._unused():
                    await self.cluster.stop()

        task = asyncio.get_running_loop().create_task(stop())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
