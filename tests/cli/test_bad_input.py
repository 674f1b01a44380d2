"""Wrong files, keys, names and places: a clear error, what to do, the right exit code, and nothing changed."""

from __future__ import annotations

import socket
import time

import httpx
import pytest
from inline_snapshot import snapshot

from neonctl.local import state
from neonctl_run import Result, run, stable

DEV = "environments/dev.yaml"


@pytest.fixture
def refused(project):
    """Run a command that must change nothing; its result, with the error as a document."""

    def attempt(*arguments: str, env: dict[str, str] | None = None, cloud: bool = False) -> Result:
        changed, records = project.changing_calls(), project.audit_lines()
        surroundings = project.cloud(env) if cloud else project.environment({"NEONCTL_TARGET": "local", **(env or {})})
        result = run(*arguments, "-o", "json", cwd=project.folder, env=surroundings)
        assert project.changing_calls() == changed
        assert project.audit_lines() == records
        assert f"error: {result.error['message']}" in result.stderr
        assert f"hint: {result.error['hint']}" in result.stderr
        return result

    return attempt


def problems(result: Result) -> list[str]:
    return [
        f"{each['file']}:{each['line']}: {each['path']}: {each['message']}"
        for each in result.error["details"]["problems"]
    ]


# --- files ------------------------------------------------------------------------------------------------


def test_all_problems_of_all_files_at_once(project, refused):
    project.edit("platform.yaml", ("  name: bank\n", "  name: bank\n  colour: red\n"))
    project.edit(DEV, ("min_cu: 0.25", "min_cu: lots"), ("stage: dev", "stgae: dev"))
    (project.folder / "config/environments/uat.yaml").write_text("stage: uat\nbranch: {name: uat\n")
    result = refused("apply")
    assert (result.code, result.error["code"]) == (64, "CONFIG_INVALID")
    assert problems(result) == snapshot(
        [
            "config/environments/dev.yaml:5: stage: `stage` is missing",
            "config/environments/dev.yaml:5: stgae: unknown key `stgae`: did you mean `state`?",
            "config/environments/dev.yaml:14: compute.min_cu: must be a number",
            "config/environments/uat.yaml:2: : not valid YAML: did not find expected or",
            "config/platform.yaml:12: project.colour: unknown key `colour`",
        ]
    )
    assert stable(result.stderr) == snapshot("""\
error: 5 problems in config/
  config/environments/dev.yaml:5: stage: `stage` is missing
  config/environments/dev.yaml:5: stgae: unknown key `stgae`: did you mean `state`?
  config/environments/dev.yaml:14: compute.min_cu: must be a number
  config/environments/uat.yaml:2: not valid YAML: did not find expected or
  config/platform.yaml:12: project.colour: unknown key `colour`

hint: correct the lines named above and run the command again; nothing has been changed\
""")


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "said"),
    [
        ("platform.yaml", "region: aws-ap-southeast-2", "region: aws-us-east-1", 64, "region"),
        (DEV, "  name: dev\n", "  name: uat\n", 64, "uat"),
        (DEV, "  init: schema-only", "  init: parent-data", 64, "data"),
        (DEV, "  pool_size: 20", "  pool_size: 2000", 64, "pool"),
        ("platform.yaml", "max_branches: 25", "max_branches: 2", 64, "branches"),
        ("platform.yaml", "sink: file:.neonctl/audit.jsonl", "sink: printer", 64, "sink"),
    ],
    ids=["region", "duplicate-branch", "prod-data", "capacity", "plan-limit", "audit-sink"],
)
def test_what_the_yaml_may_not_say(project, refused, file, old, new, code, said):
    project.edit(file, (old, new))
    result = refused("plan")
    assert (result.code, result.error["code"]) == (code, "CONFIG_INVALID")
    found = problems(result)
    assert any(said in line for line in found), found


def test_a_missing_configuration_folder(project, refused):
    result = refused("plan", "--config", "nowhere")
    assert (result.code, result.error["code"]) == (64, "CONFIG_INVALID")
    assert result.error["hint"] == "there is no directory nowhere: name the right one with `--config DIR`"


def test_a_missing_folder_of_migrations(refused):
    result = refused("plan", "--db", "nowhere")
    assert (result.code, result.error["code"]) == (64, "DB_FOLDER_MISSING")


def test_outside_of_a_project_nothing_is_started(tmp_path):
    result = run("apply", "--local", cwd=tmp_path, env={})
    assert result.code == 64
    assert "hint: there is no directory config: name the right one with `--config DIR`" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_migrations_that_are_misnamed(project, refused):
    folder = project.folder / "db/bank_aml/migrations"
    (folder / "V2_oops.sql").write_text("select 1;")
    result = refused("apply")
    assert result.code == 64
    assert "V2_oops.sql" in result.stderr


def test_an_audit_sink_that_cannot_be_written_stops_before_the_first_change(project, refused):
    project.edit("platform.yaml", ("sink: file:.neonctl/audit.jsonl", "sink: file:/proc/audit.jsonl"))
    project.edit(DEV, ("suspend_timeout_seconds: 300\n\n#", "suspend_timeout_seconds: 600\n\n#"))
    for arguments in (
        ("apply", "--env", "dev"),
        ("secrets", "show", "--env", "dev", "--database", "bank_aml", "--role", "readonly", "--reveal"),
    ):
        result = refused(*arguments)
        assert (result.code, result.error["code"]) == (64, "AUDIT_SINK_UNWRITABLE")


# --- keys and places --------------------------------------------------------------------------------------


def test_without_a_key_both_ways_are_named(refused):
    result = refused("apply", env={"NEON_API_KEY": ""}, cloud=True)
    assert (result.code, result.error["code"]) == (64, "NEON_NO_CREDENTIALS")
    assert result.error["hint"] == snapshot(
        "set NEON_API_KEY, or neon.api_key_secret in platform.yaml; or add --local to use the embedded platform, which needs no account"
    )


def test_a_key_that_is_refused(refused):
    result = refused("plan", env={"NEON_API_KEY": "napi_wrong"}, cloud=True)
    assert (result.code, result.error["code"]) == (5, "NEON_UNAUTHORIZED")
    assert "NEON_API_KEY" in result.error["hint"]
    assert "napi_wrong" not in result.stdout + result.stderr


def test_an_api_that_nobody_serves_is_given_up_soon(project, refused):
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        neon = refused("plan", env={"NEON_API_HOST": f"{address}/api/v2"}, cloud=True)
        assert (neon.code, neon.error["code"], neon.error["retryable"]) == (5, "NEON_UNREACHABLE", True)
        renamed(project, "fresh")  # nothing of Postgres is in the way
        aws = refused("plan", env={"AWS_ENDPOINT_URL": address}, cloud=True)
        assert (aws.code, aws.error["code"]) == (5, "AWS_UNREACHABLE")


def test_an_address_that_is_none(refused):
    result = refused("plan", env={"NEON_API_HOST": "http://neon.example/api/v2"}, cloud=True)
    assert (result.code, result.error["code"]) == (64, "NEON_API_HOST_INVALID")


def test_another_aws_account_is_refused(project, refused):
    account = "arn:aws:iam::111111111111:role"
    project.edit(DEV, (f"\n  role_arn: {account}", "\n  #"), (f"\n  plan_role_arn: {account}", "\n  #"))
    renamed(project, "fresh")
    result = refused("plan", cloud=True)
    assert (result.code, result.error["code"]) == (3, "AWS_WRONG_ACCOUNT")


def test_without_aws_credentials(project, refused):
    renamed(project, "fresh")
    result = refused(
        "plan", env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nonexistent"}, cloud=True
    )
    assert (result.code, result.error["code"]) == (5, "AWS_NO_CREDENTIALS")


# --- what stands there already ----------------------------------------------------------------------------


@pytest.fixture
def strangers(provisioned):
    """Make projects that neonctl did not make; they are deleted at the end."""
    platform = provisioned.platform
    made: list[str] = []
    with httpx.Client(
        base_url=platform.api_url, headers={"Authorization": f"Bearer {platform.api_key.reveal()}"}, trust_env=False
    ) as client:

        def make(name: str, region: str = "aws-ap-southeast-2") -> str:
            answer = client.post(
                "/projects", json={"project": {"name": name, "region_id": region, "org_id": platform.org_id}}
            )
            made.append(answer.json()["project"]["id"])
            return made[-1]

        yield make
        for project_id in made:
            _delete(client, f"/projects/{project_id}")


def _delete(client: httpx.Client, path: str) -> None:
    """Locked as long as an operation of the project runs, like at Neon."""
    deadline = time.monotonic() + 30
    while client.delete(path).status_code == 423:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def renamed(project, name: str) -> None:
    project.edit("platform.yaml", ("  name: bank\n", f"  name: {name}\n"))


def test_a_foreign_project_of_the_same_name_is_not_taken_over(project, refused, strangers):
    strangers("stranger")
    renamed(project, "stranger")
    result = refused("apply", "--yes")
    assert result.code == 3
    codes = {each["code"] for each in result.error["details"]["refusals"]}
    assert "FOREIGN_PROJECT" in codes
    assert "--adopt" in result.error["hint"]


def test_two_projects_of_the_name_are_not_guessed_between(project, refused, strangers):
    ids = {strangers("twin"), strangers("twin")}
    renamed(project, "twin")
    result = refused("plan")
    assert (result.code, result.error["code"]) == (3, "AMBIGUOUS_PROJECT")
    assert set(result.error["details"]["projects"]) == ids


def test_region_and_version_cannot_change(project, refused):
    project.edit(
        "platform.yaml",
        ("  region: aws-ap-southeast-2 # Sydney", "  region: aws-us-east-1"),
        ("    - aws-ap-southeast-2\n", "    - aws-us-east-1\n"),
        ("postgres_version: 18", "postgres_version: 17"),
        ("logical_replication: true", "logical_replication: false"),
    )
    project.edit("environments/prod.yaml", ("cdc: true", "cdc: false"))
    result = refused("apply", "--yes")
    assert result.code == 3
    assert [each["code"] for each in result.error["details"]["refusals"]] == [
        "IMMUTABLE_LOGICAL_REPLICATION",
        "IMMUTABLE_POSTGRES_VERSION",
        "IMMUTABLE_REGION",
    ]


def test_limits_of_the_neon_plan_are_judged_before_anything_is_made(project, refused, strangers):
    project.edit("platform.yaml", ("max_root_branches: 10", "max_root_branches: 3"))
    (project.folder / "config/environments/sit.yaml").write_text(
        (project.folder / "config/environments/dev.yaml")
        .read_text()
        .replace("stage: dev", "stage: sit")
        .replace("name: dev", "name: sit")
    )
    result = refused("apply", "--yes")
    assert result.code in {3, 64}
    assert "root branches" in result.stdout


def test_a_postgres_version_that_the_embedded_platform_does_not_have(project):
    """Only the API knows, so a refused call is in the journal; nothing was made by it."""
    renamed(project, "older")
    project.edit("platform.yaml", ("postgres_version: 18", "postgres_version: 17"))
    result = project.run("apply", "-o", "json")
    assert (result.code, result.error["code"]) == (5, "NEON_INVALID")
    assert "runs Postgres 18 only" in result.error["message"]
    assert "older" not in {each.project for each in state.branches(project.platform)}


def test_environments_that_are_not_declared(refused):
    result = refused("plan", "--env", "qa")
    assert (result.code, result.error["code"]) == (64, "UNKNOWN_ENVIRONMENT")
    assert result.error["hint"] == "declared are: dev, prod, uat"
