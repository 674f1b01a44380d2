"""``uv run --group test python -m pytest tests/chaos --sweep`` runs the full sweep.

Options: ``--sweep small,changed`` names scenarios (all without a value), ``--shard 1/2`` takes every second point
(start one process per core), ``--only TEXT`` the trials whose name contains it
(``cut-after at sql``). The count is printed at the end.

``--previews 20`` makes and deletes so many previews at the same time in ``test_many_previews.py``, with ``--shipped``
those of the shipped configuration; figures are printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--sweep", nargs="?", const="all", default="", help="kill at every point of these scenarios")
    group.addoption("--shard", default="1/1", help="I/N: only every N-th point, from the I-th")
    group.addoption("--previews", type=int, default=4, help="how many previews at the same time")
    group.addoption("--shipped", action="store_true", help="previews of the shipped configuration, six databases each")
    group.addoption("--only", default="", help="only trials whose name contains this: cut-after at sql COMMIT …")


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One platform for all tests, emptied between them."""
    with Site(tmp_path_factory.mktemp("chaos")) as site:
        yield site
