"""Previews as a pipeline and a person meet them: made, run again, refused, ended. One platform, left as it was found."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from inline_snapshot import snapshot

from neonctl.desired.preview import with_preview
from neonctl.local import state
from neonctl.pipelines.configuration import read_configuration
from neonctl.pipelines.preview_removal import find_prunable, prune
from neonctl.provision.audit import AuditLog
from neonctl.provision.progress import silent
from neonctl.provision.services import Services
from neonctl.settings import Settings
from neonctl_run import stable
from platform_fixture import Project, Provisioned, copy_configuration

PERSISTENT = {"prod", "uat", "dev"}
ALTER = "ALTER TABLE app.customer_profiles ADD COLUMN theme text;\n"
UNDO = "ALTER TABLE app.customer_profiles DROP COLUMN theme;\n"


class Api:
    """Neon's API, spoken plainly: what judges the program shares nothing with it."""

    def __init__(self, project: Project) -> None:
        found = next(each for each in state.branches(project.platform) if each.branch == "dev")
        self.project_id = found.project_id
        self._http = httpx.Client(
            base_url=f"{project.platform.api_url}/projects/{self.project_id}",
            headers={"Authorization": f"Bearer {project.platform.api_key.reveal()}"},
            trust_env=False,
        )

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = self._http.request(method, path, json=body)
        assert answer.is_success, answer.text
        for operation in answer.json().get("operations", []):
            while self._http.get(f"/operations/{operation['id']}").json()["operation"]["status"] != "finished":
                pass
        return answer.json()

    def branches(self) -> dict[str, dict[str, Any]]:
        found = self._http.get("/branches").json()
        return {
            each["name"]: {**each, "annotation": found["annotations"].get(each["id"], {}).get("value", {})}
            for each in found["branches"]
        }

    def branch(self, name: str, **fields: object) -> str:
        body = {"branch": {"name": name, **fields}, "endpoints": [{"type": "read_write"}]}
        return self.call("POST", "/branches", body)["branch"]["id"]

    def change(self, name: str, **fields: object) -> None:
        self.call("PATCH", f"/branches/{self.branches()[name]['id']}", {"branch": fields})

    def delete(self, name: str) -> None:
        self.call("DELETE", f"/branches/{self.branches()[name]['id']}")

    def expire(self, name: str) -> None:
        """Its time is over, and Neon has deleted it by itself."""
        self.change(name, expires_at=f"{datetime.now(UTC) + timedelta(seconds=2):%Y-%m-%dT%H:%M:%SZ}")
        while name in self.branches():
            pass

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def api(provisioned: Provisioned) -> Iterator[Api]:
    opened = Api(provisioned)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def mine(provisioned: Provisioned, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A checkout of the pull requests of this module; nothing of theirs is left at the end."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_configuration(folder)
    project = Project(folder, provisioned.local_dir)
    yield project
    ended = project.run("preview", "prune", "--open", "none", "-o", "json")
    assert ended.code == 0, ended.stderr
    assert api.branches().keys() == PERSISTENT
    assert project.run("preview", "list").stdout.strip() == "There are no previews."


def stored(project: Project, environment: str, database: str, role: str) -> dict[str, Any]:
    shown = project.run(
        *("secrets", "show", "--env", environment, "--database", database, "--role", role, "--reveal", "-o", "json")
    )
    return shown.json["secret"]


def lets_in(project: Project, port: int, database: str, user: str, password: str) -> bool:
    way = {"host": "localhost", "port": port, "dbname": database, "user": user, "password": password}
    try:
        psycopg.connect(**way, sslmode="verify-full", sslrootcert=str(project.platform.ca_file)).close()
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error)
        return False
    return True


def by_administrator(project: Project, password: str, *statements: str) -> None:
    """As a role of Neon's API beside the owner, on dev."""
    port = stored(project, "dev", "bank_app", "readonly")["direct_port"]
    way = {"host": "localhost", "port": port, "dbname": "bank_app", "user": "administrator", "password": password}
    with psycopg.connect(
        **way, sslmode="verify-full", sslrootcert=str(project.platform.ca_file), autocommit=True
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def write_migration(project: Project, up: str = ALTER) -> Path:
    folder = project.folder / "db" / "bank_app" / "migrations"
    (folder / "U002__add_theme_rollback.sql").write_text(UNDO)
    file = folder / "V002__add_theme.sql"
    file.write_text(up)
    return file


def test_from_nothing_to_an_environment_of_its_own(mine: Project, provisioned: Provisioned, api: Api) -> None:
    owner = "bank_owner"
    visitor = ("CREATE ROLE visitor LOGIN PASSWORD 'let-Me-1n-please'", "GRANT CONNECT ON DATABASE bank_app TO visitor")
    gone = ("REVOKE CONNECT ON DATABASE bank_app FROM visitor", "DROP ROLE visitor")
    provisioned.sql("dev", "bank_app", *visitor)
    dev = api.branches()["dev"]["id"]
    administrator = api.call("POST", f"/branches/{dev}/roles", {"role": {"name": "administrator"}})["role"]["password"]
    by_administrator(mine, administrator, "CREATE ROLE bob LOGIN PASSWORD 'Bob-1s-at-home'")
    try:
        made = mine.run("preview", "create", "42", "--repository", "bank/core", "--commit", "c0ffee", "-o", "json")
    finally:
        provisioned.sql("dev", "bank_app", *gone)
        by_administrator(mine, administrator, "DROP ROLE bob")
        api.call("DELETE", f"/branches/{dev}/roles/administrator")
    assert made.code == 0, made.stderr
    document = made.json
    assert list(document) == snapshot(
        [
            "schema_version",
            "environment",
            "state",
            "branch",
            "branch_id",
            "source",
            "expires_at",
            "direct_host",
            "pooled_host",
            "databases",
            "secrets",
            "parameters",
            "migrations",
            "unknown",
        ]
    )
    assert (document["environment"], document["state"], document["source"]) == ("pr-42", "created", "dev")
    assert len(document["secrets"]) == 19
    assert document["secrets"][0].keys() == {"name", "database", "role", "version_id"}

    branch = api.branches()["pr-42"]
    assert branch["id"] == document["branch_id"]
    assert branch["parent_id"] == api.branches()["dev"]["id"]
    assert branch["annotation"] == snapshot(
        {
            "managed-by": "neonctl",
            "neonctl-environment": "pr-42",
            "neonctl-build": "parent-data",
            "neonctl-pull-request": "42",
            "neonctl-repository": "bank/core",
            "neonctl-commit": "c0ffee",
        }
    )
    left = datetime.fromisoformat(branch["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left < timedelta(days=7, minutes=1)
    (compute,) = (each for each in api.call("GET", "/endpoints")["endpoints"] if each["branch_id"] == branch["id"])
    assert (compute["autoscaling_limit_min_cu"], compute["autoscaling_limit_max_cu"]) == (0.25, 0.25)

    # Every stored credential logs in, over its own path, and may what it should; none that was inherited does.
    assert mine.run("verify", "--env", "pr-42").code == 0
    port = int(document["direct_host"].rsplit(":", 1)[1])
    for secret in document["secrets"]:
        kind = secret["name"].rsplit("/", 1)[1]
        theirs = stored(mine, "dev", secret["database"], kind)
        assert not lets_in(mine, port, secret["database"], theirs["username"], theirs["password"]), secret["name"]
    inherited = api.call("GET", f"/branches/{dev}/roles/{owner}/reveal_password")["password"]
    assert not lets_in(mine, port, "bank_app", owner, inherited)
    assert not lets_in(mine, port, "bank_app", "visitor", "let-Me-1n-please")
    assert not lets_in(mine, port, "bank_app", "administrator", administrator)
    assert not lets_in(mine, port, "bank_app", "bob", "Bob-1s-at-home")

    # Names, never values: not in what it says, not in the record.
    passwords = [stored(mine, "pr-42", "bank_core", kind)["password"] for kind in ("app_user", "migrate_user")]
    told = made.stdout + made.stderr + "".join(mine.audit_lines())
    assert not any(password in told for password in (*passwords, inherited))
    whats = [json.loads(line)["what"] for line in mine.audit_lines()]
    assert next(what for what in whats if what != "secret.reveal") == "branch.create"
    assert whats.count("secret.create") == 19


def test_a_password_that_nobody_here_can_replace_is_refused(mine: Project, api: Api) -> None:
    dev = api.branches()["dev"]["id"]
    administrator = api.call("POST", f"/branches/{dev}/roles", {"role": {"name": "administrator"}})["role"]["password"]
    by_administrator(
        mine,
        administrator,
        "CREATE ROLE bob CREATEROLE",
        "GRANT bob TO administrator WITH SET TRUE",
        "SET ROLE bob",
        "CREATE ROLE carol LOGIN PASSWORD 'Carol-1s-at-home'",
    )
    try:
        refused = mine.run("preview", "create", "47", "-o", "json")
    finally:
        by_administrator(mine, administrator, "SET ROLE bob", "DROP ROLE carol", "RESET ROLE", "DROP ROLE bob")
        api.call("DELETE", f"/branches/{dev}/roles/administrator")
        deleted = mine.run("preview", "delete", "47")
    assert deleted.code == 0
    assert (refused.code, refused.error["code"]) == (3, "INHERITED_PASSWORD"), refused.stderr
    assert "role carol came along to pr-47 with its password" in refused.error["message"]
    assert "it belongs to bob" in refused.error["message"]


def test_nothing_of_its_source_has_changed(mine: Project) -> None:
    assert mine.run("plan", "--detailed-exitcode").code == 0
    assert mine.run("verify", "--env", "dev").code == 0


def test_the_next_push_migrates_forward_and_keeps_it_longer(mine: Project, api: Api) -> None:
    api.change("pr-42", expires_at=f"{datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}")
    before = stored(mine, "pr-42", "bank_app", "app_user")
    write_migration(mine)
    again = mine.run("preview", "create", "42")
    assert again.code == 0, again.stderr
    told = re.sub(r"until .* UTC", "until [TIME]", stable(again.stdout))
    assert re.sub(r"bank_core  \d+", "bank_core  [VERSION]", told) == snapshot("""\
Preview pr-42 refreshed from dev (br-[ID]), until [TIME]

  direct localhost:[PORT], pooled localhost:[PORT]

  database  version  applied now  secrets
  bank_aml  001  -  3
  bank_app  002  002  3
  bank_core  [VERSION]  -  4
  bank_credit  001  -  3
  bank_kyc  001  -  3
  bank_payments  001  -  3

Next:
  psql "$(uv run neonctl connection-string --local --env pr-42 --database bank_core --role readonly --reveal)"
      a psql prompt
  uv run neonctl verify --local --env pr-42
      prove every privilege by logging in
  uv run neonctl preview delete --local 42
      branch, secrets and parameters gone\
""")
    left = datetime.fromisoformat(api.branches()["pr-42"]["expires_at"]) - datetime.now(UTC)
    assert left > timedelta(days=6, hours=23)
    assert stored(mine, "pr-42", "bank_app", "app_user") == before
    idle = mine.run("preview", "create", "42", "-o", "json")
    assert (idle.code, idle.json["migrations"]) == (0, [])


def test_a_file_edited_since_is_named_and_recreate_starts_over(mine: Project, api: Api) -> None:
    old = api.branches()["pr-42"]["id"]
    write_migration(mine, ALTER.replace("text", "varchar(20)"))
    refused = mine.run("preview", "create", "42", "-o", "json")
    assert (refused.code, refused.error["code"]) == (3, "MIGRATION_EDITED")
    assert refused.error["message"] == "bank_app/migrations/V002__add_theme.sql is not what pr-42 has run"
    assert refused.error["hint"] == "--recreate deletes pr-42 and starts over from dev"
    made = mine.run("preview", "create", "42", "--recreate", "-o", "json")
    assert made.code == 0, made.stderr
    assert (made.json["state"], made.json["migrations"]) == (
        "recreated",
        [{"database": "bank_app", "applied": ["002"]}],
    )
    assert api.branches()["pr-42"]["id"] != old
    assert mine.run("verify", "--env", "pr-42").code == 0


def test_a_file_taken_away_since_is_named(mine: Project) -> None:
    for file in (mine.folder / "db/bank_app/migrations").glob("?002__*"):
        file.unlink()
    refused = mine.run("preview", "create", "42", "-o", "json")
    assert (refused.code, refused.error["code"]) == (3, "MIGRATION_UNKNOWN")
    assert "V002__add_theme.sql" in refused.error["message"]
    assert "--recreate" in refused.error["hint"]


def test_a_repeatable_file_taken_away_since_is_named(mine: Project) -> None:
    folder = mine.folder / "db/bank_kyc/migrations"
    file = folder / "R__names.sql"
    file.write_text("CREATE OR REPLACE VIEW party.names AS SELECT 1 AS one;\n")
    try:
        assert mine.run("preview", "create", "44", "-q").code == 0
        assert mine.run("preview", "create", "44", "-q").code == 0
        file.rename(folder / "R__other_names.sql")
        refused = mine.run("preview", "create", "44", "-o", "json")
    finally:
        for each in folder.glob("R__*names.sql"):
            each.unlink()
    assert (refused.code, refused.error["code"]) == (3, "MIGRATION_UNKNOWN"), refused.stdout
    assert refused.error["message"] == "pr-44 has run bank_kyc/migrations/R__names.sql, which this checkout has not"
    assert mine.run("preview", "delete", "44").code == 0


def test_a_file_that_failed_half_way_and_was_taken_away_is_named(mine: Project) -> None:
    """What it may have left, an invalid index for example, is nothing that the checkout makes."""
    folder = mine.folder / "db/bank_kyc/migrations"
    files = folder / "V002__index.sql", folder / "U002__index_rollback.sql"
    files[0].write_text("-- neonctl: non-transactional\nCREATE INDEX CONCURRENTLY half ON party.parties ((1 / 0));\n")
    files[1].write_text("-- neonctl: non-transactional\nDROP INDEX CONCURRENTLY party.half;\n")
    try:
        failed = mine.run("preview", "create", "44", "-o", "json")
        assert "division by zero" in failed.error["message"]
    finally:
        for file in files:
            file.unlink()
    refused = mine.run("preview", "create", "44", "-o", "json")
    assert (refused.code, refused.error["code"]) == (3, "MIGRATION_UNKNOWN"), refused.stdout
    assert refused.error["message"] == (
        "pr-44 has run bank_kyc/migrations/V002__index.sql, which this checkout has not"
    )
    assert mine.run("preview", "create", "44", "--recreate", "-q").code == 0
    assert mine.run("migrate", "validate", "--env", "pr-44").code == 0
    assert mine.run("preview", "delete", "44").code == 0


def test_what_dev_has_run_cannot_be_edited_by_starting_over(mine: Project) -> None:
    file = mine.folder / "db/bank_aml/migrations/V001__create_screenings.sql"
    text = file.read_text()
    file.write_text(text + "-- changed\n")
    try:
        refused = mine.run("preview", "create", "43", "-o", "json")
    finally:
        file.write_text(text)
    assert (refused.code, refused.error["code"]) == (3, "MIGRATION_EDITED")
    assert "edited after it was applied to dev" in refused.error["message"]
    assert "--recreate" not in refused.error["hint"]


def test_a_checkout_behind_dev_is_told_so(mine: Project) -> None:
    folder = mine.folder / "db/bank_core/migrations"
    newest = sorted(folder.glob("V*"))[-1]
    number = newest.name[1:4]
    kept = {file: file.read_text() for file in folder.glob(f"?{number}__*")}
    own = [folder / f"V{number}__mine.sql", folder / f"U{number}__mine_rollback.sql"]
    for file in kept:
        file.unlink()
    try:
        made = mine.run("preview", "create", "43", "-o", "json")
        assert made.code == 0, made.stderr
        assert made.json["unknown"] == [{"database": "bank_core", "scripts": [newest.name]}]
        own[0].write_text("CREATE TABLE core.mine (id int PRIMARY KEY);\n")
        own[1].write_text("DROP TABLE core.mine;\n")
        refused = mine.run("preview", "create", "43", "-o", "json")
        assert (refused.code, refused.error["code"]) == (3, "MIGRATION_EDITED")
        assert "edited after it was applied to dev" in refused.error["message"]
    finally:
        for file in own:
            file.unlink(missing_ok=True)
        for file, text in kept.items():
            file.write_text(text)
    caught_up = mine.run("preview", "create", "43", "-o", "json")
    assert caught_up.json["unknown"] == []


def test_a_branch_of_that_name_that_is_not_ours_is_never_touched(mine: Project, api: Api) -> None:
    foreign = api.branch("pr-77", parent_id=api.branches()["dev"]["id"])
    try:
        for command in (("create", "77"), ("create", "77", "--recreate"), ("delete", "77")):
            refused = mine.run("preview", *command, "-o", "json")
            assert (refused.code, refused.error["code"]) == (3, "PREVIEW_FOREIGN"), command
        pruned = mine.run("preview", "prune", "--open", "42,43", "-o", "json")
        assert (pruned.code, pruned.json["items"]) == (0, [])
        assert api.branches()["pr-77"]["id"] == foreign
        assert not api.branches()["pr-77"].get("expires_at")
    finally:
        api.delete("pr-77")


def test_another_repository_is_another_preview(mine: Project, api: Api) -> None:
    made = mine.run("preview", "create", "43", "--repository", "bank/core", "--recreate")
    assert made.code == 0, made.stderr
    for command in ("create", "delete"):
        refused = mine.run("preview", command, "43", "--repository", "bank/other", "-o", "json")
        assert (refused.code, refused.error["code"]) == (3, "PREVIEW_FOREIGN")
    pruned = mine.run("preview", "prune", "--open", "none", "--repository", "bank/other", "-o", "json")
    assert (pruned.code, pruned.json["items"]) == (0, [])
    assert {"pr-42", "pr-43"} <= api.branches().keys()


def test_the_parent_is_the_one_that_is_declared_or_none(mine: Project, api: Api) -> None:
    def refused(*command: str) -> str:
        result = mine.run("preview", "create", *command, "-o", "json")
        assert result.code in {1, 3}, result.stdout
        return result.error["code"]

    mine.edit("environments/preview.yaml", ("source: dev #", "source: uat #"))
    try:
        assert refused("42") == "PREVIEW_OTHER_PARENT"
    finally:
        mine.edit("environments/preview.yaml", ("source: uat #", "source: dev #"))
    mine.edit("environments/dev.yaml", ("name: dev\n", "name: elsewhere\n"))
    try:
        assert refused("44") == "NOT_PROVISIONED"
    finally:
        mine.edit("environments/dev.yaml", ("name: elsewhere\n", "name: dev\n"))
    api.change("pr-42", expires_at=None)
    api.change("pr-43", expires_at=None)
    api.change("dev", protected=True)
    try:
        assert refused("44") == "PREVIEW_PARENT"
    finally:
        api.change("dev", protected=False)
    assert "pr-44" not in api.branches()


def test_a_parent_is_not_deleted_and_its_children_are_named(mine: Project, api: Api) -> None:
    parent = api.branches()["pr-43"]
    assert not parent.get("expires_at")  # since the test before: else it could have no children
    api.branch("somebodys", parent_id=parent["id"])
    try:
        refused = mine.run("preview", "delete", "43", "-o", "json")
        assert (refused.code, refused.error["code"]) == (3, "PREVIEW_HAS_CHILDREN")
        assert refused.error["details"]["children"] == ["somebodys"]
        pruned = mine.run("preview", "prune", "--open", "42", "-o", "json")
        assert [(item["name"], item["outcome"]) for item in pruned.json["items"]] == [("pr-43", "kept")]
        assert "somebodys" in pruned.json["items"][0]["reason"]
    finally:
        api.delete("somebodys")
    assert "pr-43" in api.branches()


def test_one_that_expired_by_itself_comes_back(mine: Project, api: Api) -> None:
    api.expire("pr-43")
    listed = mine.run("preview", "list", "-o", "json").json["previews"]
    gone = next(each for each in listed if each["environment"] == "pr-43")
    assert (gone["branch_id"], gone["secrets"]) == (None, 19)
    made = mine.run("preview", "create", "43", "-o", "json")
    assert (made.code, made.json["state"]) == (0, "created"), made.stderr
    assert mine.run("verify", "--env", "pr-43").code == 0


def test_what_an_expired_one_leaves_is_pruned(mine: Project, api: Api) -> None:
    listed = mine.run("preview", "list", "-o", "json").json["previews"]
    parameters = next(each["parameters"] for each in listed if each["environment"] == "pr-43")
    assert parameters > 4
    api.expire("pr-43")
    wanted = {"name": "pr-43", "kind": "expired", "branch_id": None, "secrets": 19, "parameters": parameters}
    rehearsed = mine.run("preview", "prune", "--older-than", "30d", "--dry-run", "-o", "json")
    assert rehearsed.json["items"] == [{**wanted, "outcome": "would be deleted", "reason": None}]
    assert mine.run("secrets", "list", "--env", "pr-43", "-o", "json").json["secrets"][0]["state"] == "stored"
    pruned = mine.run("preview", "prune", "--older-than", "30d", "-o", "json")
    assert (pruned.code, pruned.json["items"]) == (0, [{**wanted, "outcome": "deleted", "reason": None}])
    assert mine.run("preview", "delete", "43").stdout.strip() == "There is nothing of preview pr-43."


def test_one_that_cannot_be_pruned_keeps_no_other(mine: Project, api: Api, tmp_path: Path) -> None:
    """A child appears after everything was looked at."""
    assert mine.run("preview", "create", "45", "-q").code == 0
    api.change("pr-42", expires_at=None)
    desired = read_configuration(mine.folder / "config", mine.folder / "db").desired
    with services(mine) as opened:
        found = find_prunable(
            desired, opened, repository=None, still_open=frozenset(), older_than=None, now=datetime.now(UTC)
        )
        assert [item.name for item in found] == ["pr-42", "pr-45"]
        api.branch("late", parent_id=api.branches()["pr-42"]["id"])
        try:
            log = AuditLog(f"file:{tmp_path}/audit.jsonl", actor=lambda _: "somebody", trace_id="t")
            pruned = prune(found, desired, opened, progress=silent, audit=log)
        finally:
            api.delete("late")
    errors = {each.item.name: each.error.code if each.error else None for each in pruned}
    assert errors == {"pr-42": "PREVIEW_HAS_CHILDREN", "pr-45": None}
    assert "pr-45" not in api.branches()
    assert "pr-42" in api.branches()


def test_one_that_came_back_to_use_is_not_pruned(mine: Project, api: Api, tmp_path: Path) -> None:
    """Its pull request is opened again while somebody thinks about the question whether to delete it."""
    assert mine.run("preview", "create", "45", "-q").code == 0
    api.change("pr-45", expires_at=f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}")  # a week ago, nearly
    desired = read_configuration(mine.folder / "config", mine.folder / "db").desired
    with services(mine) as opened:
        found = find_prunable(
            desired, opened, repository=None, still_open=frozenset({42}), older_than=None, now=datetime.now(UTC)
        )
        assert [item.name for item in found] == ["pr-45"]
        log = AuditLog(f"file:{tmp_path}/audit.jsonl", actor=lambda _: "somebody", trace_id="t")
        for again in ((), ("--recreate",)):
            assert mine.run("preview", "create", "45", "-q", *again).code == 0
            (kept,) = prune(found, desired, opened, progress=silent, audit=log)
            assert kept.error is not None
            assert kept.error.code == "PREVIEW_CHANGING"
    assert mine.run("verify", "--env", "pr-45", "-q").code == 0
    assert mine.run("preview", "delete", "45").code == 0


def test_a_database_that_dev_has_not_yet_is_new(mine: Project) -> None:
    """Merged into main, and not applied to dev: no reason for every pull request to turn red."""
    config = mine.folder / "config"
    kept = {file: file.read_text() for file in (config / "platform.yaml", config / "environments/preview.yaml")}
    more = "\n  bank_fraud:\n    system: SD09\n    schemas: [fraud]\n    roles: *domain_roles\n"
    mine.edit("platform.yaml", ("\n  bank_credit:\n", more + "\n  bank_credit:\n"))
    mine.edit("environments/preview.yaml", ("max_cu: 0.25", "max_cu: 0.5"))
    try:
        assert mine.run("preview", "create", "46", "-q").code == 0
        shown = mine.run("preview", "diff", "46", "-o", "json")
        assert shown.code == 0, shown.stderr
        new = [each["database"] for each in shown.json["databases"] if each["missing_on_source"]]
        assert new == ["bank_fraud"]
        assert mine.run("preview", "delete", "46", "-q").code == 0
    finally:
        for file, text in kept.items():
            file.write_text(text)


def test_a_project_that_is_not_seen_proves_nothing(mine: Project) -> None:
    """The key of another organization, or another name: live previews look as if their branches were gone."""
    was = mine.run("preview", "list", "-o", "json").json["previews"]
    assert any(each["secrets"] for each in was)
    mine.edit("platform.yaml", ("\n  name: bank\n", "\n  name: bank-elsewhere\n"))
    try:
        for command in (("delete", "42"), ("list",), ("prune", "--open", "42"), ("prune", "--older-than", "7d")):
            refused = mine.run("preview", *command, "-o", "json")
            assert (refused.code, refused.error["code"]) == (1, "NOT_PROVISIONED"), command
    finally:
        mine.edit("platform.yaml", ("\n  name: bank-elsewhere\n", "\n  name: bank\n"))
    assert mine.run("preview", "list", "-o", "json").json["previews"] == was


@contextlib.contextmanager
def services(project: Project) -> Iterator[Services]:
    platform = project.platform
    settings = Settings.from_environment({}).with_local_platform(
        api_url=platform.api_url,
        api_key=platform.api_key,
        org_id=platform.org_id,
        aws_endpoint_url=platform.aws_endpoint_url,
        ca_file=platform.ca_file,
    )
    desired = with_preview(read_configuration(project.folder / "config", project.folder / "db").desired, 42)
    opened = Services(settings, desired, purpose="test")
    try:
        yield opened
    finally:
        opened.close()


def test_a_workflow_gets_names_and_writes_whose_it_is(mine: Project, api: Api, tmp_path: Path) -> None:
    event, output = tmp_path / "event.json", tmp_path / "output"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "a" * 40}}}))
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(output),
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "Bank/Core",
        "GITHUB_SHA": "b" * 40,
    }
    made = mine.run("preview", "create", "42", "--recreate", "-o", "json", env=github)
    assert made.code == 0, made.stderr
    annotation = api.branches()["pr-42"]["annotation"]
    assert (annotation["neonctl-repository"], annotation["neonctl-commit"]) == ("Bank/Core", "a" * 40)
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert outputs["branch_id"] == made.json["branch_id"]
    assert outputs["environment"] == "pr-42"


def test_other_commands_work_on_a_preview_and_apply_does_not(mine: Project) -> None:
    status = mine.run("migrate", "status", "--env", "pr-42", "-o", "json")
    assert {each["state"] for each in status.json["databases"]} == {"current"}
    refused = mine.run("apply", "--env", "pr-42", "-o", "json")
    assert (refused.code, refused.error["code"]) == (64, "UNKNOWN_ENVIRONMENT")
    assert refused.error["hint"] == "previews have commands of their own: neonctl preview create 42"


@pytest.mark.parametrize(
    "arguments",
    [("create", "0"), ("create", "main"), ("prune",), ("prune", "--open", ""), ("prune", "--open", "1,x"),
     ("prune", "--open", "1", "--older-than", "7d"), ("prune", "--older-than", "soon")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(mine: Project, arguments: tuple[str, ...]) -> None:
    changed = mine.changing_calls()
    assert mine.run("preview", *arguments, "--dry-run" if arguments[0] == "prune" else "-q").code == 64
    assert mine.changing_calls() == changed


def test_a_configuration_without_previews(project: Project) -> None:
    (project.folder / "config/environments/preview.yaml").unlink()
    for command in (("create", "1"), ("delete", "1"), ("list",), ("prune", "--open", "1")):
        refused = project.run("preview", *command, "-o", "json")
        assert (refused.code, refused.error["code"]) == (64, "NO_PREVIEWS")
