"""What may run where: promotion, proofs and rehearsals, through ``migrate up`` and ``apply``; and breaking the glass."""

from __future__ import annotations

import json

import pytest

from migration_files import cloud, taken_back, write

VIEW = ("CREATE VIEW credit.added AS SELECT 1 AS one;", "DROP VIEW credit.added;")
UP = ("migrate", "up", "--database", "bank_credit", "-o", "json", "--env")
DEMANDS = (
    "environments/prod.yaml",
    ("  require_proof: false", "  require_proof: true"),
    ("  require_rehearsal: false", "  max_lock_seconds: 2\n  require_rehearsal: true"),
)


@pytest.fixture
def credit(project):
    """The project with one more migration of bank_credit, which is taken back everywhere afterwards."""
    write(project, "bank_credit", "002", *VIEW)
    with taken_back(project, ("prod", "bank_credit"), ("uat", "bank_credit"), ("dev", "bank_credit")):
        yield project


def refused(result) -> list[str]:
    assert (result.code, result.error["code"]) == (3, "MIGRATION_NOT_PROMOTED"), result.stderr
    return [problem.removeprefix("bank_credit: ") for problem in result.error["details"]["problems"]]


def test_each_environment_takes_what_the_one_before_has(credit, monkeypatch):
    not_there = ["V002__added.sql is not applied on uat"]
    assert refused(credit.run(*UP, "prod")) == not_there
    assert refused(credit.run("apply", "--env", "prod", "-o", "json")) == not_there
    assert refused(credit.run(*UP, "uat")) == ["V002__added.sql is not applied on dev"]

    done = credit.run(*UP, "uat", "--env", "dev")
    assert [(each["environment"], each["applied"]) for each in done.json["runs"]] == [
        ("dev", ["002"]),
        ("uat", ["002"]),
    ]

    asked = cloud(credit, monkeypatch, *UP, "prod", "--no-input")
    assert (asked.code, asked.error["code"]) == (3, "CONFIRMATION_MISSING")
    assert asked.error["details"]["about"] == ["prod/bank_credit: V002__added.sql"]

    path = credit.folder / "db/bank_credit/migrations/V002__added.sql"
    path.write_text(VIEW[0].replace("1", "2"))
    (other,) = refused(credit.run(*UP, "prod"))
    assert other.startswith("V002__added.sql is another file than the one applied on uat (checksum ")
    path.write_text(VIEW[0] + "\n")

    assert credit.run("migrate", "down", "--env", "uat", "--database", "bank_credit", "--to", "1", "--yes").code == 0
    assert refused(credit.run(*UP, "prod")) == not_there


def test_demands_of_the_yaml_hold_for_up_and_for_apply(credit):
    assert credit.run(*UP, "dev", "--env", "uat").code == 0
    credit.edit(*DEMANDS)
    for result in (credit.run(*UP, "prod"), credit.run("apply", "--env", "prod", "-o", "json")):
        assert refused(result) == [
            "V002__added.sql is not proven as it is now: neonctl migrate prove --database bank_credit",
            "there is no rehearsal on record: neonctl migrate rehearse --env prod --database bank_credit",
        ]
        assert "prod: pending migrations may not run here yet (2 reasons); nothing was run there" in result.stderr

    assert credit.run("migrate", "prove", "--database", "bank_credit").code == 0
    assert credit.run("migrate", "rehearse", "--env", "prod", "--database", "bank_credit").code == 0
    undo = credit.folder / "db/bank_credit/migrations/U002__added_rollback.sql"
    undo.write_text("DROP VIEW IF EXISTS credit.added;\n")
    (unproven,) = refused(credit.run(*UP, "prod"))
    assert unproven.startswith("V002__added.sql is not proven as it is now")
    undo.write_text(VIEW[1] + "\n")

    assert credit.run(*UP, "prod").code == 0
    history = credit.run("migrate", "history", "--env", "prod", "--database", "bank_credit", "-o", "json").json
    applied = [each for each in history["evidence"] if each["kind"] == "apply"][-1]
    assert applied["script"] == "V002__added.sql"
    assert applied["proof_id"]


def test_evidence_that_was_tampered_with_counts_for_nothing(credit):
    """A proof that somebody wrote by hand, with the triggers off, opens no gate."""
    assert credit.run(*UP, "dev", "--env", "uat").code == 0
    credit.edit(*DEMANDS[:2])
    owner = ("SET ROLE bank_credit_migrate_user", "ALTER TABLE neonctl_evidence DISABLE TRIGGER USER")
    forged = (
        "INSERT INTO neonctl_evidence SELECT (SELECT max(entry) + 1 FROM neonctl_evidence), 'proof', version, script,"
        " up_sha256, down_sha256, 'forged', git_commit, actor, trace_id, db_user, '{\"ok\": true}', NULL, recorded_at,"
        " hash, hash FROM neonctl_evidence WHERE script = 'V002__added.sql' ORDER BY entry DESC LIMIT 1"
    )
    enable = "ALTER TABLE neonctl_evidence ENABLE ALWAYS TRIGGER append, ENABLE ALWAYS TRIGGER refuse"
    credit.sql("dev", "bank_credit", *owner, forged, enable)
    try:
        problem, *_ = refused(credit.run(*UP, "prod"))
        assert problem.startswith("the evidence of dev cannot be believed, entry ")
        assert credit.run("migrate", "validate", "--env", "dev", "--database", "bank_credit").code == 1
    finally:
        credit.sql("dev", "bank_credit", *owner, "DELETE FROM neonctl_evidence WHERE proof_id = 'forged'", enable)


def test_an_environment_that_cannot_be_asked_lets_nothing_pass(credit):
    credit.sql("dev", "bank_credit", "ALTER ROLE bank_credit_migrate_user NOLOGIN")
    try:
        result = credit.run(*UP, "uat")
        assert (result.code, result.error["details"]["databases"]) == (5, [])
        assert "dev was asked what has run there" in result.stderr
        status = credit.run("migrate", "status", "--database", "bank_credit", "-o", "json").json["databases"]
        assert {each["environment"]: each["state"] for each in status} == {
            "dev": "unreachable",
            "uat": "pending",
            "prod": "pending",
        }
    finally:
        credit.sql("dev", "bank_credit", "ALTER ROLE bank_credit_migrate_user LOGIN")


def test_breaking_the_glass_needs_a_reason_and_a_yes_and_stays_on_record(credit):
    reason = ("--break-glass", "INC-4711: payments stand still")
    assert credit.run(*UP, "prod", "--break-glass", " ").code == 64
    before = credit.audit_lines()
    asked = credit.run(*UP, "prod", *reason)
    assert (asked.code, asked.error["code"]) == (3, "CONFIRMATION_MISSING")
    passed_over = "V002__added.sql is not applied on uat"
    assert asked.error["details"]["about"][-1] == f"break-glass: prod/bank_credit: {passed_over}"
    assert credit.audit_lines() == before

    done = credit.run(*UP, "prod", *reason, "--yes", "--actor", "ana")
    assert done.code == 0, done.stderr
    assert done.json["runs"][0]["break_glass"] == [passed_over]
    broken, ran = (json.loads(line) for line in credit.audit_lines()[len(before) :])
    assert (broken["what"], broken["reason"], broken["actor"]) == ("migration.break_glass", reason[1], "ana")
    assert (ran["what"], ran["outcome"], ran["files"]) == ("migration.up", "done", "V002__added.sql")
    history = credit.run("migrate", "history", "--env", "prod", "--database", "bank_credit", "-o", "json").json
    glass, applied, _ = history["evidence"][-3:]
    assert (glass["kind"], glass["details"]) == ("break-glass", {"reason": reason[1], "passed_over": [passed_over]})
    assert applied["kind"] == "apply"
