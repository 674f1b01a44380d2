"""What a compute serves, against the figures that Neon documents (facts.md 4)."""

from __future__ import annotations

import pytest

from neonctl.desired import capacity


@pytest.mark.parametrize(
    ("cu", "connections", "pool"),
    [
        (0.25, 104, 93),
        (0.5, 209, 188),
        (1, 419, 377),
        (2, 839, 755),
        (3, 1258, 1132),
        (4, 1678, 1510),
        (5, 2098, 1888),
        (6, 2517, 2265),
        (7, 2937, 2643),
        (8, 3357, 3021),
        (9, 4000, 3600),
        (56, 4000, 3600),
    ],
)
def test_connections_by_size(cu: float, connections: int, pool: int) -> None:
    assert capacity.max_connections(cu) == connections
    assert capacity.usable_connections(cu) == connections - 7
    assert capacity.pool_size(cu) == pool


def test_capacity_never_falls_as_computes_grow() -> None:
    given = [capacity.max_connections(cu) for cu in capacity.FIXED_SIZES]
    assert given == sorted(given)


@pytest.mark.parametrize("cu", [0, 0.2, -1, float("nan")])
def test_no_capacity_below_the_smallest_size(cu: float) -> None:
    with pytest.raises(ValueError, match=r"0\.25"):
        capacity.max_connections(cu)


def test_the_smallest_size_that_is_enough() -> None:
    assert capacity.smallest_size(lambda cu: capacity.pool_size(cu) >= 756) == 3
    assert capacity.smallest_size(lambda cu: capacity.pool_size(cu) > 3600) is None
