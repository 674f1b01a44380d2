"""The full sweep, only when asked for (see ``conftest.py``): each point on its own, each way to fail."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .scenarios import NAMES, build
from .sweep import Tally, sweep

if TYPE_CHECKING:
    from pathlib import Path

    from .site import Site


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", NAMES)
def test_killed_or_cut_at_every_call(
    name: str, site: Site, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = str(request.config.getoption("--sweep", default=""))
    if chosen != "all" and name not in chosen.split(","):
        pytest.skip("asked for with --sweep")
    index, count = map(int, str(request.config.getoption("--shard")).split("/"))
    tally = Tally(name)
    failures = 0
    for tally in sweep(site, build(name, tmp_path), shard=(index, count), only=str(request.config.getoption("--only"))):
        for text in tally.failures[failures:]:
            with capsys.disabled():
                sys.stdout.write(f"\nFAILED: {text}\n")
        failures = len(tally.failures)
        if sum(tally.runs.values()) % 20 == 0:
            with capsys.disabled():
                sys.stdout.write(f"\n{tally}\n")
                sys.stdout.flush()
    with capsys.disabled():
        sys.stdout.write(f"\n{tally}\n")
    assert not tally.failures
    assert tally.runs
    assert len(tally.not_reached) <= sum(tally.runs.values()) // 20
