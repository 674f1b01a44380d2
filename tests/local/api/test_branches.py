"""Branches: inheritance, protection, expiry, schema-only roots, deletion, restore, limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from neonctl.local.state import set_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITER = [{"type": "read_write"}]


def moment(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Branches:
    """Makes branches in the shared project and takes them away again."""

    def __init__(self, neon: Any, bank: Any) -> None:
        self.neon = neon
        self.project_id = bank["project"]["id"]
        self.prod_id = bank["branch"]["id"]
        self.path = f"/projects/{self.project_id}/branches"
        self.made: list[str] = []

    def new(self, name: str, *, endpoints: Any = (), expect: int = 201, **fields: Any) -> Any:
        body = {"branch": {"name": name, **fields}, "endpoints": list(endpoints)}
        answer = self.neon.call("POST", self.path, body, expect=expect)
        if expect == 201:
            self.made.insert(0, answer["branch"]["id"])
            self.neon.wait(answer)
        return answer

    def patch(self, branch_id: str, *, expect: int = 200, **fields: Any) -> Any:
        return self.neon.call("PATCH", f"{self.path}/{branch_id}", {"branch": fields}, expect=expect)

    def uri(self, branch_id: str, role: str = "bank_owner", database: str = "bank_core", **query: Any) -> str:
        return self.neon.uri(self.project_id, role, database, branch_id=branch_id, **query)

    def close(self) -> None:
        self.patch(self.prod_id, protected=False)
        self.neon.idle(self.project_id)
        for branch_id in self.made:
            if self.neon.http.get(f"{self.path}/{branch_id}").status_code == 200:
                self.patch(branch_id, protected=False)
                self.neon.done("DELETE", f"{self.path}/{branch_id}")


@pytest.fixture
def branches(neon: Any, bank: Any) -> Iterator[Branches]:
    made = Branches(neon, bank)
    yield made
    made.close()


def test_a_child_has_the_parents_data_roles_and_passwords(neon: Any, branches: Branches) -> None:
    with neon.connect(branches.uri(branches.prod_id)) as connection:
        connection.execute("CREATE TABLE parent_rows AS SELECT 7 AS n")
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'Reader-Passw0rd-1234'")
        connection.execute("GRANT SELECT ON parent_rows TO reader")
    try:
        child = branches.new("child", endpoints=WRITER)
        assert {role["name"] for role in child["roles"]} == {"bank_owner", "reader"}
        assert "connection_uris" not in child
        child_id = child["branch"]["id"]
        assert child["branch"]["parent_id"] == branches.prod_id
        assert branches.uri(child_id).split("@")[0] == branches.uri(branches.prod_id).split("@")[0]
        path = f"{branches.path}/{child_id}/roles/reader/reveal_password"
        assert neon.get(path)["password"] == "Reader-Passw0rd-1234"
        with neon.connect(branches.uri(child_id, "reader")) as connection:
            assert connection.execute("SELECT n FROM parent_rows").fetchone() == (7,)
    finally:
        with neon.connect(branches.uri(branches.prod_id)) as connection:
            connection.execute("DROP TABLE parent_rows")
            connection.execute("DROP ROLE reader")


def test_one_role_and_one_database_give_a_uri(neon: Any, branches: Branches) -> None:
    answer = branches.new("lonely", endpoints=WRITER)
    uri = answer["connection_uris"][0]["connection_uri"]
    with neon.connect(uri) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_child_of_a_protected_branch_has_fresh_passwords(neon: Any, branches: Branches) -> None:
    with neon.connect(branches.uri(branches.prod_id)) as connection:
        connection.execute("CREATE ROLE teller LOGIN PASSWORD 'Teller-Passw0rd-1234'")
    branches.patch(branches.prod_id, protected=True)
    try:
        child_id = branches.new("of-protected", endpoints=WRITER)["branch"]["id"]
        for role in ("bank_owner", "teller"):
            mine, parents = branches.uri(child_id, role), branches.uri(branches.prod_id, role)
            assert mine.split("@")[0] != parents.split("@")[0]
            neon.connect(mine).close()
        stale = branches.uri(branches.prod_id, "teller").split("@")[0] + "@" + mine.split("@")[1]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            neon.connect(stale)
    finally:
        with neon.connect(branches.uri(branches.prod_id)) as connection:
            connection.execute("DROP ROLE teller")


def test_a_schema_only_branch_is_a_root_without_rows(neon: Any, branches: Branches) -> None:
    with neon.connect(branches.uri(branches.prod_id)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS accounts AS SELECT 1 AS id")
    fields = {"init_source": "schema-only", "parent_id": branches.prod_id}
    assert "read-write endpoint" in branches.new("bare", **fields, expect=400)["message"]
    branch = branches.new("uat", endpoints=WRITER, **fields)["branch"]
    assert "parent_id" not in branch
    assert branch["init_source"] == "schema-only"
    with neon.connect(branches.uri(branch["id"])) as connection:
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
    with neon.connect(branches.uri(branches.prod_id)) as connection:
        connection.execute("DROP TABLE accounts")


def test_names_are_unique_in_a_project(neon: Any, branches: Branches) -> None:
    branch_id = branches.new("once")["branch"]["id"]
    answer = branches.new("once", expect=409)
    assert answer["code"] == "BRANCH_ALREADY_EXISTS"
    assert answer["message"] == 'branch already exists; branch_name:"once"'
    assert "same name" in branches.patch(branch_id, name="once", expect=400)["message"]
    assert branches.patch(branch_id, name="twice")["operations"] == []
    assert branches.patch(branch_id, name="prod", expect=409)["code"] == "BRANCH_ALREADY_EXISTS"


def test_annotations_come_back(neon: Any, branches: Branches) -> None:
    body = {"branch": {"name": "tagged"}, "annotation_value": {"managed-by": "neonctl"}}
    answer = neon.done("POST", branches.path, body, expect=201)
    branches.made.append(answer["branch"]["id"])
    one = neon.get(f"{branches.path}/{answer['branch']['id']}")
    assert one["annotation"]["value"] == {"managed-by": "neonctl"}
    listed = neon.get(branches.path, search="tagged")["annotations"]
    assert listed[answer["branch"]["id"]]["value"] == {"managed-by": "neonctl"}


def test_pages_follow_pagination_next(neon: Any, branches: Branches) -> None:
    for name in ("page-a", "page-b"):
        branches.new(name)
    seen: list[str] = []
    query: dict[str, Any] = {"search": "page-", "sort_by": "name", "sort_order": "asc", "limit": 1}
    while True:
        page = neon.get(branches.path, **query)
        seen += [item["name"] for item in page["branches"]]
        if "next" not in page["pagination"]:
            break
        query["cursor"] = page["pagination"]["next"]
    assert seen == ["page-a", "page-b"]
    assert neon.get(f"{branches.path}/count", search="page-")["count"] == 2


def test_what_may_not_be_deleted(neon: Any, branches: Branches) -> None:
    parent = branches.new("parent")["branch"]["id"]
    branches.new("grandchild", parent_id=parent)
    assert "children" in neon.call("DELETE", f"{branches.path}/{parent}", expect=422)["message"]
    assert "default" in neon.call("DELETE", f"{branches.path}/{branches.prod_id}", expect=422)["message"]
    guarded = branches.new("guarded", protected=True)["branch"]["id"]
    assert "protected" in neon.call("DELETE", f"{branches.path}/{guarded}", expect=422)["message"]


def test_deleting_twice_is_204(neon: Any, branches: Branches) -> None:
    path = f"{branches.path}/{branches.new('gone', endpoints=WRITER)['branch']['id']}"
    answer = neon.call("DELETE", path)
    neon.get(path, expect=404)
    neon.call("DELETE", path, expect=204)
    neon.wait(answer)
    neon.call("DELETE", path, expect=204)


def test_expiry_has_rules(neon: Any, branches: Branches) -> None:
    branches.new("past", expires_at=moment(hours=-1), expect=400)
    branches.new("far", expires_at=moment(days=31), expect=400)
    branches.new("both", expires_at=moment(days=1), protected=True, expect=422)
    branch = branches.new("short-lived", expires_at=moment(days=1))["branch"]
    assert 86_000 < branch["ttl_interval_seconds"] <= 86_400
    branches.new("child-of-expiring", parent_id=branch["id"], expect=422)
    branches.patch(branch["id"], protected=True, expect=422)
    branches.patch(branches.prod_id, expires_at=moment(days=1), expect=422)
    assert "expires_at" not in branches.patch(branch["id"], expires_at=None)["branch"]
    branches.new("now-it-may", parent_id=branch["id"])
    branches.patch(branch["id"], expires_at=moment(days=1), expect=422)


def test_an_expired_branch_is_deleted(neon: Any, branches: Branches) -> None:
    branch_id = branches.new("brief", expires_at=moment(seconds=2))["branch"]["id"]
    neon.until(lambda: neon.http.get(f"{branches.path}/{branch_id}").status_code, lambda status: status == 404)
    neon.idle(branches.project_id)


def test_the_plan_has_limits(neon: Any, branches: Branches) -> None:
    set_limits(neon.platform, branches=1, protected_branches=0, root_branches=1)
    assert branches.new("more", expect=422)["code"] == "BRANCHES_LIMIT_EXCEEDED"
    assert branches.patch(branches.prod_id, protected=True, expect=422)["code"].startswith("PROTECTED")
    set_limits(neon.platform, root_branches=1)
    answer = branches.new("root", init_source="schema-only", endpoints=WRITER, expect=422)
    assert answer["code"] == "ROOT_BRANCHES_LIMIT_EXCEEDED"


def test_a_reset_brings_the_parents_state_back(neon: Any, branches: Branches) -> None:
    child_id = branches.new("reset-me", endpoints=WRITER)["branch"]["id"]
    with neon.connect(branches.uri(child_id)) as connection:
        connection.execute("CREATE TABLE scratch (n int)")
    path = f"{branches.path}/{child_id}/restore"
    answer = neon.done("POST", path, {"source_branch_id": branches.prod_id, "preserve_under_name": "kept"})
    assert answer["branch"]["id"] == child_id
    listed = neon.get(branches.path, search="kept")["branches"]
    branches.made.insert(0, listed[0]["id"])
    with neon.connect(branches.uri(child_id)) as connection:
        assert connection.execute("SELECT to_regclass('scratch')").fetchone() == (None,)


def test_a_reset_child_of_a_protected_branch_keeps_its_passwords(neon: Any, branches: Branches) -> None:
    branches.patch(branches.prod_id, protected=True)
    child_id = branches.new("own-passwords", endpoints=WRITER)["branch"]["id"]
    before = branches.uri(child_id)
    neon.done("POST", f"{branches.path}/{child_id}/restore", {"source_branch_id": branches.prod_id})
    assert branches.uri(child_id) == before
    neon.connect(before).close()


def test_restore_is_refused_without_a_sense(neon: Any, branches: Branches) -> None:
    child_id = branches.new("not-restored")["branch"]["id"]
    branches.new("its-child", parent_id=child_id)
    path = f"{branches.path}/{child_id}/restore"
    source = {"source_branch_id": branches.prod_id}
    assert "preserve_under_name" in neon.call("POST", path, source, expect=422)["message"]
    itself = {"source_branch_id": child_id, "preserve_under_name": "x"}
    assert "itself" in neon.call("POST", path, itself, expect=422)["message"]


def test_the_default_branch_can_move(neon: Any, branches: Branches) -> None:
    other = branches.new("heir")["branch"]["id"]
    assert neon.call("POST", f"{branches.path}/{other}/set_as_default")["branch"]["default"] is True
    assert neon.get(f"{branches.path}/{branches.prod_id}")["branch"]["default"] is False
    neon.call("POST", f"{branches.path}/{branches.prod_id}/set_as_default")
