"""Waiting for accepted work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from inline_snapshot import snapshot

from neonctl.errors import NeonctlError


def test_each_operation_of_an_answer_is_waited_for_with_growing_pauses(client, neon, time):
    neon.polls_until_done = 30
    client.create_branch("p-1", name="dev")
    assert [o["status"] for o in neon.operations] == ["finished", "finished"]
    assert 0.015 <= time.slept[0] <= 0.025
    assert sum(time.slept[:8]) < 0.6
    assert max(time.slept) <= 2.5
    assert time.slept[28] > 0.75


@pytest.mark.parametrize("status", ["failed", "error", "cancelled"])
def test_work_that_fails_is_an_error_that_names_it(status, client, neon):
    def started(action):
        operation = {
            "id": "op-1",
            "action": action,
            "status": status,
            "branch_id": "br-2",
            "error": "no space",
        }
        return [operation]

    neon._started = started
    with pytest.raises(NeonctlError) as caught:
        client.create_branch("p-1", name="dev")
    assert caught.value.code == "NEON_OPERATION_FAILED"
    assert caught.value.message in snapshot(
        [
            "branch `dev` could not be created: Neon's operation create_branch on branch br-2 failed: no space",
            "branch `dev` could not be created: Neon's operation create_branch on branch br-2 was cancelled: no space",
        ]
    )
    assert caught.value.details["operation_id"] == "op-1"


def test_an_error_that_neon_will_retry_is_waited_for(client, neon):
    started = neon._started

    def stumbling(action):
        operation = started(action)[0]
        said = operation | {"status": "error", "retry_at": "2026-11-20T00:00:05Z"}
        return [said]

    neon._started = stumbling
    client.create_role("p-1", "br-1", "two")
    assert neon.operations[0]["status"] == "finished"


def test_work_that_never_ends_is_given_up(client, neon, time, waits):
    neon.polls_until_done = 10**9
    with pytest.raises(NeonctlError) as caught:
        client.create_role("p-1", "br-1", "two")
    assert (caught.value.code, caught.value.retryable) == ("NEON_TIMEOUT", True)
    assert caught.value.message == snapshot(
        "role `two` could not be created: its work at Neon is not finished after 600 s"
    )
    assert 590 <= time.now <= 600
    assert waits == ["role `two`: waiting for its work at Neon"]


def test_a_branch_is_waited_for_until_it_is_ready(client, neon, time):
    real, looks = neon._get_branch, []

    def get(body, wanted):
        looks.append(wanted)
        if len(looks) < 4:
            return httpx.Response(200, json={"branch": neon.branches[1] | {"current_state": "init"}})
        return real(body, wanted)

    neon._get_branch = get
    assert client.create_branch("p-1", name="dev").state == "ready"
    assert looks == ["br-2"] * 4


def test_changes_of_one_project_never_overlap(client, neon):
    overlapping, running = [], threading.Semaphore(1)
    change = client._change_locked

    def watched(project_id, wanted):
        if not running.acquire(blocking=False):
            overlapping.append(wanted)
        try:
            return change(project_id, wanted)
        finally:
            running.release()

    client._change_locked = watched
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.create_role("p-1", "br-1", f"r{n}"), range(24)))
    assert overlapping == []
    assert sorted(neon.roles) == sorted(["bank_owner", *(f"r{n}" for n in range(24))])
