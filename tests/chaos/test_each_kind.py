"""Each kind of call that ``apply`` makes, killed once before and once after it, and each with its answer lost.

One chain instead of many trials: each run is killed at the next kind of call and the one after it starts from
what is left, so a whole apply's work is done once for all of them. A run that does not end where it must, or
a platform that the last run cannot finish, fails the test. The sweep tries every single point on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .faults import KILLED, Fault, Point
from .scenarios import Scenario, build
from .site import APPLY

if TYPE_CHECKING:
    from .site import Run, Site


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return build("small", tmp_path_factory.mktemp("chaos-config"))


@pytest.fixture(scope="module")
def recorded(site: Site, small: Scenario) -> Run:
    """One undisturbed run from nothing."""
    site.clear()
    run = site.run(small.config, APPLY)
    assert run.exit_code == 0, run
    return run


def first_of_each_kind(run: Run) -> list[Point]:
    points: dict[str, Point] = {}
    for label in run.calls:
        point = Point(label)
        points.setdefault(point.kind, point)
    return list(points.values())


def test_the_record_knows_all_three_systems(recorded: Run) -> None:
    kinds = {point.kind for point in first_of_each_kind(recorded)}
    assert {
        "neon POST /projects",
        "neon PATCH /projects/{}/branches/{}",
        "aws secretsmanager.CreateSecret",
        "aws AmazonSSM.PutParameter",
        "sql connect",
        "sql COMMIT",
        "sql migration",
        "sql ALTER ROLE, COMMENT ON",
    } <= kinds


def test_killed_at_each_kind_of_call(site: Site, small: Scenario, recorded: Run) -> None:
    site.clear()
    killed = 0
    for point in first_of_each_kind(recorded):
        for how in ("kill-before", "kill-after"):
            run = site.run(small.config, APPLY, fault=Fault(how, point))
            if run.exit_code == 0:  # what the killed runs left needs this call no more: from nothing, then
                assert not site.wrong(small.expected)
                site.clear()
                run = site.run(small.config, APPLY, fault=Fault(how, point))
            assert run.exit_code == KILLED, f"{how} at {point}: {run}"
            killed += 1
    assert killed > 50
    assert not site.check(small.config, small.expected)


def test_every_first_answer_lost(site: Site, small: Scenario, recorded: Run) -> None:
    """The work was done, the client saw a broken connection: it looks again and goes on by itself."""
    site.clear()
    run = site.run(small.config, APPLY, fault=Fault("cut-after"))
    assert run.exit_code == 0, run
    polls = "neon GET /projects/{}/operations/{}"  # by ids that stood in the lost answers
    assert {label for label in recorded.calls if not label.startswith("sql")} - {polls} <= set(run.struck)
    assert not site.check(small.config, small.expected)


def test_connections_to_postgres_lost(site: Site, small: Scenario, recorded: Run) -> None:
    """Where the program has no way to look, it says so in its own words, and the next run goes on."""
    site.clear()
    for label in [label for label in recorded.calls if label.startswith("sql") and "connect" not in label]:
        run = site.run(small.config, APPLY, fault=Fault("cut-after", Point(label)))
        assert run.exit_code in {0, 5, 75}, f"{label}: {run}"
    assert not site.check(small.config, small.expected)
