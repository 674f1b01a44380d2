"""The runner that the workflows are run by is as strict as GitHub, and stricter about what it does not know."""

from __future__ import annotations

import copy

import pytest

from . import runner
from .expressions import Status, Strict, UnknownError, evaluate, filled, holds

GITHUB = {"github": Strict(event={"action": "closed", "labels": {}}, ref="refs/heads/main"), "vars": {}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ("1 == '1'", True),
        ("'A' == 'a'", True),
        ("'' == 0", True),
        ("vars.missing == ''", True),
        ("github.event.action != 'closed' && true", False),
        ("github.event.nothing.at.all", None),
        ("!github.event.nothing && 'x' || 'y'", "x"),
        ("false || (true && 'z')", "z"),
        ("contains('Hello', 'hell')", True),
        ("format('{1}-{0}', 1, 'a')", "a-1"),
    ],
)
def test_an_expression_has_the_value_it_has_at_github(text, value):
    assert evaluate(text, GITHUB) == value


@pytest.mark.parametrize(
    "text", ["github.reff", "evnt.action", "fromJSON('1')", "1 +", "'a", "success()", "github.event.action == "]
)
def test_what_is_unknown_is_an_error(text):
    with pytest.raises(UnknownError):
        evaluate(text, GITHUB)


@pytest.mark.parametrize(
    ("condition", "failed", "runs"),
    [
        (None, False, True),
        (None, True, False),
        ("true", True, False),
        ("always()", True, True),
        ("${{ failure() }}", True, True),
        ("!cancelled() && !failure()", True, False),
        ("!cancelled() && !failure()", False, True),
    ],
)
def test_a_condition_asks_for_success_unless_it_says_otherwise(condition, failed, runs):
    assert holds(condition, GITHUB, Status(failed=failed)) is runs


def test_texts_are_filled():
    assert filled("a-${{ github.ref }}-${{ github.event.nothing }}", GITHUB) == "a-refs/heads/main-"


def plan_with(monkeypatch, change):
    """``plan.yml`` with a mistake in it."""
    flow = copy.deepcopy(runner.read("plan.yml"))
    change(flow, flow["jobs"]["plan"], flow["jobs"]["plan"]["steps"])
    monkeypatch.setattr(runner, "read", lambda name: flow)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda flow, job, steps: job.update({"if": "vars.NEONCTL_PIPELINE == 'on' && github.evnt.number"}),
        lambda flow, job, steps: job["permissions"].pop("id-token"),
        lambda flow, job, steps: job.update(environment="production"),
        lambda flow, job, steps: job.update(outputs={"sha": "${{ steps.paln.outputs.plan_sha }}"}),
        lambda flow, job, steps: steps[-1].update(run="echo ${{ github.ref }}"),
        lambda flow, job, steps: steps.append({"uses": "somebody/else@v1"}),
    ],
    ids=["a name", "a permission", "an environment", "a step's id", "an expression in the script", "an action"],
)
def test_a_mistake_in_a_workflow_is_an_error(monkeypatch, run_flow, pull_request, mistake):
    def without_planning(flow, job, steps):
        steps[-1]["run"] = "true"
        mistake(flow, job, steps)

    plan_with(monkeypatch, without_planning)
    with pytest.raises((UnknownError, AssertionError, KeyError)):
        run_flow("plan.yml", pull_request("opened"))


@pytest.mark.parametrize(
    "mistake",
    [
        lambda step: step.update(run=step["run"].replace("--config", "--configuration")),
        lambda step: step.update(run=step["run"].replace("proposed/db", "elsewhere/db")),
        lambda step: step.update(env={"NEON_API_KEY": "${{ secrets.NEON_KEY }}"}),
    ],
    ids=["an option", "a folder", "a secret's name"],
)
def test_a_step_that_would_fail_fails(monkeypatch, run_flow, pull_request, mistake):
    plan_with(monkeypatch, lambda flow, job, steps: mistake(steps[-1]))
    (job,) = run_flow("plan.yml", pull_request("opened")).values()
    assert job.result == "failure"


def test_every_workflow_that_calls_neonctl_is_run_by_a_test():
    from docs.conftest import workflows

    calling = {flow.name for flow in workflows() if "neonctl " in flow.read_text().split("jobs:")[1]}
    tests = (runner.ROOT / "tests/github_actions/test_workflows.py").read_text()
    # ci.yml lints with the line that .ci/run has, before these tests.
    assert {name for name in calling if f'"{name}"' not in tests} == {"ci.yml"}
