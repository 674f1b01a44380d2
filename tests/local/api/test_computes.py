"""Computes: one writer, sizes, states, pooled port, suspend and wake."""

from __future__ import annotations

from typing import Any

import pytest


def writer(neon: Any, bank: Any) -> Any:
    rows = neon.get(f"/projects/{bank['project']['id']}/endpoints")["endpoints"]
    return next(row for row in rows if row["branch_id"] == bank["branch"]["id"])


def test_only_one_writer_per_branch(neon: Any, bank: Any) -> None:
    path = f"/projects/{bank['project']['id']}/endpoints"
    body = {"endpoint": {"branch_id": bank["branch"]["id"], "type": "read_write"}}
    assert "already exists" in neon.call("POST", path, body, expect=422)["message"]


def test_a_reader_cannot_write(neon: Any, bank: Any) -> None:
    path = f"/projects/{bank['project']['id']}/endpoints"
    body = {"endpoint": {"branch_id": bank["branch"]["id"], "type": "read_only", "name": "reports"}}
    answer = neon.done("POST", path, body, expect=201)
    endpoint_id = answer["endpoint"]["id"]
    uri = neon.uri(bank["project"]["id"], "bank_owner", "bank_core", endpoint_id=endpoint_id)
    with neon.connect(uri) as connection:
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
    neon.done("DELETE", f"{path}/{endpoint_id}")
    neon.get(f"{path}/{endpoint_id}", expect=404)
    neon.call("DELETE", f"{path}/{endpoint_id}", expect=204)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"autoscaling_limit_min_cu": 4, "autoscaling_limit_max_cu": 2}, 400),
        ({"autoscaling_limit_min_cu": 1, "autoscaling_limit_max_cu": 10}, 422),
        ({"autoscaling_limit_min_cu": 20, "autoscaling_limit_max_cu": 24}, 422),
        ({"autoscaling_limit_min_cu": 60, "autoscaling_limit_max_cu": 60}, 422),
        ({"suspend_timeout_seconds": 59}, 400),
        ({"suspend_timeout_seconds": 700_000}, 400),
        ({"autoscaling_limit_min_cu": 0.1}, 400),
    ],
)
def test_sizes_and_timeouts_have_bounds(neon: Any, bank: Any, fields: Any, status: int) -> None:
    path = f"/projects/{bank['project']['id']}/endpoints/{writer(neon, bank)['id']}"
    neon.call("PATCH", path, {"endpoint": fields}, expect=status)


def test_size_decides_max_connections(neon: Any, bank: Any) -> None:
    row = writer(neon, bank)
    path = f"/projects/{bank['project']['id']}/endpoints/{row['id']}"
    size = {"autoscaling_limit_min_cu": 1, "autoscaling_limit_max_cu": 1}
    assert neon.call("PATCH", path, {"endpoint": {"autoscaling_limit_max_cu": 2}})["operations"] == []
    neon.done("PATCH", path, {"endpoint": size})
    neon.done("POST", path + "/restart")
    with neon.connect(neon.uri(bank["project"]["id"], "bank_owner", "bank_core")) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("419",)
    old = {name: row[name] for name in ("autoscaling_limit_min_cu", "autoscaling_limit_max_cu")}
    neon.done("PATCH", path, {"endpoint": old})


def test_a_suspended_compute_wakes_on_connect(neon: Any, bank: Any) -> None:
    path = f"/projects/{bank['project']['id']}/endpoints/{writer(neon, bank)['id']}"
    neon.done("POST", path + "/suspend")
    assert neon.get(path)["endpoint"]["current_state"] == "idle"
    neon.connect(neon.uri(bank["project"]["id"], "bank_owner", "bank_core")).close()
    assert neon.get(path)["endpoint"]["current_state"] == "active"
    neon.done("POST", path + "/suspend")
    neon.done("POST", path + "/start")
    assert neon.get(path)["endpoint"]["current_state"] == "active"


def test_the_compute_of_a_protected_branch_stays(neon: Any, bank: Any) -> None:
    project = f"/projects/{bank['project']['id']}"
    branch = f"{project}/branches/{bank['branch']['id']}"
    neon.call("PATCH", branch, {"branch": {"protected": True}})
    answer = neon.call("DELETE", f"{project}/endpoints/{writer(neon, bank)['id']}", expect=422)
    neon.call("PATCH", branch, {"branch": {"protected": False}})
    assert "protected" in answer["message"]
    assert neon.get(branch + "/endpoints")["endpoints"][0]["type"] == "read_write"


def test_the_pooled_uri_has_a_port_of_its_own(neon: Any, bank: Any) -> None:
    project_id = bank["project"]["id"]
    direct = neon.uri(project_id, "bank_owner", "bank_core")
    pooled = neon.uri(project_id, "bank_owner", "bank_core", pooled="true")
    assert direct != pooled
    assert "sslmode=verify-full&sslrootcert=" in pooled
    with neon.connect(pooled) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("bank_owner",)
