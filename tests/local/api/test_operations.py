"""Operations take time, lock the project, and fail when told to; faults can be repeated."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from neonctl.errors import UsageError
from neonctl.local.state import faults, journal, set_faults


def role_path(bank: Any) -> str:
    return f"/projects/{bank['project']['id']}/branches/{bank['branch']['id']}/roles"


def test_a_project_is_locked_while_an_operation_runs(neon: Any, bank: Any) -> None:
    set_faults(neon.platform, [{"target": "operation", "action": "apply_config", "latency_ms": 400, "count": 1}])
    first = neon.call("POST", role_path(bank), {"role": {"name": "slow"}}, expect=201)
    operation = first["operations"][0]
    assert operation["status"] == "scheduling"
    refused = neon.call("POST", role_path(bank), {"role": {"name": "other"}}, expect=423)
    assert "already has running conflicting operations" in refused["message"]
    path = f"/projects/{bank['project']['id']}/operations"
    running = neon.until(
        lambda: neon.get(f"{path}/{operation['id']}")["operation"]["status"],
        lambda found: found != "scheduling",
    )
    assert running == "running"
    neon.call("PATCH", f"/projects/{bank['project']['id']}", {"project": {"name": "bank"}})
    assert neon.operation(operation)["status"] == "finished"
    assert neon.get(path, limit=1)["operations"][0]["id"] == operation["id"]
    neon.done("DELETE", role_path(bank) + "/slow")


def test_the_list_lags_behind_the_answer(neon: Any, bank: Any) -> None:
    set_faults(neon.platform, [{"target": "operation", "action": "suspend_compute", "latency_ms": 500}])
    endpoint = neon.get(f"/projects/{bank['project']['id']}/endpoints")["endpoints"][0]
    path = f"/projects/{bank['project']['id']}"
    answer = neon.call("POST", f"{path}/endpoints/{endpoint['id']}/restart")
    waiting = answer["operations"][1]["id"]
    listed = [item["id"] for item in neon.get(f"{path}/operations", limit=5)["operations"]]
    assert waiting not in listed
    assert neon.get(f"{path}/operations/{waiting}")["operation"]["status"] == "scheduling"
    set_faults(neon.platform, [])
    neon.wait(answer)


def test_a_failed_operation_takes_back_what_it_promised(neon: Any, bank: Any) -> None:
    set_faults(neon.platform, [{"target": "operation", "action": "apply_config", "fail": True, "count": 1}])
    answer = neon.call("POST", role_path(bank), {"role": {"name": "phantom"}}, expect=201)
    neon.wait(answer, status="failed")
    assert "phantom" not in [row["name"] for row in neon.get(role_path(bank))["roles"]]
    neon.done("POST", role_path(bank), {"role": {"name": "phantom"}}, expect=201)
    neon.done("DELETE", role_path(bank) + "/phantom")


def test_a_failed_branch_leaves_nothing(neon: Any, bank: Any) -> None:
    set_faults(neon.platform, [{"target": "operation", "action": "create_branch", "fail": True, "count": 1}])
    path = f"/projects/{bank['project']['id']}/branches"
    body = {"branch": {"name": "stillborn"}, "endpoints": [{"type": "read_write"}]}
    answer = neon.call("POST", path, body, expect=201)
    ends = [neon.operation(item)["status"] for item in answer["operations"]]
    assert ends == ["failed", "cancelled"]
    neon.get(f"{path}/{answer['branch']['id']}", expect=404)
    made = neon.done("POST", path, body, expect=201)
    neon.done("DELETE", f"{path}/{made['branch']['id']}")


def test_a_failed_first_start_can_be_repeated(neon: Any) -> None:
    set_faults(neon.platform, [{"target": "operation", "action": "start_compute", "fail": True, "count": 1}])
    body = {"project": {"name": "late", "org_id": neon.platform.org_id, "pg_version": 18}}
    project = neon.call("POST", "/projects", body, expect=201)
    assert [neon.operation(item)["status"] for item in project["operations"]] == ["finished", "failed"]
    path, endpoint = f"/projects/{project['project']['id']}", project["endpoints"][0]["id"]
    assert neon.get(f"{path}/endpoints/{endpoint}")["endpoint"]["current_state"] == "init"
    roles = neon.get(f"{path}/branches/{project['branch']['id']}/roles")["roles"]
    assert [row["name"] for row in roles] == ["neondb_owner"]
    neon.done("POST", f"{path}/endpoints/{endpoint}/start")
    neon.connect(project["connection_uris"][0]["connection_uri"]).close()
    neon.call("DELETE", path)


@pytest.mark.parametrize(("status", "retry_after"), [(423, None), (429, 7), (500, None), (503, None)])
def test_statuses_on_demand(neon: Any, status: int, retry_after: int | None) -> None:
    rule = {"target": "neon", "path": "^/regions$", "status": status, "retry_after": retry_after, "nth": 2}
    set_faults(neon.platform, [rule])
    neon.get("/regions")
    answer = neon.http.get("/regions")
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))
    neon.get("/regions")


def test_a_list_of_projects_may_be_partial(neon: Any, bank: Any) -> None:
    set_faults(neon.platform, [{"target": "neon", "path": "^/projects$", "partial": True, "count": 1}])
    answer = neon.get("/projects", org_id=neon.platform.org_id, search=bank["project"]["id"])
    assert answer["projects"] == []
    assert answer["unavailable_project_ids"] == [bank["project"]["id"]]
    again = neon.get("/projects", org_id=neon.platform.org_id, search=bank["project"]["id"])
    assert [item["id"] for item in again["projects"]] == [bank["project"]["id"]]
    assert "unavailable_project_ids" not in again


def test_a_cut_comes_before_or_after_the_work(neon: Any, bank: Any) -> None:
    for cut, there in (("before", False), ("after", True)):
        set_faults(neon.platform, [{"target": "neon", "method": "POST", "path": "/roles$", "cut": cut, "count": 1}])
        with pytest.raises(httpx.TransportError):
            neon.http.post(role_path(bank), json={"role": {"name": "cut_off"}})
        neon.idle(bank["project"]["id"])
        names = [row["name"] for row in neon.get(role_path(bank))["roles"]]
        assert ("cut_off" in names) is there
    neon.idle(bank["project"]["id"])
    neon.done("DELETE", role_path(bank) + "/cut_off")


def test_a_seed_makes_chance_repeatable(neon: Any) -> None:
    def statuses(seed: int) -> list[int]:
        rule = {"target": "neon", "path": "^/regions$", "status": 503, "probability": 0.5, "seed": seed}
        set_faults(neon.platform, [rule])
        return [neon.http.get("/regions").status_code for _ in range(20)]

    first = statuses(1)
    assert set(first) == {200, 503}
    assert statuses(1) == first
    assert statuses(2) != first
    assert faults(neon.platform)[0]["seen"] == 20


def test_a_wrong_rule_is_refused(neon: Any) -> None:
    for rule in ({"target": "moon"}, {"target": "neon", "colour": "red"}, {"target": "neon", "path": "("}):
        with pytest.raises(UsageError, match="fault rule refused"):
            set_faults(neon.platform, [rule])
    assert faults(neon.platform) == []


def test_the_journal_names_calls_in_order(neon: Any, bank: Any) -> None:
    journal(neon.platform, clear=True)
    neon.get("/regions")
    neon.get(f"/projects/{bank['project']['id']}/branches")
    neon.get("/projects/none-such-1", expect=404)
    calls = [(item["call"], item["status"]) for item in journal(neon.platform)]
    assert calls == [
        ("GET /regions", 200),
        ("GET /projects/{project_id}/branches", 200),
        ("GET /projects/{project_id}", 404),
    ]
