"""Every workflow, run from its own file against the embedded platform: what would fail in real life fails here."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.conftest import workflows

from .runner import INSTALLS, read

V002 = "CREATE TABLE aml.watchlists (name text PRIMARY KEY, source text NOT NULL);\n"
U002 = "DROP TABLE aml.watchlists;\n"


def add_table(folder: Path, sql: str = V002) -> None:
    migrations = folder / "db/bank_aml/migrations"
    (migrations / "V002__watchlists.sql").write_text(sql)
    (migrations / "U002__watchlists_rollback.sql").write_text(U002)


def undo(project, *environments: str) -> None:
    for environment in environments:
        undone = project.run(
            "migrate", "down", "--env", environment, "--database", "bank_aml", "--to", "1", "--confirm", "1"
        )
        assert undone.code == 0, undone.stderr


def results(jobs) -> dict[str, str]:
    return {name: job.result for name, job in jobs.items()}


# --- apply ------------------------------------------------------------------------------------------------


def test_nothing_to_do_asks_nobody(run_flow, push):
    jobs = run_flow("apply.yml", push)
    assert results(jobs) == {"plan": "success", "dev": "skipped", "uat": "skipped", "prod": "skipped"}
    assert jobs["plan"].summary.count("Nothing to do") == 3


def test_a_change_goes_from_dev_to_prod_and_stops_where_the_plan_is_another(project, run_flow, push):
    add_table(project.folder)
    try:
        # Somebody changes a role by hand, between the plan that was shown and the job of uat.
        by_hand = "ALTER ROLE bank_aml_readonly CONNECTION LIMIT 3"
        jobs = run_flow("apply.yml", push, before={"uat": lambda: project.sql("uat", "bank_aml", by_hand)})
        assert results(jobs) == {"plan": "success", "dev": "success", "uat": "failure", "prod": "skipped"}
        assert "V002__watchlists" in jobs["dev"].log.text
        assert jobs["plan"].summary.count("migrations 002 of bank_aml will run") == 3
        (error,) = jobs["uat"].log.of("error")
        assert error.properties["title"] == "PLAN_CHANGED"
        assert [step.outcome for step in jobs["uat"].steps if step.name == "Verify"] == ["skipped"]

        # The run is started again: dev has nothing to do any more, and that keeps nobody.
        jobs = run_flow("apply.yml", push)
        assert results(jobs) == {"plan": "success", "dev": "skipped", "uat": "success", "prod": "success"}
        ((name, audit),) = jobs["prod"].artifacts.items()
        assert name == "audit-prod-1001-1"
        assert '"trace_id": "1001-1"' in audit
        assert "role/neonctl-provisioner" in audit
        assert "Nothing to do." in project.run("plan").stdout
    finally:
        undo(project, "prod", "uat", "dev")


def test_a_migration_that_fails_ends_the_train_before_uat(project, run_flow, push):
    add_table(
        project.folder,
        V002 + "ALTER TABLE aml.watchlists ADD CONSTRAINT broken CHECK (1 / 0 = 1);\n"
        "INSERT INTO aml.watchlists VALUES ('a', 'b');\n",
    )
    jobs = run_flow("apply.yml", push)
    assert results(jobs) == {"plan": "success", "dev": "failure", "uat": "skipped", "prod": "skipped"}
    (error,) = jobs["dev"].log.of("error")
    assert error.properties["file"] == "db/bank_aml/migrations/V002__watchlists.sql"
    assert "division by zero" in error.data
    assert jobs["dev"].step("Keep the audit records").outcome == "success"


def test_migrations_that_lint_refuses_are_not_even_planned(project, run_flow, push):
    add_table(project.folder, V002 + "COMMIT;\n")
    jobs = run_flow("apply.yml", push)
    assert results(jobs) == {"plan": "failure", "dev": "skipped", "uat": "skipped", "prod": "skipped"}
    assert jobs["plan"].step("Plan dev").outcome == "skipped"
    assert jobs["plan"].log.of("error")[0].properties["file"].endswith("V002__watchlists.sql")


# --- pull requests ----------------------------------------------------------------------------------------


def test_a_pull_request_is_planned_with_its_own_files(run_flow, pull_request, project):
    (job,) = run_flow("plan.yml", pull_request("opened", add_table)).values()
    assert job.result == "success"
    assert "migrations 002 of bank_aml will run" in job.summary
    assert job.step("Plan").outputs["changes"] == "3"
    assert not (project.folder / "db/bank_aml/migrations/V002__watchlists.sql").exists()


def test_the_life_of_a_preview(run_flow, pull_request, project, comments):
    try:
        opened = run_flow("preview.yml", pull_request("opened", add_table))
        assert results(opened) == {"open": "success", "close": "skipped"}
        assert opened["open"].outputs["environment"] == "pr-42"
        assert "+ column source: text, not null" in opened["open"].summary
        assert len(opened["open"].log.of("add-mask")) > 19  # the passwords that it made

        document = project.run("preview", "diff", "42", "--database", "bank_aml", "-o", "json").json
        assert [(each["object"], each["state"]) for each in document["databases"][0]["changes"]] == [
            ("table aml.watchlists", "added")
        ]
        equal = project.run("preview", "diff", "42", "--database", "bank_core")
        assert (equal.code, equal.stdout) == (0, "pr-42 has the schema of dev.\n")

        def more(folder: Path) -> None:
            file = folder / "db/bank_aml/migrations/V003__more.sql"
            file.write_text("ALTER TABLE aml.watchlists ADD COLUMN note text;\n")
            file.with_name("U003__more_rollback.sql").write_text("ALTER TABLE aml.watchlists DROP COLUMN note;\n")

        pushed = run_flow("preview.yml", pull_request("synchronize", more))
        assert pushed["open"].result == "success"
        assert "+ column note: text" in pushed["open"].summary
        assert len(comments.bodies) == 1
        assert "+ column note: text" in comments.bodies[0]
        assert pushed["open"].outputs["branch_id"] == opened["open"].outputs["branch_id"]

        edited = run_flow("preview.yml", pull_request("synchronize", lambda folder: add_table(folder, V002.upper())))
        assert edited["open"].result == "failure"
        (error,) = edited["open"].log.of("error")
        assert error.properties["title"] == "MIGRATION_EDITED"
        assert "V002__watchlists.sql" in error.data
        assert edited["open"].step("Verify").outcome == "skipped"

        closed = run_flow("preview.yml", pull_request("closed"))
        assert results(closed) == {"open": "skipped", "close": "success"}
        assert project.run("preview", "list", "-o", "json").json["previews"] == []
        assert results(run_flow("preview.yml", pull_request("closed")))["close"] == "success"  # delivered twice
    finally:
        project.run("preview", "delete", "42")


@pytest.mark.parametrize("flow", ["plan.yml", "preview.yml"])
@pytest.mark.parametrize(
    "whose", [{"repository": "stranger/platform"}, {"by": "dependabot[bot]"}], ids=["a fork", "Dependabot"]
)
def test_whoever_gets_no_secrets_is_left_out(run_flow, pull_request, flow, whose):
    for action in ("opened", "closed") if flow == "preview.yml" else ("opened",):
        assert set(results(run_flow(flow, pull_request(action, add_table, **whose))).values()) == {"skipped"}


def test_lint_serves_forks_too(run_flow, pull_request):
    event = pull_request("opened", lambda folder: add_table(folder, "DROP TABLE aml.screenings;\n"), repository="x/y")
    (job,) = run_flow("lint.yml", event).values()
    assert job.result == "failure"
    found = [each for each in job.log.commands if each.name in {"error", "warning"}]
    assert {each.properties["file"] for each in found} == {"db/bank_aml/migrations/V002__watchlists.sql"}
    assert not job.log.of("add-mask")


# --- every night ------------------------------------------------------------------------------------------


def test_a_quiet_night_is_green(run_flow, push):
    jobs = run_flow("nightly.yml", night(push))
    assert results(jobs) == {"drift": "success", "prune": "success"}, jobs["drift"].log.text


def test_what_somebody_altered_by_hand_turns_the_night_red(run_flow, push, project):
    index = "CREATE INDEX by_hand ON aml.screenings (outcome)"
    project.sql("dev", "bank_aml", "GRANT DELETE ON aml.screenings TO bank_aml_readonly", index)
    try:
        jobs = run_flow("nightly.yml", night(push))
    finally:
        project.sql("dev", "bank_aml", "DROP INDEX aml.by_hand")
        assert project.run("apply", "--env", "dev").code == 0
    assert results(jobs) == {"drift": "failure", "prune": "success"}, jobs["drift"].log.text
    assert "DELETE on table aml.screenings" in jobs["drift"].log.text
    assert "index aml.screenings.by_hand: was not there before" in jobs["drift"].summary
    assert [each.properties["title"] for each in jobs["drift"].log.of("error")] == ["drift"]


def night(push):
    return type(push)("workflow_dispatch", push.folder)


# --- what is missing --------------------------------------------------------------------------------------


def test_without_the_variable_everything_is_skipped(run_flow, push, settings):
    off = type(settings)({}, settings.environments, settings.surroundings)
    for flow, event in (("apply.yml", push), ("nightly.yml", night(push))):
        assert set(results(run_flow(flow, event, off)).values()) == {"skipped"}


def test_a_secret_that_nobody_set_is_named(run_flow, push, settings):
    bare = {name: {**each, "secrets": {}} for name, each in settings.environments.items()}
    jobs = run_flow("apply.yml", push, type(settings)(settings.variables, bare, settings.surroundings))
    assert results(jobs) == {"plan": "failure", "dev": "skipped", "uat": "skipped", "prod": "skipped"}
    (error,) = jobs["plan"].log.of("error")
    assert error.properties["title"] == "NEON_NO_CREDENTIALS"


def test_every_job_installs_the_same_way():
    texts = {
        step["run"]
        for flow in workflows()
        for job in read(flow.name)["jobs"].values()
        for step in job["steps"]
        if step.get("name") == INSTALLS
    }
    assert len(texts) == 1
