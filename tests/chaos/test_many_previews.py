"""Many previews at the same time, each command a process of its own, while Neon answers 423 and 429 now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neonctl.local.state import set_faults

from .scenarios import Scenario, build, done, expected
from .site import Expected, Run, Site

QUIETLY = ("--no-input", "--no-color", "-q")
FAULTS: list[dict[str, Any]] = [
    {"target": "neon", "method": "POST|PATCH|DELETE", "status": 423, "probability": 0.3, "seed": 1},
    {"target": "neon", "status": 429, "retry_after": 1, "probability": 0.03, "seed": 2},
]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory, site: Site, request: pytest.FixtureRequest) -> Scenario:
    """A platform with prod, dev and no preview."""
    folder = tmp_path_factory.mktemp("chaos-config")
    if request.config.getoption("--shipped"):
        scenario = build("full", folder)
        site.clear()
        done(site, scenario.config)
        return scenario
    scenario = build("preview", folder)
    site.clear()
    scenario.prepare(site)
    return scenario


@contextmanager
def obstructed(site: Site) -> Iterator[None]:
    set_faults(site.platform, FAULTS)
    try:
        yield
    finally:
        set_faults(site.platform, [])


def together(site: Site, config: Path, commands: Sequence[Sequence[str]]) -> tuple[list[Run], float]:
    started = time.monotonic()
    with obstructed(site):
        runs = site.run_together(config, [[(*command, *QUIETLY)] for command in commands], timeout_s=420)
    for command, run in zip(commands, runs, strict=True):
        assert run.exit_code == 0, f"{command}: {run}"
    return runs, time.monotonic() - started


def standing(config: Path, numbers: Sequence[int]) -> Expected:
    """What must be there while these previews are: each has what its source has, under its own name."""
    base = expected(config)
    names = [f"pr-{number}" for number in numbers]
    of_dev = {name.removeprefix("bank-neon/dev/") for name in base.secrets if name.startswith("bank-neon/dev/")}
    return replace(
        base,
        branches=base.branches | set(names),
        secrets=base.secrets | {f"bank-neon/{name}/{rest}" for name in names for rest in of_dev},
    )


@pytest.mark.timeout(900)
def test_many_at_once(
    site: Site, scenario: Scenario, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """None is lost, none is left over; what the first half loses the second half keeps."""
    count = int(request.config.getoption("--previews"))
    numbers = list(range(1, count + 1))
    half = numbers[: count // 2]
    rest = numbers[count // 2 :]
    config = scenario.config

    _, made_s = together(site, config, [("preview", "create", str(number)) for number in numbers])
    assert not without_parameters(site, standing(config, numbers))

    both = [("preview", "delete", str(number)) for number in half]
    both += [("preview", "create", str(number)) for number in rest]
    _, both_s = together(site, config, both)
    assert not without_parameters(site, standing(config, rest))
    for number in rest[:2]:
        verified = site.run(config, ("verify", "--env", f"pr-{number}", *QUIETLY))
        assert verified.exit_code == 0, verified

    _, gone_s = together(site, config, [("preview", "delete", str(number)) for number in rest])
    assert not site.wrong(expected(config))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{count} previews at once: made in {made_s:.1f} s; half deleted and half refreshed in {both_s:.1f} s; "
            f"the rest deleted in {gone_s:.1f} s\n"
        )


def without_parameters(site: Site, wanted: Expected) -> list[str]:
    """What is wrong, parameters aside: which ones there are follows from each configuration."""
    return [text for text in site.wrong(wanted) if not text.startswith("parameters")]
