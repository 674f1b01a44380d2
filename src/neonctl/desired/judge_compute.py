"""Rules about compute, pooling and role limits: does the compute give what the environment needs?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from neonctl.desired import capacity
from neonctl.desired.model import ROLE_KINDS, ComputeSpec, EnvironmentSpec
from neonctl.desired.subject import PLATFORM, Finding, Subject

_ALWAYS_ON_ABOVE = 16  # larger computes are never suspended by Neon
_MIN_SUSPEND_SECONDS = 60


def compute_findings(subject: Subject) -> Iterator[Finding]:
    """Every broken rule about sizes and connections, in all environments and in preview."""
    for name, spec in subject.everywhere():
        sizes = list(_sizes(name, spec.compute))
        yield from sizes
        yield from _suspend(name, spec.compute)
        if not sizes:  # capacity of a compute that Neon would not make is no use
            yield from _pooling(name, spec)
            yield from _connections(subject, name, spec)
        yield from _limits(subject, name, spec)


def _sizes(name: str, compute: ComputeSpec) -> Iterator[Finding]:
    low, high = compute.min_cu, compute.max_cu
    known = {"min_cu": low in capacity.FIXED_SIZES, "max_cu": high in capacity.FIXED_SIZES}
    for key, is_known in known.items():
        if not is_known:
            yield Finding(name, ("compute", key), "Neon's sizes are 0.25, 0.5 and whole numbers from 1 to 56")
    if not all(known.values()) or low == high:
        return
    if low > high:
        yield Finding(name, ("compute", "min_cu"), f"{low:g} is more than max_cu ({high:g})")
    elif high not in capacity.AUTOSCALING_SIZES:
        message = f"autoscaling ends at 16 CU: for {high:g} CU set min_cu to the same (a fixed size)"
        yield Finding(name, ("compute", "max_cu"), message)
    elif high - low > capacity.MAX_AUTOSCALING_RANGE:
        least = high - capacity.MAX_AUTOSCALING_RANGE
        message = f"Neon scales over at most 8 CU: min_cu must be at least {least:g} for max_cu {high:g}"
        yield Finding(name, ("compute", "min_cu"), message)


def _suspend(name: str, compute: ComputeSpec) -> Iterator[Finding]:
    seconds, where = compute.suspend_timeout_seconds, ("compute", "suspend_timeout_seconds")
    if seconds is None:
        return
    if 0 < seconds < _MIN_SUSPEND_SECONDS:
        yield Finding(name, where, "must be 0 (Neon's default, 300), -1 (never) or 60 to 604800")
    elif seconds >= 0 and compute.min_cu > _ALWAYS_ON_ABOVE:
        yield Finding(name, where, "Neon never suspends computes above 16 CU: use -1")


def _pooling(name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    if spec.pooling is None:
        return
    size, needed, given = spec.compute.max_cu, spec.pooling.pool_size, capacity.pool_size(spec.compute.max_cu)
    if needed > given:
        message = (
            f"{needed} server connections per database and role are needed, the pooler of {size:g} CU opens {given} "
            f"(0.9 of max_connections {capacity.max_connections(size)}); "
            + _would_do(lambda cu: capacity.pool_size(cu) >= needed)
        )
        yield Finding(name, ("pooling", "pool_size"), message, "CAPACITY", ((name, ("compute",)),))
    if spec.pooling.client_connections > capacity.CLIENT_CONNECTIONS:
        message = (
            f"{spec.pooling.client_connections} client connections are needed, Neon's pooler takes "
            f"{capacity.CLIENT_CONNECTIONS} on every compute; no size would do"
        )
        yield Finding(name, ("pooling", "client_connections"), message, "CAPACITY")
    app = spec.roles.get("app_user")
    limit = app.connection_limit if app else None
    if limit is not None and 0 < limit < needed:
        message = f"{limit} is less than pooling.pool_size ({needed}), and app_user connects through the pooler"
        yield Finding(name, ("roles", "app_user", "connection_limit"), message, "CAPACITY")


def _would_do(enough: Callable[[float], bool]) -> str:
    size = capacity.smallest_size(enough)
    return f"max_cu {size:g} would do" if size else "no size would do: ask for less"


def _connections(subject: Subject, name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    """Limits of all roles together, over all databases, must fit what the compute lets in."""
    if subject.platform is None:
        return
    kinds = [kind for base in subject.platform.databases.values() if base.state == "present" for kind in base.roles]
    total = 0
    for kind, limits in spec.roles.items():
        if limits.connection_limit is not None and limits.connection_limit > 0:
            total += limits.connection_limit * kinds.count(kind)
    size = spec.compute.max_cu
    if total > capacity.usable_connections(size):
        message = (
            f"the connection limits add up to {total} over all databases, {size:g} CU lets "
            f"{capacity.usable_connections(size)} in (max_connections less {capacity.RESERVED_CONNECTIONS}); "
            + _would_do(lambda cu: capacity.usable_connections(cu) >= total)
        )
        yield Finding(name, ("roles",), message, "CAPACITY", ((name, ("compute",)),))


def _limits(subject: Subject, name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    databases = subject.platform.databases.values() if subject.platform else ()
    known = {kind for base in databases for kind in base.roles} if subject.platform else set(ROLE_KINDS)
    for kind, limits in spec.roles.items():
        if kind not in known:
            yield Finding(
                name, ("roles", kind), f"no database has a role {kind}", rests_on=((PLATFORM, ("databases",)),)
            )
        if limits.connection_limit == 0:
            yield Finding(name, ("roles", kind, "connection_limit"), "0 would lock the role out; -1 is no limit")
