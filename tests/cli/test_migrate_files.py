"""migrate lint and migrate new, as people and CI systems use them: no platform, no network."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from inline_snapshot import snapshot

from neonctl.migrations.files import read_folder, read_migrations
from neonctl.migrations.scaffold import new_migration
from neonctl_run import Result, run, scrubbed

BAD = "ALTER TABLE s.t ADD COLUMN b bigint NOT NULL;\n-- 100%\nDELETE FROM s.t;\n"

#: What SARIF 2.1.0 requires, and what code hosts need to show a finding.
SARIF = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id", "shortDescription", "help"],
                                            "properties": {
                                                "shortDescription": {"type": "object", "required": ["text"]},
                                                "help": {"type": "object", "required": ["text"]},
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "ruleIndex", "level", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"type": "object", "required": ["text"]},
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "type": "object",
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "region": {
                                                        "type": "object",
                                                        "required": ["startLine"],
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        },
                                                    }
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


class Project:
    """A folder with ``db/``; nothing else is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, database: str = "bank_core", **files: str) -> Path:
        migrations = self.folder / "db" / database / "migrations"
        migrations.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (migrations / f"{name}.sql").write_text(text, encoding="utf-8")
        return migrations

    def run(self, *arguments: str, **env: str) -> Result:
        return run("migrate", *arguments, cwd=self.folder, env=env)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def bad(project: Project) -> Project:
    project.write(V001__a=BAD, U001__a_rollback="ALTER TABLE s.t DROP COLUMN b;\n")
    return project


# --- lint -------------------------------------------------------------------------------------------------


def test_findings_as_text(bad):
    result = bad.run("lint")
    assert result == Result(
        1,
        snapshot("""\
db/bank_core/migrations/V001__a.sql:1:17: warning: Adding a new column that is `NOT NULL` and has no default value to an existing table effectively makes it required. [squawk/adding-required-field]
    Make the field nullable or add a non-VOLATILE DEFAULT. If it is meant: `-- squawk-ignore adding-required-field` above the statement.
db/bank_core/migrations/V001__a.sql:3:1: error: DELETE of every row of s.t: no WHERE says which [unbounded-write]
    Add a WHERE, or say that every row is meant with the line `-- neonctl: all-rows` directly above.

2 files: 1 error, 1 warning
"""),
        "",
    )


def test_nothing_to_say(project):
    project.write(V001__a="SELECT 1;", U001__a_rollback="SELECT 1;")
    assert project.run("lint") == Result(0, "2 files: nothing to say\n", "")


def test_warnings_fail_only_where_that_is_asked(project):
    project.write(
        V001__a="ALTER TABLE s.t ADD COLUMN b bigint NOT NULL;", U001__a_rollback="ALTER TABLE s.t DROP COLUMN b;"
    )
    assert project.run("lint").code == 0
    assert project.run("lint", "--strict").code == 1


def test_findings_as_json(bad):
    for arguments in (["-o", "json"], ["--format", "json"], ["-o", "json", "--format", "json"]):
        result = bad.run("lint", *arguments)
        assert (result.code, result.stderr) == (1, "")
        assert result.json["schema_version"] == 1
        assert result.json["files"] == 2
        assert result.json["summary"] == {"error": 1, "warning": 1, "note": 0}
        assert result.json["findings"][1] == {
            "file": "db/bank_core/migrations/V001__a.sql",
            "line": 3,
            "column": 1,
            "rule": "unbounded-write",
            "severity": "error",
            "message": "DELETE of every row of s.t: no WHERE says which",
            "help": "Add a WHERE, or say that every row is meant with the line `-- neonctl: all-rows` directly above.",
        }


@pytest.mark.parametrize("where", ["relative", "absolute"])
def test_findings_as_sarif(bad, where: str):
    given = [] if where == "relative" else ["--db", str(bad.folder / "db")]
    result = bad.run("lint", "--format", "sarif", *given)
    assert result.code == 1
    document = json.loads(result.stdout)
    jsonschema.validate(document, SARIF)
    (one,) = document["runs"]
    rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
    assert all(rules[each["ruleIndex"]] == each["ruleId"] for each in one["results"])
    assert [each["level"] for each in one["results"]] == ["warning", "error"]
    place = one["results"][1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "db/bank_core/migrations/V001__a.sql", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 3, "startColumn": 1}


def test_sarif_of_nothing_is_a_document_too(project):
    project.write(V001__a="SELECT 1;", U001__a_rollback="SELECT 1;")
    document = json.loads(project.run("lint", "--format", "sarif").stdout)
    jsonschema.validate(document, SARIF)
    assert document["runs"][0]["results"] == []


def test_findings_as_junit(bad):
    bad.write(database="bank_kyc", V001__b='SELECT "a<&\x0b"; SELEC \x01;', U001__b_rollback="SELECT 1;")
    result = bad.run("lint", "--format", "junit")
    suites = ET.fromstring(result.stdout)
    suite = suites.find("testsuite")
    assert (suites.tag, suite.get("tests"), suite.get("failures")) == ("testsuites", "4", "2")
    failed = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert failed["U001__a_rollback.sql"] is None
    assert failed["V001__a.sql"].get("type") == "unbounded-write"
    assert "V001__a.sql:3:1: error" in failed["V001__a.sql"].text
    assert failed["V001__b.sql"].get("type") == "syntax"
    said = [case.findtext("system-out") for case in suite.iter("testcase") if case.get("name") == "V001__a.sql"]
    assert "adding-required-field" in said[0]


def test_junit_fails_where_the_command_does(project):
    project.write(
        V001__a="ALTER TABLE s.t ADD COLUMN b bigint NOT NULL;", U001__a_rollback="ALTER TABLE s.t DROP COLUMN b;"
    )
    suites = ET.fromstring(project.run("lint", "--format", "junit", "--strict").stdout)
    assert suites.get("failures") == "1"


def test_findings_as_annotations(bad):
    bad.write(V001__a=BAD.replace("s.t;", '"100%";'))
    result = bad.run("lint", "--format", "github")
    first, *rest = result.stderr.splitlines()
    assert first.startswith(
        "::error file=db/bank_core/migrations/V001__a.sql,line=3,col=1,title=unbounded-write::"
        "DELETE of every row of 100%25: no WHERE says which%0A"
    )
    assert rest[0].startswith("::warning file=db/bank_core/migrations/V001__a.sql,line=1,")
    assert result.stdout.endswith("2 files: 1 error, 1 warning\n")


def test_in_a_workflow_the_annotations_come_by_themselves(bad):
    result = bad.run("lint", "-o", "json", GITHUB_ACTIONS="true")
    assert result.stderr.count("::error file=") == 1
    assert result.json["summary"]["error"] == 1
    assert bad.run("lint", "--format", "github", GITHUB_ACTIONS="true").stderr.count("::error file=") == 1


def test_a_report_for_machines_and_text_for_people(bad):
    result = bad.run("lint", "--format", "sarif", "--output-file", "lint.sarif")
    assert result.code == 1
    assert result.stdout == bad.run("lint").stdout
    jsonschema.validate(json.loads((bad.folder / "lint.sarif").read_text()), SARIF)
    result = bad.run("lint", "--format", "junit", "--output-file", "none/lint.xml", "-o", "json")
    assert (result.code, result.error["code"]) == (64, "OUTPUT_UNWRITABLE")


def test_one_database(bad):
    bad.write(database="bank_kyc", V001__b="SELECT 1;", U001__b_rollback="SELECT 1;")
    assert bad.run("lint", "--database", "bank_kyc") == Result(0, "2 files: nothing to say\n", "")
    assert bad.run("lint", "--database", "bank_kyc", "--database", "bank_core").code == 1
    unknown = bad.run("lint", "--database", "bank", "-o", "json")
    assert (unknown.code, unknown.error["code"]) == (64, "UNKNOWN_DATABASE")
    assert unknown.error["hint"] == "known are bank_core, bank_kyc"


def test_a_wrong_place_is_no_success(project):
    for prepare in (lambda: None, (project.folder / "db").mkdir):
        prepare()
        result = project.run("lint", "-o", "json")
        assert (result.code, result.error["code"]) == (64, "DB_FOLDER_MISSING")


def test_lint_needs_neither_network_nor_drivers(bad):
    look = (
        "import sys\n"
        "from neonctl.cli.main import main\n"
        "code = main(['migrate', 'lint'])\n"
        "print({'httpx', 'boto3', 'psycopg', 'yoyo', 'yaml', 'rich'} & set(sys.modules), code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=bad.folder, env=scrubbed(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set() 1"


# --- new --------------------------------------------------------------------------------------------------


def test_a_new_pair(project):
    project.write(V001__a="SELECT 1;", U001__a_rollback="SELECT 1;")
    result = project.run("new", "bank_core", "Add index on postings.")
    assert result == Result(
        0,
        "db/bank_core/migrations/V002__add_index_on_postings.sql created\n"
        "db/bank_core/migrations/U002__add_index_on_postings_rollback.sql created\n",
        "\nnext: write both, then `neonctl migrate lint --database bank_core`\n",
    )
    up, down = (
        read_migrations(project.folder / "db/bank_core/migrations")[1],
        "U002__add_index_on_postings_rollback.sql",
    )
    assert up.sql == snapshot("""\
-- Add index on postings.
--
-- Runs as bank_core_migrate_user, in one transaction with its record; lock and statement timeouts are set.
-- Once it is applied anywhere it never changes: a correction is the next migration.
-- A new table has a primary key and comments, and is granted to bank_core_app_user what the application needs.

""")
    assert up.undo.sql == snapshot("""\
-- Takes back V002__add_index_on_postings.sql.
--
-- Afterwards everything is as it was before, in reverse order of making; `neonctl migrate prove` shows whether it is.
-- Rows of tables older than the migration stay, with their values.

""")
    assert up.undo.script == down
    assert [each["rule"] for each in project.run("lint", "-o", "json").json["findings"]] == ["empty", "empty"]


def test_what_was_scaffolded_and_written_is_clean(project):
    project.write()
    assert project.run("new", "bank_core", "add index", "--non-transactional", "-o", "json").json == {
        "schema_version": 1,
        "database": "bank_core",
        "version": "001",
        "files": [
            "db/bank_core/migrations/V001__add_index.sql",
            "db/bank_core/migrations/U001__add_index_rollback.sql",
        ],
    }
    assert project.run("lint").code == 1  # not written yet
    for name, sql in (("V001__add_index", "CREATE INDEX CONCURRENTLY i ON s.t (a);"), ("U001__add_index_rollback", "DROP INDEX CONCURRENTLY s.i;")):  # fmt: skip
        with (project.folder / f"db/bank_core/migrations/{name}.sql").open("a") as file:
            file.write(sql)
    assert project.run("lint", "--strict") == Result(0, "2 files: nothing to say\n", "")


def test_a_new_repeatable(project):
    folder = project.write()
    result = project.run("new", "bank_core", "reporting views", "--repeatable", "-o", "json")
    assert result.json["files"] == ["db/bank_core/migrations/R__reporting_views.sql"]
    assert result.json["version"] is None
    assert (folder / "R__reporting_views.sql").read_text().startswith("-- Reporting views.\n")
    assert [file.description for file in read_folder(folder).repeatable] == ["reporting views"]
    again = project.run("new", "bank_core", "Reporting views", "--repeatable", "-o", "json")
    assert (again.code, again.error["code"]) == (64, "MIGRATION_EXISTS")


@pytest.mark.parametrize("description", ["", "../x/../", "  ", "été", "x" * 121])
def test_descriptions_that_make_no_name(project, description: str):
    folder = project.write()
    result = project.run("new", "bank_core", description, "-o", "json")
    if description == "../x/../":
        assert [path.name for path in sorted(folder.iterdir())] == ["U001__x_rollback.sql", "V001__x.sql"]
        return
    assert (result.code, result.error["code"]) == (64, "MIGRATION_NAME_INVALID")
    assert list(folder.iterdir()) == []


def test_a_database_that_nobody_declared(project):
    project.write()
    (project.folder / "config").symlink_to(Path(__file__).parents[2] / "config")
    result = project.run("new", "bank_cor", "x", "-o", "json")
    assert (result.code, result.error["code"]) == (64, "UNKNOWN_DATABASE")
    assert project.run("new", "bank_kyc", "x").code == 0  # declared, and its first migration
    assert (project.folder / "db/bank_kyc/migrations/V001__x.sql").is_file()
    both = project.run("new", "bank_core", "x", "--repeatable", "--non-transactional", "-o", "json")
    assert (both.code, both.error["code"]) == (64, "USAGE")


def test_many_at_once_get_a_number_each(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: new_migration(tmp_path, database="d", description=f"step {n}")[0], range(24)))
    assert sorted(made) == [f"{number:03d}" for number in range(1, 25)]
    assert len(read_migrations(tmp_path)) == 24
