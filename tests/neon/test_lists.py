"""Lists: whole or an error, and what becomes of Neon's JSON."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
import respx
from inline_snapshot import snapshot

from neonctl.errors import NeonctlError
from neonctl.neon.client import NeonClient
from neonctl.neon.responses import Account
from neonctl.plan.observed import BranchSnapshot, EndpointSnapshot, ProjectSnapshot
from neonctl.secret import Secret

HOST = "https://neon.test/api/v2"


@pytest.fixture
def api():
    with respx.mock(base_url=HOST, assert_all_called=False) as router:
        yield router


@pytest.fixture
def plain(api, time):
    with NeonClient(
        api_host=HOST, api_key=Secret("napi_k"), org_id="org-9", clock=time.clock, sleep=time.sleep
    ) as client:
        yield client


@pytest.fixture
def keyed(api, time):
    """A client that was told no organization."""
    with NeonClient(api_host=HOST, api_key=Secret("napi_k"), clock=time.clock, sleep=time.sleep) as client:
        yield client


def project(number: int, name: str = "bank") -> dict[str, object]:
    return {
        "id": f"p-{number}",
        "name": name,
        "region_id": "aws-ap-southeast-2",
        "pg_version": 18,
        "store_passwords": True,
        "history_retention_seconds": 60,
        "settings": {"enable_logical_replication": True},
    }


def test_projects_are_read_to_the_last_page_and_matched_exactly(api, plain):
    first = {"projects": [project(n, "bank-old") for n in range(400)], "pagination": {"cursor": "next"}}
    second = {"projects": [project(500), project(501, "the bank")], "pagination": {"cursor": "more"}}
    pages = api.get("/projects").mock(side_effect=[httpx.Response(200, json=first), httpx.Response(200, json=second)])
    assert plain.find_projects("bank") == snapshot(
        (
            ProjectSnapshot(
                id="p-500",
                name="bank",
                region="aws-ap-southeast-2",
                postgres_version=18,
                history_retention_seconds=60,
                logical_replication=True,
            ),
        )
    )
    asked = [dict(call.request.url.params) for call in pages.calls]
    assert asked == snapshot(
        [
            {"limit": "400", "search": "bank", "org_id": "org-9"},
            {"limit": "400", "search": "bank", "org_id": "org-9", "cursor": "next"},
        ]
    )


def test_a_list_item_that_leaves_things_out_is_completed(api, plain):
    short = {k: v for k, v in project(1).items() if k not in ("settings", "history_retention_seconds")}
    api.get("/projects").respond(json={"projects": [short]})
    api.get("/projects/p-1").respond(json={"project": project(1)})
    assert plain.find_projects("bank")[0].history_retention_seconds == 60


def test_a_list_that_is_not_whole_is_an_error(api, plain):
    api.get("/projects").respond(json={"projects": [], "unavailable_project_ids": ["p-7"]})
    with pytest.raises(NeonctlError) as caught:
        plain.find_projects("bank")
    assert (caught.value.code, caught.value.details) == (
        "NEON_PARTIAL_LIST",
        {"unavailable_project_ids": ["p-7"]},
    )


def branch(number: int, **fields: object) -> dict[str, object]:
    return {
        "id": f"br-{number}",
        "name": f"b{number}",
        "current_state": "ready",
        "created_at": "2026-11-20T00:00:00Z",
        "default": False,
        "protected": False,
    } | fields


def test_branches_are_read_to_the_last_page_with_their_annotations(api, plain):
    noted = {"br-2": {"object": {"type": "branch", "id": "br-2"}, "value": {"managed-by": "neonctl"}}}
    expiring = branch(2, parent_id="br-1", expires_at="2026-12-01T13:00:00+13:00", init_source="parent-data") | {
        "ttl_interval_seconds": 604_800
    }
    pages = api.get("/projects/p-1/branches").mock(
        side_effect=[
            httpx.Response(200, json={"branches": [expiring], "annotations": noted, "pagination": {"next": "c1"}}),
            httpx.Response(
                200,
                json={
                    "branches": [branch(1, default=True), expiring],
                    "annotations": noted,
                    "pagination": {},
                },
            ),
        ]
    )
    made = datetime(2026, 11, 20, tzinfo=UTC)
    assert plain.list_branches("p-1") == (
        BranchSnapshot("br-1", "b1", None, default=True, protected=False, state="ready", created_at=made),
        BranchSnapshot(
            "br-2",
            "b2",
            "br-1",
            default=False,
            protected=False,
            state="ready",
            init_source="parent-data",
            expires_at=datetime(2026, 12, 1, tzinfo=UTC),
            ttl_seconds=604_800,
            created_at=made,
            annotations={"managed-by": "neonctl"},
        ),
    )
    assert [call.request.url.params.get("cursor") for call in pages.calls] == [None, "c1"]


def test_a_cursor_that_comes_back_ends_the_list(api, plain):
    api.get("/projects/p-1/branches").respond(
        json={"branches": [branch(1)], "annotations": {}, "pagination": {"next": "same"}}
    )
    assert len(plain.list_branches("p-1")) == 1


LISTS = [
    (lambda c: c.find_projects("bank"), "/projects"),
    (lambda c: c.list_branches("p-1"), "/projects/p-1/branches"),
    (lambda c: c.list_endpoints("p-1"), "/projects/p-1/endpoints"),
    (lambda c: c.list_roles("p-1", "br-1"), "/projects/p-1/branches/br-1/roles"),
    (lambda c: c.list_databases("p-1", "br-1"), "/projects/p-1/branches/br-1/databases"),
]


@pytest.mark.parametrize("body", [{}, {"pagination": {}}, [], None, "text"])
@pytest.mark.parametrize(("read", "path"), LISTS, ids=[path for _, path in LISTS])
def test_an_answer_without_its_list_is_an_error_never_empty(read, path, body, api, plain):
    api.get(path).respond(json=body)
    with pytest.raises(NeonctlError) as caught:
        read(plain)
    assert caught.value.code == "NEON_UNEXPECTED"


def test_a_compute_becomes_a_snapshot(client):
    assert client.list_endpoints("p-1") == snapshot(
        (
            EndpointSnapshot(
                id="ep-1",
                branch_id="br-1",
                host="ep-1.ap-southeast-2.aws.neon.tech",
                min_cu=0.25,
                max_cu=1.0,
                suspend_timeout_seconds=300,
            ),
        )
    )


@pytest.mark.parametrize(
    ("method", "kind"), [("api_key_org", "organization"), ("api_key_user", "personal"), ("oauth", "personal")]
)
def test_whose_key_it_is(method, kind, api, keyed):
    api.get("/auth").respond(json={"account_id": "a", "auth_method": method})
    assert keyed.whoami() == Account(kind, "a")


def test_an_organizations_key_names_no_organization(api, keyed):
    api.get("/auth").respond(json={"account_id": "a", "auth_method": "api_key_org"})
    listing = api.get("/projects").respond(json={"projects": []})
    assert keyed.find_projects("bank") == ()
    assert "org_id" not in listing.calls[0].request.url.params


def test_a_personal_key_uses_the_only_organization_and_asks_once(api, keyed):
    auth = api.get("/auth").respond(json={"account_id": "a", "auth_method": "api_key_user"})
    api.get("/users/me/organizations").respond(json={"organizations": [{"id": "org-1", "name": "Bank"}]})
    listing = api.get("/projects").respond(json={"projects": []})
    keyed.find_projects("bank")
    keyed.find_projects("bank")
    assert listing.calls[1].request.url.params["org_id"] == "org-1"
    assert auth.call_count == 1


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (
            [{"id": "org-2", "name": "B"}, {"id": "org-1", "name": "A"}],
            "the API key is personal and its owner is in 2 organizations: org-1 (A), org-2 (B)",
        ),
        (
            [],
            "the API key is personal and its owner is in 0 organizations; Neon needs one to look for projects in",
        ),
    ],
)
def test_a_personal_key_without_a_clear_organization_asks_for_one(there, message, api, keyed):
    api.get("/auth").respond(json={"account_id": "a", "auth_method": "api_key_user"})
    api.get("/users/me/organizations").respond(json={"organizations": there})
    with pytest.raises(NeonctlError) as caught:
        keyed.find_projects("bank")
    assert (caught.value.code, caught.value.message) == ("NEON_ORG_REQUIRED", message)


def test_names_with_odd_characters_stay_one_segment_of_the_path(client, neon):
    with pytest.raises(NeonctlError):  # the scripted API knows no such role
        client.reset_password("p-1", "br-1", "a/b?c d%2F")
    assert neon.seen[0].url.raw_path == b"/api/v2/projects/p-1/branches/br-1/roles/a%2Fb%3Fc%20d%252F/reset_password"
