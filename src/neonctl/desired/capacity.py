"""What a Neon compute of a given size can serve (facts.md 4; Neon's pooler cannot be configured).

An autoscaling compute is started with the ``max_connections`` of its largest size, so capacity is that of
``max_cu``. Memory at the smallest size is what the autoscaler then adds to; it is not counted here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVED_CONNECTIONS = 7  # kept by Neon for its own superuser
CLIENT_CONNECTIONS = 10_000  # max_client_conn of the pooler, whatever the size
AUTOSCALING_SIZES: tuple[float, ...] = (0.25, 0.5, *(float(cu) for cu in range(1, 17)))
FIXED_SIZES: tuple[float, ...] = (*AUTOSCALING_SIZES, *(float(cu) for cu in range(17, 57)))
MAX_AUTOSCALING_RANGE = 8.0  # CU between the smallest and the largest size

_MAX_CONNECTIONS: tuple[tuple[float, int], ...] = (
    (0.25, 104),
    (0.5, 209),
    (1, 419),
    (2, 839),
    (3, 1258),
    (4, 1678),
    (5, 2098),
    (6, 2517),
    (7, 2937),
    (8, 3357),
    (9, 4000),
)


def max_connections(cu: float) -> int:
    """``max_connections`` of Postgres on a compute whose largest size is ``cu``.

    Sizes between Neon's steps count as the step below.
    Raises ValueError below the smallest size.
    """
    if math.isnan(cu) or cu < _MAX_CONNECTIONS[0][0]:
        raise ValueError("a compute has at least 0.25 CU")
    return max(connections for size, connections in _MAX_CONNECTIONS if size <= cu)


def usable_connections(cu: float) -> int:
    """Connections left for ordinary roles, over all databases and roles together."""
    return max_connections(cu) - RESERVED_CONNECTIONS


def pool_size(cu: float) -> int:
    """Server connections that the pooler opens at most per database and role: 0.9 of ``max_connections``."""
    return max_connections(cu) * 9 // 10


def smallest_size(enough: Callable[[float], bool]) -> float | None:
    """The smallest compute size that is ``enough``, or None when none is."""
    return next((cu for cu in FIXED_SIZES if enough(cu)), None)
