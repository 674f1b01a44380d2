"""What a compute of a given size can do (facts.md 4)."""

from __future__ import annotations

from typing import Final

from neonctl.local.api.failures import bad_request, unprocessable

DEFAULT_SUSPEND_SECONDS: Final = 300
MAX_CLIENT_CONNECTIONS: Final = 10_000
_MAX_CONNECTIONS: Final = (
    (0.25, 104),
    (0.5, 209),
    (1.0, 419),
    (2.0, 839),
    (3.0, 1258),
    (4.0, 1678),
    (5.0, 2098),
    (6.0, 2517),
    (7.0, 2937),
    (8.0, 3357),
    (9.0, 4000),
)
_AUTOSCALING_MAX_CU: Final = 16
_AUTOSCALING_RANGE_CU: Final = 8
_FIXED_MAX_CU: Final = 56


def max_connections(max_cu: float) -> int:
    """Postgres' ``max_connections`` on a compute that may grow to ``max_cu``."""
    return [count for size, count in _MAX_CONNECTIONS if size <= max_cu][-1]


def pool_size(max_cu: float) -> int:
    """Connections that the pooler opens per user and database: nine tenths of ``max_connections``."""
    return max_connections(max_cu) * 9 // 10


def check_size(min_cu: float, max_cu: float) -> None:
    """Refuse sizes that Neon does not offer."""
    if min_cu > max_cu:
        raise bad_request("autoscaling_limit_min_cu must not be greater than autoscaling_limit_max_cu")
    if (min_cu * 4) % 1 or (max_cu * 4) % 1:
        raise unprocessable("compute units come in steps of 0.25")
    if max_cu > _FIXED_MAX_CU:
        raise unprocessable(f"a compute may have {_FIXED_MAX_CU} compute units at most")
    if min_cu == max_cu:
        return
    if max_cu > _AUTOSCALING_MAX_CU:
        raise unprocessable(f"autoscaling reaches {_AUTOSCALING_MAX_CU} compute units at most")
    if max_cu - min_cu > _AUTOSCALING_RANGE_CU:
        raise unprocessable(
            f"autoscaling_limit_max_cu may exceed autoscaling_limit_min_cu by {_AUTOSCALING_RANGE_CU} at most"
        )


def check_suspend_timeout(seconds: int) -> None:
    """0 is the default, -1 is never, otherwise a minute to a week."""
    if seconds not in (-1, 0) and not 60 <= seconds <= 604_800:
        raise bad_request("suspend_timeout_seconds must be 0, -1 or between 60 and 604800")


def idle_seconds(suspend_timeout_seconds: int) -> int | None:
    """After how many idle seconds a compute is suspended; none for never."""
    if suspend_timeout_seconds == -1:
        return None
    return suspend_timeout_seconds or DEFAULT_SUSPEND_SECONDS
