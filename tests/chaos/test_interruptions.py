"""Ctrl-C, a platform that dies, and two applies at the same time."""

from __future__ import annotations

import pytest

from .faults import Fault, Point
from .scenarios import SMALL, Scenario, build
from .site import APPLY, Site


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return build("small", tmp_path_factory.mktemp("chaos-config"))


MIDDLE = (
    Point("neon POST /projects"),
    Point(f"sql COMMIT [{SMALL} as bank_owner]", 2),
    Point(f"aws secretsmanager.CreateSecret [bank-neon/prod/{SMALL}/app_user]"),
    Point(f"sql migration [{SMALL} as {SMALL}_migrate_user]"),
)


@pytest.mark.parametrize("point", MIDDLE, ids=str)
def test_ctrl_c(site: Site, small: Scenario, point: Point) -> None:
    site.clear()
    run = site.run(small.config, APPLY, fault=Fault("interrupt", point))
    assert (run.exit_code, run.struck) == (130, (point.label,)), run
    assert "Traceback" not in run.output
    assert not site.check(small.config, small.expected)


@pytest.mark.parametrize("point", MIDDLE[3:], ids=str)
def test_the_platform_is_killed_meanwhile(site: Site, small: Scenario, point: Point) -> None:
    site.clear()
    run = site.run(small.config, APPLY, fault=Fault("kill-daemon", point))
    assert run.struck == (point.label,)
    assert run.exit_code in {0, 5, 75}, run
    assert not site.check(small.config, small.expected)


@pytest.mark.parametrize(
    "point",
    [
        Point("neon POST /projects"),  # Neon takes two projects of one name
        Point("aws sts.AssumeRole"),
    ],
    ids=str,
)
def test_two_applies_at_once(site: Site, small: Scenario, point: Point) -> None:
    """Each is done, or gives way with an error that says so; what is there is there once."""
    site.clear()
    runs = site.run_together(small.config, [[APPLY], [APPLY]], fault=Fault("meet", point))
    told = "\n".join(map(str, runs))
    assert [run.struck for run in runs] == [(point.label,), (point.label,)], told
    assert 0 in {run.exit_code for run in runs}, told
    assert all(run.exit_code in {0, 5, 75} and "unexpected" not in run.output for run in runs), told
    assert not site.check(small.config, small.expected)
