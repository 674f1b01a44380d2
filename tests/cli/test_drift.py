"""What people change by hand: found, said, and brought back by apply, or left alone where it is not ours."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest

from neonctl_run import stable


@pytest.fixture
def aws(provisioned) -> Iterator[object]:
    """Secrets Manager and Parameter Store as somebody in the console uses them."""
    platform = provisioned.platform
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="ap-southeast-2")
    clients: list[object] = []

    def client(service: str) -> object:
        clients.append(session.client(service, endpoint_url=platform.aws_endpoint_url))
        return clients[-1]

    yield client
    for each in clients:
        each.close()  # pyright: ignore[reportAttributeAccessIssue]


def brought_back(provisioned, *wanted: tuple[str, str]) -> str:
    """drift names exactly these (action, address) and apply settles them (it looks itself); the plan apply showed."""
    found = provisioned.run("drift", "--env", "dev", "-o", "json")
    applied = provisioned.run("apply", "--env", "dev")
    assert found.code == 2, found.stderr
    changes = [(each["action"], each["address"]) for each in found.json["changes"] if each["action"] != "report"]
    assert sorted(changes) == sorted(wanted)
    assert applied.code == 0, applied.stderr
    return stable(applied.stderr)


def test_extra_privileges_are_found_and_taken_back(provisioned):
    provisioned.sql(
        "dev",
        "bank_core",
        "GRANT CREATE ON SCHEMA accounts TO bank_core_readonly",
        "GRANT CONNECT ON DATABASE bank_core TO bank_aml_readonly",
        "GRANT TEMPORARY ON DATABASE bank_core TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE bank_core_migrate_user GRANT DELETE ON TABLES TO bank_core_app_user",
    )
    text = brought_back(
        provisioned,
        ("update", "dev/bank_core/PUBLIC"),
        ("update", "dev/bank_core/bank_aml_readonly"),
        ("update", "dev/bank_core/bank_core_app_user"),
        ("update", "dev/bank_core/bank_core_readonly"),
    )
    assert "CREATE on schema accounts" in text
    rights = "SELECT has_schema_privilege('bank_core_readonly', 'accounts', 'CREATE'), has_database_privilege('bank_aml_readonly', 'bank_core', 'CONNECT')"
    assert provisioned.sql("dev", "bank_core", rights) == [(False, False)]


def test_privileges_that_are_missing_are_given_again(provisioned):
    provisioned.sql("dev", "bank_core", "REVOKE USAGE ON SCHEMA accounts FROM bank_core_app_user")
    brought_back(provisioned, ("create", "dev/bank_core/bank_core_app_user"))


def test_a_role_altered_by_hand_is_set_right(provisioned):
    provisioned.sql(
        "dev",
        "bank_core",
        "ALTER ROLE bank_core_app_user CREATEDB CONNECTION LIMIT 1000",
        "ALTER ROLE bank_core_app_user SET statement_timeout TO '0'",
        "GRANT bank_core_migrate_user TO bank_core_readonly",
    )
    brought_back(
        provisioned,
        ("update", "dev/bank_core/bank_core_app_user"),
        ("update", "dev/bank_core_readonly in bank_core_migrate_user"),
    )


def test_a_role_dropped_by_hand_is_made_again_with_a_working_credential(provisioned):
    provisioned.sql(
        "dev",
        "bank_app",
        "GRANT bank_app_readonly TO bank_owner",
        "DROP OWNED BY bank_app_readonly",
        "DROP ROLE bank_app_readonly",
    )
    assert provisioned.run("apply", "--env", "dev").code == 0
    assert provisioned.run("verify", "--env", "dev").code == 0


def test_a_password_changed_by_hand_is_proven_wrong_by_verify_and_repaired_on_request(provisioned):
    """plan may read no secret value and Postgres tells nobody a password, so only a login shows it."""
    provisioned.sql("dev", "bank_aml", "ALTER ROLE bank_aml_readonly PASSWORD 'Chosen-By-Hand-0123456789-abcdef'")
    assert provisioned.run("drift", "--env", "dev").code == 0
    found = provisioned.run("verify", "--env", "dev")
    assert found.code == 1
    assert "FAILED  dev/bank_aml/bank_aml_readonly  log in over the direct host" in found.stdout
    assert "hint: " in found.stderr
    # The comment says what the password belongs to: without it, the password is nobody's, and apply sets it.
    provisioned.sql("dev", "bank_aml", "COMMENT ON ROLE bank_aml_readonly IS NULL")
    brought_back(provisioned, ("update", "dev/bank_aml/bank_aml_readonly"))
    assert provisioned.run("verify", "--env", "dev").code == 0


@pytest.mark.parametrize("stages", [["AWSCURRENT"], ["AWSPENDING"]])
def test_something_else_stored_as_a_credential_gives_way_to_a_new_one(provisioned, aws, stages):
    name = "bank-neon/dev/bank_aml/readonly"
    aws("secretsmanager").put_secret_value(SecretId=name, SecretString='{"password": "typed"}', VersionStages=stages)
    brought_back(provisioned, ("update", "dev/bank_aml/bank_aml_readonly"))
    assert provisioned.run("verify", "--env", "dev").code == 0


def test_a_secret_deleted_by_hand_is_restored(provisioned, aws):
    aws("secretsmanager").delete_secret(SecretId="bank-neon/dev/bank_aml/readonly")
    brought_back(provisioned, ("update", "dev/bank_aml/bank_aml_readonly"))
    assert provisioned.run("secrets", "show", "--env", "dev", "--database", "bank_aml", "--role", "readonly").code == 0


def test_a_secret_deleted_for_good_is_made_anew(provisioned, aws):
    aws("secretsmanager").delete_secret(SecretId="bank-neon/dev/bank_aml/readonly", ForceDeleteWithoutRecovery=True)
    brought_back(provisioned, ("create", "dev/bank_aml/bank_aml_readonly"))
    assert provisioned.run("verify", "--env", "dev").code == 0


def test_parameters_and_tags_changed_by_hand_are_set_right(provisioned, aws):
    aws("ssm").put_parameter(Name="/bank/dev/neon/direct-host", Value="elsewhere", Type="String", Overwrite=True)
    aws("secretsmanager").tag_resource(
        SecretId="bank-neon/dev/bank_aml/readonly", Tags=[{"Key": "service", "Value": "other"}]
    )
    brought_back(
        provisioned,
        ("update", "dev/bank_aml/bank_aml_readonly"),
        ("update", "dev/bank/dev/neon/direct-host"),
    )


def test_a_publication_changed_by_hand_is_set_right(provisioned):
    provisioned.sql("prod", "bank_core", "ALTER PUBLICATION bank_core_cdc DROP TABLE accounts.accounts")
    drift = provisioned.run("drift", "--env", "prod", "-o", "json").json
    assert [each["address"] for each in drift["changes"]] == ["prod/bank_core/bank_core_cdc"]
    assert provisioned.run("apply", "--env", "prod").code == 0
    tables = "SELECT count(*) > 0 FROM pg_publication_tables WHERE pubname = 'bank_core_cdc' AND tablename = 'accounts'"
    assert provisioned.sql("prod", "bank_core", tables) == [(True,)]


def test_what_is_not_declared_is_said_and_left_alone(provisioned):
    provisioned.sql("dev", "bank_core", "CREATE SCHEMA scratch", "CREATE ROLE auditor", "CREATE DATABASE sandbox")
    changed, audited = provisioned.changing_calls(), provisioned.audit_lines()
    try:
        result = provisioned.run("apply", "-o", "json")
        reports = {each["address"]: each["reason"] for each in result.json["changes"]}
        assert (result.code, {each["action"] for each in result.json["changes"]}) == (0, {"report"})
        assert reports == {
            "dev/auditor": "role is not in the configuration; left alone",
            "dev/bank_core/scratch": "schema is not in the configuration; left alone",
            "dev/sandbox": "database is not in the configuration; left alone",
        }
        assert provisioned.run("drift").code == 0
        assert (provisioned.changing_calls(), provisioned.audit_lines()) == (changed, audited)
        still = "SELECT count(*) FROM pg_roles WHERE rolname = 'auditor'"
        assert provisioned.sql("dev", "bank_core", still) == [(1,)]
    finally:
        provisioned.sql("dev", "bank_core", "DROP SCHEMA scratch", "DROP ROLE auditor", "DROP DATABASE sandbox")


def test_records_of_repairs_name_who_did_them(provisioned):
    provisioned.sql("dev", "bank_core", "GRANT CREATE ON SCHEMA accounts TO bank_core_readonly")
    result = provisioned.run("apply", "--env", "dev", "--actor", "ana", "--trace-id", "t-1")
    assert result.code == 0
    record = json.loads(provisioned.audit_lines()[-1])
    assert {name: record[name] for name in ("actor", "trace_id", "what", "target", "outcome")} == {
        "actor": "ana",
        "trace_id": "t-1",
        "what": "grant.update",
        "target": "dev/bank_core/bank_core_readonly",
        "outcome": "done",
    }
