"""Roles and databases: of the API, of SQL, their passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Branch:
    """The shared project's default branch."""

    def __init__(self, neon: Any, bank: Any) -> None:
        self.neon = neon
        self.project_id = bank["project"]["id"]
        self.path = f"/projects/{self.project_id}/branches/{bank['branch']['id']}"

    def uri(self, role: str = "bank_owner", database: str = "bank_core", **query: Any) -> str:
        return self.neon.uri(self.project_id, role, database, **query)

    def names(self, kind: str) -> set[str]:
        return {row["name"] for row in self.neon.get(f"{self.path}/{kind}")[kind]}

    def owner(self) -> psycopg.Connection[Any]:
        return self.neon.connect(self.uri())


@pytest.fixture
def branch(neon: Any, bank: Any) -> Iterator[Branch]:
    used = Branch(neon, bank)
    yield used
    neon.idle(used.project_id)
    for kind, kept in (("databases", "bank_core"), ("roles", "bank_owner")):
        for name in used.names(kind) - {kept}:
            neon.done("DELETE", f"{used.path}/{kind}/{name}")


def test_a_role_and_its_databases_come_and_go(neon: Any, branch: Branch) -> None:
    role = neon.done("POST", f"{branch.path}/roles", {"role": {"name": "kyc_owner"}}, expect=201)["role"]
    body = {"database": {"name": "bank_kyc", "owner_name": "kyc_owner"}}
    database = neon.done("POST", f"{branch.path}/databases", body, expect=201)["database"]
    assert isinstance(database["id"], int)
    assert role["password"] in branch.uri("kyc_owner", "bank_kyc")
    with neon.connect(branch.uri("kyc_owner", "bank_kyc")) as connection:
        connection.execute("CREATE TABLE party (id int)")
    assert "owns a database" in neon.call("DELETE", f"{branch.path}/roles/kyc_owner", expect=422)["message"]
    neon.call("POST", f"{branch.path}/databases", body, expect=409)
    neon.call("POST", f"{branch.path}/roles", {"role": {"name": "kyc_owner"}}, expect=409)
    changed = {"database": {"name": "bank_party", "owner_name": "bank_owner"}}
    neon.done("PATCH", f"{branch.path}/databases/bank_kyc", changed)
    assert neon.get(f"{branch.path}/databases/bank_party")["database"]["owner_name"] == "bank_owner"
    assert neon.call("PATCH", f"{branch.path}/databases/bank_party", changed)["operations"] == []
    neon.done("DELETE", f"{branch.path}/roles/kyc_owner")
    neon.call("DELETE", f"{branch.path}/roles/kyc_owner", expect=204)
    with neon.connect(branch.uri("bank_owner", "bank_party")) as connection:
        owner = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'party'").fetchone()
    assert owner == ("bank_owner",)
    neon.done("DELETE", f"{branch.path}/databases/bank_party")
    neon.call("DELETE", f"{branch.path}/databases/bank_party", expect=204)


@pytest.mark.parametrize("name", ["pg_x", "neon_superuser", "cloud_admin", "zenith_admin", "public", "none"])
def test_reserved_role_names(neon: Any, branch: Branch, name: str) -> None:
    neon.call("POST", f"{branch.path}/roles", {"role": {"name": name}}, expect=422)


def test_a_name_has_63_bytes(neon: Any, branch: Branch) -> None:
    neon.call("POST", f"{branch.path}/roles", {"role": {"name": "ä" * 32}}, expect=400)


def test_sql_roles_and_databases_show_up(neon: Any, branch: Branch) -> None:
    with branch.owner() as connection:
        connection.execute("CREATE ROLE by_sql LOGIN PASSWORD 'By-Sql-Passw0rd-123'")
        connection.execute("CREATE ROLE group_only NOLOGIN")
        connection.execute("CREATE DATABASE sql_made")
    assert {"by_sql", "group_only"} <= branch.names("roles")
    assert "sql_made" in branch.names("databases")
    reveal = f"{branch.path}/roles/by_sql/reveal_password"
    assert neon.get(reveal)["password"] == "By-Sql-Passw0rd-123"
    assert neon.get(f"{branch.path}/roles/group_only")["role"]["authentication_method"] == "no_login"
    neon.get(f"{branch.path}/roles/group_only/reveal_password", expect=404)
    with branch.owner() as connection:
        connection.execute("DROP DATABASE sql_made")
        connection.execute("DROP ROLE by_sql")
    assert "by_sql" not in branch.names("roles")
    neon.get(reveal, expect=404)


def test_a_password_of_a_transaction_that_failed_is_not_revealed(neon: Any, branch: Branch) -> None:
    with branch.owner() as connection:
        connection.execute("CREATE ROLE steady LOGIN PASSWORD 'Steady-Passw0rd-123'")
        with connection.transaction(force_rollback=True):
            connection.execute("ALTER ROLE steady PASSWORD 'Never-Passw0rd-456'")
    assert neon.get(f"{branch.path}/roles/steady/reveal_password")["password"] == "Steady-Passw0rd-123"
    neon.connect(branch.uri("steady")).close()


def test_reset_password_works_for_sql_roles_and_raises_nobody(neon: Any, branch: Branch) -> None:
    with branch.owner() as connection:
        connection.execute("CREATE ROLE humble LOGIN PASSWORD 'Humble-Passw0rd-123'")
    answer = neon.done("POST", f"{branch.path}/roles/humble/reset_password")
    fresh = answer["role"]["password"]
    assert neon.get(f"{branch.path}/roles/humble/reveal_password")["password"] == fresh
    with neon.connect(branch.uri("humble")) as connection:
        member = connection.execute("SELECT pg_has_role('neon_superuser', 'MEMBER')").fetchone()
    assert member == (False,)


def test_a_sql_change_of_an_api_roles_password_is_followed(neon: Any, branch: Branch) -> None:
    neon.done("POST", f"{branch.path}/roles", {"role": {"name": "mover"}}, expect=201)
    with neon.connect(branch.uri("mover")) as connection:
        connection.execute("ALTER ROLE mover PASSWORD 'Moved-Passw0rd-789'")
    assert neon.get(f"{branch.path}/roles/mover/reveal_password")["password"] == "Moved-Passw0rd-789"
    neon.connect(branch.uri("mover")).close()


def test_a_role_without_login_has_no_password(neon: Any, branch: Branch) -> None:
    body = {"role": {"name": "quiet", "no_login": True}}
    role = neon.done("POST", f"{branch.path}/roles", body, expect=201)["role"]
    assert "password" not in role
    assert role["authentication_method"] == "no_login"


def test_role_changes_drop_connections(neon: Any, branch: Branch) -> None:
    with branch.owner() as connection:
        neon.done("POST", f"{branch.path}/roles", {"role": {"name": "disturber"}}, expect=201)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_without_stored_passwords_none_is_revealed(neon: Any) -> None:
    project = neon.new_project("forgetful", store_passwords=False)
    path = f"/projects/{project['project']['id']}"
    role = project["roles"][0]["name"]
    reveal = f"{path}/branches/{project['branch']['id']}/roles/{role}/reveal_password"
    assert neon.get(reveal, expect=412)["message"] == "Storing passwords is disabled"
    neon.call("DELETE", path)


def test_contents_need_a_compute(neon: Any, bank: Any) -> None:
    path = f"/projects/{bank['project']['id']}/branches"
    made = neon.done("POST", path, {"branch": {"name": "no-compute"}}, expect=201)
    child = f"{path}/{made['branch']['id']}"
    answer = neon.call("POST", f"{child}/roles", {"role": {"name": "x"}}, expect=422)
    assert "no read-write endpoint" in answer["message"]
    neon.done("DELETE", child)


def test_a_uri_names_what_is_missing(neon: Any, bank: Any) -> None:
    path = f"/projects/{bank['project']['id']}/connection_uri"
    assert "database_name" in neon.get(path, expect=400, role_name="bank_owner")["message"]
    for role, database in (("nobody", "bank_core"), ("bank_owner", "nothing")):
        neon.get(path, expect=404, role_name=role, database_name=database)
