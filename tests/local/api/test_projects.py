"""Projects: what creation gives, what is refused, pages, protection."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


def test_creation_gives_everything_to_connect_with(neon: Any, bank: Any) -> None:
    assert [role["name"] for role in bank["roles"]] == ["bank_owner"]
    assert [database["name"] for database in bank["databases"]] == ["bank_core"]
    assert bank["branch"]["default"] is True
    assert {operation["status"] for operation in bank["operations"]} == {"scheduling"}
    with neon.connect(bank["connection_uris"][0]["connection_uri"]) as connection:
        row = connection.execute("SELECT current_user, current_database()").fetchone()
    assert row == ("bank_owner", "bank_core")


def test_an_api_role_is_an_administrator(neon: Any, bank: Any) -> None:
    with neon.connect(neon.uri(bank["project"]["id"], "bank_owner", "bank_core")) as connection:
        row = connection.execute(
            "SELECT rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolsuper,"
            " pg_has_role('neon_superuser', 'MEMBER') FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owner = connection.execute("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public'")
        assert owner.fetchone() == ("bank_owner",)
    assert row == (True, True, True, True, False, True)


def test_names_are_not_unique_and_a_search_finds_both(neon: Any) -> None:
    one, two = neon.new_project("twin"), neon.new_project("twin")
    found = neon.get("/projects", org_id=neon.platform.org_id, search="TWIN")["projects"]
    assert {item["id"] for item in found} == {one["project"]["id"], two["project"]["id"]}
    page = neon.get("/projects", org_id=neon.platform.org_id, search="twin", limit=1)
    rest = neon.get("/projects", org_id=neon.platform.org_id, search="twin", cursor=page["pagination"]["cursor"])
    assert {page["projects"][0]["id"], rest["projects"][0]["id"]} == {item["id"] for item in found}
    assert len(rest["projects"]) == 1
    end = neon.get("/projects", org_id=neon.platform.org_id, cursor=rest["pagination"]["cursor"], search="twin")
    assert end["projects"] == []
    assert "pagination" not in end
    for item in found:
        neon.call("DELETE", f"/projects/{item['id']}")
        neon.get(f"/projects/{item['id']}", expect=404)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"region_id": "aws-mars-1"}, 422, "region"),
        ({"pg_version": 17}, 422, "Postgres 18 only"),
        ({"branch": {"role_name": "pg_owner"}}, 422, "reserved"),
        ({"branch": {"role_name": "neon_superuser"}}, 422, "reserved"),
        ({"branch": {"database_name": "postgres"}}, 422, "reserved"),
        ({"default_endpoint_settings": {"suspend_timeout_seconds": 30}}, 400, "suspend_timeout"),
        ({"default_endpoint_settings": {"autoscaling_limit_max_cu": 32}}, 422, "16"),
        ({"org_id": "org-other"}, 404, "organization"),
    ],
)
def test_what_cannot_be_created(neon: Any, fields: Any, status: int, words: str) -> None:
    project = {"name": "x", "org_id": neon.platform.org_id, "pg_version": 18, **fields}
    assert words in neon.call("POST", "/projects", {"project": project}, expect=status)["message"]


def test_an_organisation_must_be_named(neon: Any) -> None:
    assert "org_id is required" in neon.get("/projects", expect=400)["message"]
    assert "org_id is required" in neon.call("POST", "/projects", {"project": {}}, expect=400)["message"]


def test_a_change_without_effect_has_no_operations(neon: Any, bank: Any) -> None:
    path = f"/projects/{bank['project']['id']}"
    assert neon.call("PATCH", path, {"project": {"name": "bank"}})["operations"] == []
    same = neon.call("PATCH", path, {"project": {"settings": {"enable_logical_replication": False}}})
    assert same["operations"] == []


def test_logical_replication_is_for_good(neon: Any) -> None:
    project = neon.new_project("cdc")
    path = f"/projects/{project['project']['id']}"
    uri = project["connection_uris"][0]["connection_uri"]
    with neon.connect(uri) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("replica",)
    logical = {"project": {"settings": {"enable_logical_replication": True}}}
    answer = neon.done("PATCH", path, logical)
    assert "suspend_compute" in [item["action"] for item in answer["operations"]]
    with neon.connect(uri) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
    back = {"project": {"settings": {"enable_logical_replication": False}}}
    assert "cannot be disabled" in neon.call("PATCH", path, back, expect=422)["message"]
    assert neon.call("PATCH", path, logical)["operations"] == []
    neon.call("DELETE", path)


def test_a_project_with_a_protected_branch_stays(neon: Any) -> None:
    project = neon.new_project("kept")
    path, branch = f"/projects/{project['project']['id']}", f"/branches/{project['branch']['id']}"
    neon.call("PATCH", path + branch, {"branch": {"protected": True}})
    assert "protected" in neon.call("DELETE", path, expect=422)["message"]
    neon.call("PATCH", path + branch, {"branch": {"protected": False}})
    neon.call("DELETE", path)


def test_the_key_is_needed_and_the_request_id_comes_back(neon: Any) -> None:
    url = neon.platform.api_url + "/users/me"
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = httpx.get(url, headers={**headers, "X-Request-ID": "req-1"})
        assert answer.status_code == 401
        assert answer.json()["request_id"] == "req-1"
    assert neon.get("/projects/none-such-1", expect=404)["request_id"]


def test_who_and_where(neon: Any) -> None:
    assert neon.get("/auth")["auth_method"] == "api_key_user"
    assert neon.get("/users/me")["id"]
    organization = neon.get("/users/me/organizations")["organizations"][0]
    assert organization["id"] == neon.platform.org_id
    assert neon.get(f"/organizations/{organization['id']}") == organization
    assert "aws-ap-southeast-2" in [item["region_id"] for item in neon.get("/regions")["regions"]]
    assert len(neon.get("/api_keys")) == 1
