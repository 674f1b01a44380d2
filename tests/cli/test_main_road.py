"""plan and apply on the configuration as shipped: what they say, and the shape of their documents."""

from __future__ import annotations

import json

from inline_snapshot import snapshot

from neonctl_run import stable


def test_the_first_apply_ends_with_what_exists_and_what_next(provisioned):
    assert stable(provisioned.first_apply.stdout) == snapshot("""\
Project bank ([PROJECT]), aws-ap-southeast-2, Postgres 18

  environment  branch  direct  pooled  databases  tables  secrets
  dev  dev  localhost:[PORT]  localhost:[PORT]  6  52  19
  prod  prod (default, protected)  localhost:[PORT]  localhost:[PORT]  6  52  19
  uat  uat  localhost:[PORT]  localhost:[PORT]  6  52  19

Next:
  uv run neonctl verify --local
      prove every privilege by logging in
  psql "$(uv run neonctl connection-string --local --env dev --database bank_core --role readonly --reveal)"
      a psql prompt
  uv run neonctl secrets list --local
      the stored credentials, without their values
  uv run neonctl plan --local
      change the YAML in config/, then see what would happen
  uv run neonctl local status; uv run neonctl local down
      what runs on this machine, and stop it\
""")


def test_the_first_apply_shows_the_plan_and_every_step(provisioned):
    told = stable(provisioned.first_apply.stderr).splitlines()
    assert told[1] == "Reading project bank (dev, prod, uat) on the embedded platform"
    assert "  + project bank will be created (logical replication cannot be switched off again)" in told
    assert "Plan [SHA] (each change by name: -v)" in told
    for environment in ("dev", "prod", "uat"):
        steps = [line for line in told if line.startswith(f"  ✓ {environment}")]
        assert any("roles (19)" in line or "roles (25)" in line for line in steps), steps
        assert any("migration bank_core V001" in line for line in steps), steps
        assert any("bank_core: credentials (4)" in line for line in steps), steps
    assert told[-1].startswith("Done in [N] s: ")


def test_a_second_apply_has_nothing_to_do(provisioned):
    changed = provisioned.changing_calls()
    result = provisioned.run("apply")
    assert (result.code, stable(result.stdout), stable(result.stderr)) == snapshot(
        (
            0,
            "bank: nothing to do, everything is as the configuration says.",
            "Reading project bank (dev, prod, uat) on the embedded platform",
        )
    )
    assert provisioned.changing_calls() == changed


def test_a_second_apply_as_json_says_what_exists(provisioned):
    document = provisioned.run("apply", "-o", "json").json
    assert list(document) == snapshot(
        [
            "schema_version",
            "project",
            "changes",
            "summary",
            "fingerprint",
            "applied",
            "project_id",
            "region",
            "environments",
        ]
    )
    assert document["changes"] == []
    assert document["applied"] is False
    assert [each["name"] for each in document["environments"]] == ["dev", "prod", "uat"]
    prod = document["environments"][1]
    assert (prod["default"], prod["protected"], prod["secrets"]) == (True, True, 19)
    assert [each["name"] for each in prod["databases"]] == snapshot(
        ["bank_aml", "bank_app", "bank_core", "bank_credit", "bank_kyc", "bank_payments"]
    )


def test_the_document_of_a_plan(project):
    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 300\n\n#", "suspend_timeout_seconds: 600\n\n#"))
    result = project.run("plan", "-o", "json")
    document = result.json
    assert list(document) == snapshot(["schema_version", "project", "changes", "summary", "fingerprint"])
    assert document["changes"] == snapshot(
        [
            {
                "action": "update",
                "kind": "endpoint",
                "address": "dev/compute",
                "environment": "dev",
                "reason": None,
                "before": {"suspend_timeout_seconds": 300},
                "after": {"suspend_timeout_seconds": 600},
            }
        ]
    )
    assert document["summary"] == snapshot({"create": 0, "update": 1, "delete": 0, "report": 0})
    assert len(document["fingerprint"]) == 64
    assert result.code == 0


def test_the_text_of_a_plan(project):
    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 300\n\n#", "suspend_timeout_seconds: 600\n\n#"))
    result = project.run("plan", "--env", "dev")
    assert (result.code, stable(result.stdout), stable(result.stderr)) == snapshot(
        (
            0,
            """\
environment dev

  ~ endpoint compute will be updated in place
      suspend_timeout_seconds  300 → 600

1 to update.
Plan [SHA]\
""",
            "Reading project bank (dev) on the embedded platform",
        )
    )


def test_plan_changes_nothing_and_reads_no_secret(project):
    from neonctl.local import state

    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 300\n\n#", "suspend_timeout_seconds: 600\n\n#"))
    before, audited = len(state.journal(project.platform)), project.audit_lines()
    assert project.run("plan").code == 0
    calls = [str(call["call"]) for call in state.journal(project.platform)[before:]]
    assert calls
    assert {call.split()[0] for call in calls} <= {
        "GET",
        "AssumeRole",
        "GetCallerIdentity",
        "DescribeSecret",
        "GetParameters",
    }
    assert "GetSecretValue" not in calls
    assert project.audit_lines() == audited


def test_the_reviewed_plan_is_applied_and_no_other(project):
    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 300\n\n#", "suspend_timeout_seconds: 600\n\n#"))
    reviewed = project.run("plan", "--env", "dev", "-o", "json").json["fingerprint"]
    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 600", "suspend_timeout_seconds: 900"))
    changed = project.changing_calls()
    refused = project.run("apply", "--env", "dev", "--expect", reviewed)
    assert (refused.code, refused.stdout) == (4, "")
    assert "error: the plan at hand is" in refused.stderr
    assert "hint: review the new plan and give its fingerprint to --expect" in refused.stderr
    assert project.changing_calls() == changed

    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 900", "suspend_timeout_seconds: 600"))
    applied = project.run("apply", "--env", "dev", "--expect", reviewed[:12], "-o", "json")
    assert applied.code == 0, applied.stderr
    assert applied.json["applied"] is True
    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 600", "suspend_timeout_seconds: 300"))
    assert project.run("apply", "--env", "dev").code == 0


def test_what_is_the_projects_goes_with_production_only(project):
    """It may restart every compute: whoever may change dev alone does not decide that."""
    project.edit("platform.yaml", ("history_retention_seconds: 604800", "history_retention_seconds: 86400"))
    kinds = {
        names: [
            each["kind"]
            for each in project.run("plan", *names, "-o", "json").json["changes"]
            if each["action"] != "report"
        ]
        for names in (("--env", "dev"), ("--env", "uat"), ("--env", "prod"), ())
    }
    assert kinds[("--env", "dev")] == kinds[("--env", "uat")] == []
    assert kinds[("--env", "prod")] == kinds[()] == ["project"]


def test_an_expectation_that_is_too_short_is_no_expectation(project):
    assert project.run("apply", "--expect", "7f3c").code == 4


def test_changes_pending_have_an_exit_code_of_their_own_where_asked(project):
    assert project.run("plan", "--env", "dev", "--detailed-exitcode").code == 0
    assert project.run("drift", "--env", "dev").code == 0
    project.edit("environments/dev.yaml", ("suspend_timeout_seconds: 300\n\n#", "suspend_timeout_seconds: 600\n\n#"))
    assert project.run("plan", "--env", "dev").code == 0
    assert project.run("plan", "--env", "dev", "--detailed-exitcode").code == 2
    assert project.run("drift", "--env", "dev", "-o", "json").code == 2


def test_every_change_of_an_apply_is_on_record(provisioned):
    records = [json.loads(line) for line in provisioned.audit_lines()]
    assert list(records[0]) == snapshot(["at", "actor", "what", "target", "environment", "outcome", "trace_id"])
    first = [record for record in records if record["trace_id"] == records[0]["trace_id"]]
    assert {record["outcome"] for record in first} == {"done"}
    planned = sum(1 for line in first if line["what"].startswith("secret."))
    assert planned == 57
    assert ("project.create", "bank") in {(record["what"], record["target"]) for record in first}


def test_verify_proves_every_credential(provisioned):
    result = provisioned.run("verify", "--env", "dev")
    assert (result.code, result.stderr.splitlines()[0]) == snapshot(
        (0, "Reading dev, then logging in with every stored credential")
    )
    assert "19 stored credentials logged in over their own path" in result.stdout
