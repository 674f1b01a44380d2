"""A change whose answer is lost is neither an error nor done twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from neonctl.errors import NeonctlError, RetryableError
from neonctl.neon.responses import Compute

LOSSES = ["cut_before", "cut_after", "failing_after", "garbled_after", "not_sent"]
OURS = {"managed-by": "neonctl"}
SIZE = Compute(0.5, 2, 600)


def create_project(client):
    return client.create_project(
        name="bank",
        region="aws-ap-southeast-2",
        postgres_version=18,
        branch_name="prod",
        owner_role="bank_owner",
        database="bank_core",
        logical_replication=True,
        history_retention_seconds=3600,
        min_cu=0.25,
        max_cu=2,
        suspend_timeout_seconds=300,
        annotations=OURS,
    )


def create_branch(client):
    return client.create_branch(
        "p-1",
        name="dev",
        source_id="br-1",
        init_source="parent-data",
        protected=True,
        expires_at=datetime(2026, 12, 1, tzinfo=UTC),
        annotations=OURS,
        compute=SIZE,
    )


CHANGES = {
    "create_project": (create_project, lambda neon: [p["name"] for p in neon.projects] == ["bank"]),
    "update_project": (
        lambda c: c.update_project("p-1", history_retention_seconds=60, logical_replication=True),
        lambda neon: neon.projects[0]["history_retention_seconds"] == 60,
    ),
    "create_branch": (create_branch, lambda neon: [b["name"] for b in neon.branches] == ["prod", "dev"]),
    "update_branch": (
        lambda c: c.update_branch("p-1", "br-1", name="main", protected=True, expires_at=None),
        lambda neon: neon.branches[0]["name"] == "main" and neon.branches[0]["protected"],
    ),
    "set_default_branch": (
        lambda c: c.set_default_branch("p-1", "br-1"),
        lambda neon: neon.branches[0]["default"],
    ),
    "delete_branch": (lambda c: c.delete_branch("p-1", "br-1"), lambda neon: not neon.branches),
    "create_endpoint": (
        lambda c: c.create_endpoint("p-1", "br-9", SIZE),
        lambda neon: [e["branch_id"] for e in neon.endpoints] == ["br-1", "br-9"],
    ),
    "update_endpoint": (
        lambda c: c.update_endpoint("p-1", "ep-1", SIZE),
        lambda neon: neon.endpoints[0]["autoscaling_limit_max_cu"] == 2,
    ),
    "start_endpoint": (
        lambda c: c.start_endpoint("p-1", "ep-1"),
        lambda neon: neon.endpoints[0]["current_state"] == "active",
    ),
    "delete_endpoint": (lambda c: c.delete_endpoint("p-1", "ep-1"), lambda neon: not neon.endpoints),
    "create_role": (
        lambda c: c.create_role("p-1", "br-1", "two"),
        lambda neon: neon.roles == ["bank_owner", "two"],
    ),
    "delete_role": (lambda c: c.delete_role("p-1", "br-1", "bank_owner"), lambda neon: not neon.roles),
    "reset_password": (lambda c: c.reset_password("p-1", "br-1", "bank_owner"), lambda neon: True),
    "create_database": (
        lambda c: c.create_database("p-1", "br-1", "bank_kyc", "bank_owner"),
        lambda neon: neon.databases["bank_kyc"] == "bank_owner",
    ),
    "delete_database": (
        lambda c: c.delete_database("p-1", "br-1", "bank_core"),
        lambda neon: "bank_core" not in neon.databases,
    ),
}


@pytest.fixture(params=CHANGES, ids=str)
def change(request, neon):
    neon.databases = {"bank_core": "bank_owner"}
    if request.param == "create_project":
        neon.projects = []
    if request.param == "set_default_branch":
        neon.branches[0]["default"] = False
    if request.param == "start_endpoint":
        neon.endpoints[0]["current_state"] = "idle"
    return CHANGES[request.param]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_answer_gives_neither_an_error_nor_a_duplicate(change, loss, client, neon, fault):
    act, holds = change
    neon.faults = [getattr(fault, loss)]

    act(client)

    assert holds(neon)
    assert all(o["status"] == "finished" for o in neon.operations)
    assert len({p["id"] for p in neon.projects}) == len(neon.projects)


def test_answers_lost_again_and_again_end_in_an_error(change, client, neon, fault):
    neon.faults = [fault.cut_before] * 5000
    with pytest.raises(NeonctlError) as caught:
        change[0](client)
    assert caught.value.code == "NEON_UNREACHABLE"
    assert caught.value.retryable


def test_what_was_done_is_adopted_without_sending_it_again(client, neon, fault):
    neon.faults = [fault.cut_after]
    branch = create_branch(client)
    assert (branch.name, branch.state, branch.annotations) == ("dev", "ready", OURS)
    assert neon.sent("POST") == ["/projects/p-1/branches"]


def test_a_reset_password_is_reset_again_because_it_was_never_seen(client, neon, fault):
    neon.faults = [fault.cut_after]
    client.reset_password("p-1", "br-1", "bank_owner")
    assert len(neon.sent("POST")) == 2


def test_a_branch_of_that_name_made_otherwise_is_not_taken_over(client, neon):
    create_branch(client)
    neon.annotations.clear()
    with pytest.raises(NeonctlError, match=r"a branch of that name exists \(br-2\) with other annotations"):
        create_branch(client)


def test_a_branch_of_ours_that_is_there_already_counts_as_done(client, neon):
    first = create_branch(client)
    assert create_branch(client) == first
    assert len(neon.branches) == 2


def test_a_schema_only_branch_has_no_parent_and_is_still_recognised(client, neon):
    def create():
        return client.create_branch("p-1", name="uat", source_id="br-1", init_source="schema-only")

    create()
    del neon.branches[1]["parent_id"]
    assert create().id == "br-2"


def test_an_endpoint_of_another_size_is_a_conflict(client, neon):
    with pytest.raises(NeonctlError) as caught:
        client.create_endpoint("p-1", "br-1", SIZE)
    assert caught.value.code == "NEON_CONFLICT"
    assert len(neon.endpoints) == 1


def test_a_database_of_another_owner_is_a_conflict(client, neon):
    neon.databases = {"bank_core": "somebody"}
    with pytest.raises(NeonctlError, match="database `bank_core` could not be created"):
        client.create_database("p-1", "br-1", "bank_core", "bank_owner")


def test_renaming_a_branch_to_its_own_name_is_nothing_to_do(client):
    assert client.update_branch("p-1", "br-1", name="prod").name == "prod"


def test_a_project_is_not_made_when_its_name_is_taken(client, neon):
    with pytest.raises(RetryableError, match=r"another run made it since this one looked \(p-1\)"):
        create_project(client)
    assert neon.sent("POST") == []


def test_a_first_try_that_arrives_late_is_reported_not_hidden(client, neon, fault):
    neon.projects = []

    def late(request, work):
        neon.faults.insert(0, lambda _request, second: (work(), second())[1])
        return fault.cut_before(request, work)

    neon.faults = [late]
    with pytest.raises(NeonctlError, match=r"there are 2 of that name now \(p-1, p-2\)") as caught:
        create_project(client)
    assert caught.value.code == "NEON_AMBIGUOUS"


@pytest.mark.parametrize("delete", ["delete_branch", "delete_endpoint"])
def test_deleting_what_is_gone_says_so(client, delete):
    assert getattr(client, delete)("p-1", "none") is False


def test_deleting_below_what_is_gone_says_so(client, neon, fault):
    neon.faults = [fault.refusing(404, "branch not found")]
    assert client.delete_role("p-1", "br-1", "bank_owner") is False


def test_deleting_what_is_there_says_so(client, neon):
    assert client.delete_branch("p-1", "br-1") is True


def test_a_branch_without_a_compute_asks_for_none(client, neon):
    client.create_branch("p-1", name="dev", compute=None)
    assert neon.bodies("POST") == [{"branch": {"name": "dev"}}]


def test_work_in_steps_of_which_one_is_listed_at_a_time_is_waited_for(client, neon, fault):
    """As on Neon: what has not started yet is not in the list of operations."""
    steps = []

    def step(request, work):
        steps.append(neon._started("apply_config")[0])
        return fault.cut_after(request, work)

    listed = neon._routes

    def lagging():
        if len(steps) == 1 and all(o["status"] == "finished" for o in neon.operations):
            steps.append(neon._started("start_compute")[0])
        return listed()

    neon._routes = lagging
    neon.faults = [step]
    client.create_role("p-1", "br-1", "two")
    assert [step["status"] for step in steps] == ["finished", "finished"]
