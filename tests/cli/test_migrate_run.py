"""Runs of migrations as people, jobs and DBAs meet them: what a failure says, two at once, interrupted, undone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from migration_files import taken_back, write
from neonctl.local import state
from neonctl.migrations.history import LOCK_KEY
from neonctl_run import Result, command, interrupt_when, scrubbed
from platform_fixture import Project

VIEW = ("CREATE VIEW credit.added AS SELECT 1 AS one;", "DROP VIEW credit.added;")
TABLE = ("CREATE TABLE credit.added (id int PRIMARY KEY);", "DROP TABLE credit.added;")
CREDIT = ("--env", "dev", "--database", "bank_credit")
BOTH = (*CREDIT, "--database", "bank_aml")
LOCAL = {"NEONCTL_TARGET": "local"}


@pytest.fixture
def dev(project: Project) -> Iterator[Project]:
    """The project; whatever a test runs in bank_credit of dev is undone afterwards."""
    with taken_back(project, ("dev", "bank_credit")):
        yield project


def version(project: Project, database: str = "bank_credit") -> str:
    found = project.run("migrate", "status", "--env", "dev", "--database", database, "-o", "json")
    return found.json["databases"][0]["version"]


def audited(project: Project, since: int) -> list[tuple[str, str, str, str]]:
    records = [json.loads(line) for line in project.audit_lines()[since:]]
    return [(each["what"], each["target"], each["outcome"], each.get("files", "")) for each in records]


def test_a_failure_says_what_each_database_has_got(dev):
    write(dev, "bank_credit", "002", *VIEW)
    broken = write(dev, "bank_credit", "003", "SELECT 1;\nSELECT 1 / 0;")
    write(dev, "bank_aml", "002", "SELECT 2;")
    since = len(dev.audit_lines())
    with taken_back(dev, ("dev", "bank_aml")):
        result = dev.run("migrate", "up", *BOTH, "-o", "json", "-q", env={"GITHUB_ACTIONS": "true"})
        assert (result.code, result.error["code"]) == (1, "MIGRATION_FAILED")
        got = {each["database"]: (each["state"], each["scripts"]) for each in result.error["details"]["databases"]}
        assert got["bank_credit"] == ("failed", ["V002__added.sql"])
        # The other one was through already, or begins no other file: what is said of it is what is there.
        assert got["bank_aml"] in (("done", ["V002__added.sql"]), ("stopped", []))
        assert version(dev, "bank_aml") == ("002" if got["bank_aml"][0] == "done" else "001")
        assert version(dev) == "002"
    assert "\n  dev/bank_credit: V002__added.sql applied, then failed\n" in result.stderr
    place = (
        r"^::error file=db/bank_credit/migrations/V003__added\.sql,line=2,title=MIGRATION_FAILED::.*division by zero"
    )
    assert re.search(place, result.stderr, re.MULTILINE)
    assert ("migration.up", "dev/bank_credit", "failed", "V002__added.sql") in audited(dev, since)

    broken.write_text("SELECT 1;\n")
    assert dev.run("migrate", "up", *CREDIT, "-o", "json").json["runs"][0]["applied"] == ["003"]
    assert dev.run("migrate", "validate", *CREDIT).code == 0


def test_an_environment_that_refuses_does_not_hide_what_the_one_before_has_got(dev):
    dev.edit("environments/uat.yaml", ("  require_proof: false", "  require_proof: true"))
    write(dev, "bank_credit", "002", "CREATE VIEW credit.added AS SELECT 'unproven' AS what;", VIEW[1])
    result = dev.run("migrate", "up", *CREDIT, "--env", "uat", "-o", "json")
    assert (result.code, result.error["code"]) == (3, "MIGRATION_NOT_PROMOTED")
    (got,) = result.error["details"]["databases"]
    assert (got["environment"], got["state"], got["scripts"]) == ("dev", "done", ["V002__added.sql"])
    assert "dev/bank_credit: V002__added.sql applied\n" in result.stderr


def test_of_two_runs_one_works_and_the_other_says_that_it_waits(dev):
    """Both wait for somebody who holds Flyway's own lock; then they take turns."""
    write(dev, "bank_credit", "002", *VIEW)
    since = len(dev.audit_lines())
    with dev.superuser("dev", "bank_credit") as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        runs = [_Started(dev, "migrate", "up", *CREDIT, "-o", "json") for _ in range(2)]
        for each in runs:
            each.read_until("bank_credit (waiting for another run)")
    results = [each.end() for each in runs]
    assert [each.code for each in results] == [0, 0]
    assert sorted(each.json["runs"][0]["applied"] for each in results) == [[], ["002"]]
    assert audited(dev, since) == [("migration.up", "dev/bank_credit", "done", "V002__added.sql")]


def test_ctrl_c_finishes_the_file_under_way_and_says_what_is_there(dev):
    write(dev, "bank_credit", "002", *VIEW)
    write(dev, "bank_credit", "003", "LOCK TABLE credit.applications IN EXCLUSIVE MODE;")
    write(dev, "bank_credit", "004", "SELECT 4;")
    since = len(dev.audit_lines())
    with dev.superuser("dev", "bank_credit") as holder:
        holder.autocommit = False
        holder.execute("SET ROLE bank_credit_migrate_user")
        holder.execute("LOCK TABLE credit.applications IN EXCLUSIVE MODE")
        run = _Started(dev, "migrate", "up", *CREDIT, "-o", "json")
        run.read_until("✓ dev      migration bank_credit V002__added.sql")
        run.process.send_signal(signal.SIGINT)
        run.read_until("interrupting: steps under way are finished first")
        holder.rollback()
        result = run.end()
    assert (result.code, result.error["code"]) == (130, "INTERRUPTED")
    scripts = ["V002__added.sql", "V003__added.sql"][: int(version(dev)) - 1]  # 003 may not have begun
    assert f"dev/bank_credit: {', '.join(scripts)} applied, then stopped\n" in result.stderr
    assert audited(dev, since) == [("migration.up", "dev/bank_credit", "stopped", ", ".join(scripts))]
    assert dev.run("migrate", "validate", *CREDIT).code == 0
    assert dev.run("migrate", "up", *CREDIT).code == 0
    assert version(dev) == "004"


@pytest.mark.parametrize(
    ("copied", "arguments", "number"),
    [
        ("dev", ("prove",), signal.SIGINT),
        ("prod", ("rehearse", "--env", "prod"), signal.SIGINT),
        ("prod", ("rehearse", "--env", "prod"), signal.SIGTERM),
    ],
)
def test_a_signal_ends_a_proof_or_rehearsal_at_once_and_leaves_no_branch(dev, copied, arguments, number):
    write(dev, "bank_credit", "002", "SELECT pg_sleep(60);")
    branches = {each.branch for each in state.branches(dev.platform)}
    result = interrupt_when(
        f"a copy of {copied}",
        *("migrate", *arguments, "--database", "bank_credit", "-o", "json"),
        cwd=dev.folder,
        env=dev.environment(LOCAL),
        number=number,
    )
    assert (result.code, result.error["code"]) == (130, "INTERRUPTED")
    assert {each.branch for each in state.branches(dev.platform)} == branches
    assert "psycopg" not in result.stderr
    assert "OperationalError" not in result.stderr  # what the driver says of a connection that was cut


def test_going_back_says_what_is_lost_and_takes_no_wrong_version_for_a_yes(dev):
    write(dev, "bank_credit", "002", *TABLE)
    assert dev.run("migrate", "up", *CREDIT).code == 0
    dev.sql("dev", "bank_credit", "SET ROLE bank_credit_migrate_user", "INSERT INTO credit.added VALUES (1), (2)")
    down, lost = ("migrate", "down", *CREDIT, "--to", "1", "-o", "json"), "U002: drop table credit.added: 2 rows"
    since = len(dev.audit_lines())

    wrong = dev.run(*down, "--confirm", "2", "--yes")
    assert (wrong.code, wrong.error["message"]) == (3, "dev would go back to 001, and --confirm says 002")
    assert wrong.error["details"] == {"at_stake": [lost]}
    asked = dev.run(*down, "-q")
    assert (asked.code, asked.error["code"]) == (3, "CONFIRMATION_MISSING")
    assert asked.error["details"]["about"][-1].strip() == lost
    assert audited(dev, since) == []

    done = dev.run(*down, "--confirm", "1")
    assert (done.code, done.json["undone"], done.json["lost"]) == (0, ["002"], [lost])
    assert audited(dev, since) == [("migration.down", "dev/bank_credit", "done", "U002__added_rollback.sql")]
    again = dev.run(*down, "--confirm", "1")
    assert (again.code, again.json["undone"]) == (0, [])


def test_a_protected_branch_wants_the_version_and_a_failing_undo_says_how_far_it_came(dev):
    write(dev, "bank_credit", "002", *VIEW)
    write(dev, "bank_credit", "003", "SELECT 3;")
    assert dev.run("migrate", "up", *CREDIT).code == 0
    dev.sql("dev", "bank_credit", "SET ROLE bank_credit_migrate_user", "ALTER VIEW credit.added RENAME TO elsewhere")
    try:
        (dev.folder / "config/environments/preview.yaml").unlink()  # no previews below a protected branch
        dev.edit("environments/dev.yaml", ("  protected: false", "  protected: true"))
        down = ("migrate", "down", *CREDIT, "--to", "1", "-o", "json")
        for given in ((), ("--yes",), ("--confirm", "2", "--yes")):
            refused = dev.run(*down, *given)
            assert (refused.code, refused.error["code"]) == (3, "CONFIRMATION_MISSING")
        since = len(dev.audit_lines())
        failed = dev.run(*down, "--confirm", "1")
        assert (failed.code, failed.error["code"]) == (1, "MIGRATION_FAILED")
        assert "dev/bank_credit: U003__added_rollback.sql undone, then failed\n" in failed.stderr
        assert audited(dev, since) == [("migration.down", "dev/bank_credit", "failed", "U003__added_rollback.sql")]
        assert version(dev) == "002"
    finally:
        dev.sql(
            "dev", "bank_credit", "SET ROLE bank_credit_migrate_user", "ALTER VIEW credit.elsewhere RENAME TO added"
        )


@pytest.mark.parametrize(
    ("what", "arguments"),
    [("prove", ("--database", "bank_credit")), ("rehearse", CREDIT)],
)
def test_what_is_not_fit_to_run_is_annotated_where_it_is_wrong(dev, what, arguments):
    write(dev, "bank_credit", "002", f"{TABLE[0]}\nSELECT 1 / 0;", TABLE[1])
    result = dev.run("migrate", what, *arguments, "-o", "json", env={"GITHUB_ACTIONS": "true"})
    assert (result.code, result.json["ok"], result.stdout.count("\n")) == (1, False, 1)
    start = f"::error file=db/bank_credit/migrations/V002__added.sql,line=2,title=migrate {what}::"
    assert [line for line in result.stderr.splitlines() if line.startswith(start)], result.stderr
    assert "✓ rehearse-dev" not in result.stderr  # a file that failed is not ticked off


def test_what_was_altered_by_hand_is_named_and_recorded_before_the_next_run_covers_it(dev):
    dev.sql("dev", "bank_credit", "SET ROLE bank_credit_migrate_user", "CREATE TABLE credit.by_hand (id int)")
    try:
        write(dev, "bank_credit", "002", *VIEW)
        by_hand = "table credit.by_hand: was not there before"
        found = dev.run("migrate", "validate", *CREDIT, "-o", "json", env={"GITHUB_ACTIONS": "true"})
        assert (found.code, by_hand in [each["message"] for each in found.json["findings"]]) == (1, True)
        assert f"::error title=migrate validate::dev/bank_credit: catalogue: {by_hand}" in found.stderr
        done = dev.run("migrate", "up", *CREDIT)
        assert f"altered by hand since the last migration: dev/bank_credit: {by_hand}" in done.stderr
        entries = dev.run("migrate", "history", *CREDIT, "-o", "json").json["evidence"]
        drift = [each for each in entries if each["kind"] == "drift"][-1]
        assert by_hand in drift["details"]["differences"]
        assert drift["entry"] < max(each["entry"] for each in entries if each["kind"] == "apply")
    finally:
        dev.sql("dev", "bank_credit", "SET ROLE bank_credit_migrate_user", "DROP TABLE credit.by_hand")


class _Started:
    """A run as a process of its own, whose messages are read as they come."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=project.folder,
            env=scrubbed(project.environment(LOCAL)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._guard = threading.Timer(60, self.process.kill)
        self._guard.start()
        self._lines: list[str] = []

    def read_until(self, text: str) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)
            if text in line:
                return
        raise AssertionError(f"{text!r} was never said: {''.join(self._lines)}")

    def end(self) -> Result:
        stdout, stderr = self.process.communicate()
        self._guard.cancel()
        return Result(self.process.returncode, stdout, "".join(self._lines) + stderr)
