"""Whole folders: names, twins and squawk in one result."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from neonctl.errors import NeonctlError
from neonctl.migrations.lint import squawk
from neonctl.migrations.lint.folder import LintResult, lint_folders
from neonctl.migrations.lint.squawk import find_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lint(tmp_path: Path):
    """``lint(V001__a="…", U001__a_rollback=b"…")`` → the result, squawk with its own defaults."""
    folder = tmp_path / "db [x]" / "bank_core" / "migrations"  # a bracket means something to patterns

    def write_and_lint(**files: str | bytes) -> LintResult:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.sql").write_bytes(text.encode() if isinstance(text, str) else text)
        return lint_folders({"bank_core": folder}, squawk_config=None)

    return write_and_lint


def told(result: LintResult) -> list[str]:
    return [f"{Path(each.file).name}:{each.line}:{each.column} {each.rule} {each.severity}" for each in result.findings]


def test_our_own_migrations_are_clean():
    folders = {path.parent.name: path for path in (ROOT / "db").glob("*/migrations")}
    result = lint_folders(folders, squawk_config=find_config(ROOT / "db"))
    assert len(result.files) >= 12
    assert [each for each in result.findings if each.severity != "note"] == []


def test_squawk_counts_lines_and_columns_from_zero(lint):
    result = lint(
        V001__a="\ufeffSELECT 'é';\r\n\r\nALTER TABLE é.t ADD COLUMN b bigint NOT NULL;\r\n",
        U001__a_rollback="ALTER TABLE é.t DROP COLUMN b;",
    )
    assert told(result) == ["V001__a.sql:3:17 squawk/adding-required-field warning"]
    assert "squawk-ignore adding-required-field" in (result.findings[0].help or "")


def test_an_undo_may_drop_and_a_migration_is_asked(lint):
    drop = "DROP TABLE s.t;\nALTER TABLE s.u DROP COLUMN c;\nALTER TABLE s.u RENAME COLUMN a TO b;"
    result = lint(V001__a=drop, U001__a_rollback=drop)
    assert [line for line in told(result) if line.startswith("U")] == [
        "U001__a_rollback.sql:3:17 squawk/renaming-column warning"
    ]
    assert {each.rule for each in result.findings} == {
        "squawk/ban-drop-table",
        "squawk/ban-drop-column",
        "squawk/renaming-column",
    }


def test_an_index_on_a_table_in_use_wants_a_marked_file(lint):
    plain = lint(V001__a="CREATE INDEX i ON s.t (a);", U001__a_rollback="DROP INDEX s.i;")
    assert "V001__a.sql:1:1 squawk/require-concurrent-index-creation warning" in told(plain)
    marked = lint(
        V001__a="-- neonctl: non-transactional\nCREATE INDEX CONCURRENTLY i ON s.t (a);",
        U001__a_rollback="-- neonctl: non-transactional\nDROP INDEX CONCURRENTLY s.i;",
    )
    assert told(marked) == []


def test_a_typo_is_said_once_by_the_parser_of_postgres(lint):
    result = lint(V001__a="SELECT 1;\nSELEC 2 FROM 3 4;", U001__a_rollback="SELECT 1;")
    assert told(result) == ["V001__a.sql:2:1 syntax error"]


def test_what_only_squawk_cannot_read_is_a_note():
    found = [
        {"file": "V1", "line": 0, "column": 0, "level": "Error", "message": "expected x", "rule_name": "syntax-error"},
        {"file": "V1", "line": 9, "column": 0, "level": "Error", "message": "expected y", "rule_name": "syntax-error"},
        {"file": "V2", "line": 0, "column": 0, "level": "Error", "message": "expected z", "rule_name": "syntax-error"},
    ]
    told = list(squawk._findings(found, {"V1": [], "V2": []}, {"V1"}))
    assert [(each.file, each.line, each.severity) for each in told] == [("V1", 1, "note")]


def test_names_are_findings_too_and_the_rest_is_still_read(lint):
    result = lint(
        V001__a="COMMIT;", V003__b="SELECT 1;", U003__b_rollback=b"\xff", R__views="DELETE FROM s.t;", v9="ROLLBACK;"
    )
    lines = told(result)
    assert "V001__a.sql:1:1 file-names error" in lines  # no twin
    assert "V001__a.sql:1:1 transaction-statement error" in lines
    assert "R__views.sql:1:1 unbounded-write error" in lines
    assert "v9.sql:1:1 transaction-statement error" in lines
    assert "U003__b_rollback.sql:1:1 file-names error" in lines  # not UTF-8
    assert any("V002" in each.message for each in result.findings)
    assert result.summary["error"] == len([line for line in lines if line.endswith("error")])


@pytest.mark.parametrize(
    ("up", "down", "says"),
    [
        ("CREATE TABLE s.a ();\nCREATE TABLE s.b ();", "DROP TABLE s.a", ["2: table b"]),
        ("CREATE TABLE s.a (); CREATE INDEX i ON s.a (x); CREATE TRIGGER t AFTER INSERT ON s.a EXECUTE FUNCTION f()", "DROP TABLE s.a", []),
        ("CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION s.f(int)", []),
        ("CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT 1", ["1: function f"]),
        ("CREATE OR REPLACE VIEW s.v AS SELECT 1", "CREATE OR REPLACE VIEW s.v AS SELECT 2", []),
        ("ALTER TABLE s.a ADD COLUMN x int, ADD CONSTRAINT c CHECK (x > 0)", "ALTER TABLE s.a DROP COLUMN x", ["1: constraint c"]),
        ("ALTER TABLE s.a ALTER COLUMN x SET NOT NULL", "SELECT 1", []),
        ("CREATE TYPE s.m AS ENUM ('a'); CREATE DOMAIN s.d AS int", "DROP TYPE s.m; DROP DOMAIN s.d", []),
        ("CREATE SCHEMA s; CREATE TABLE s.a ()", "DROP SCHEMA s CASCADE", []),
        ("CREATE TEMP TABLE a (); CREATE SEQUENCE s.q; CREATE POLICY p ON s.a; CREATE PUBLICATION u", "DROP SEQUENCE s.q; DROP POLICY p ON s.a; DROP PUBLICATION u", []),
        ("CREATE TABLE s.a ()", "DO $$ BEGIN EXECUTE 'DROP TABLE s.a'; END $$", []),
        ("CREATE TABLE s.a (); CREATE TABLE s.b (); DROP TABLE s.b", "ALTER TABLE s.a RENAME TO old", []),
    ],
)  # fmt: skip
def test_what_an_undo_forgets_to_drop(lint, up: str, down: str, says: list[str]):
    result = lint(V001__a=up, U001__a_rollback=down)
    notes = [each for each in result.findings if each.rule == "not-taken-back"]
    assert [f"{each.line}: {each.message.partition(' is made')[0]}" for each in notes] == says
    assert all(each.severity == "note" for each in notes)


def test_a_project_may_tell_squawk_what_it_wants(tmp_path: Path):
    folder = tmp_path / "db" / "a" / "migrations"
    folder.mkdir(parents=True)
    (folder / "V001__a.sql").write_text("DROP TABLE s.t;")
    (folder / "U001__a_rollback.sql").write_text("SELECT 1;")
    assert find_config(folder) is None
    assert [each.rule for each in lint_folders({"a": folder}, squawk_config=None).findings] == ["squawk/ban-drop-table"]
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["ban-drop-table"]\n')
    assert find_config(folder) == tmp_path / ".squawk.toml"
    assert lint_folders({"a": folder}, squawk_config=find_config(folder)).findings == ()
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["no-such-rule"]\n')
    with pytest.raises(NeonctlError) as caught:
        lint_folders({"a": folder}, squawk_config=find_config(folder))
    assert caught.value.code == "SQUAWK_FAILED"


def test_without_squawk_it_is_said_what_to_do(lint, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NeonctlError) as caught:
        lint(V001__a="SELECT 1;", U001__a_rollback="SELECT 1;")
    assert caught.value.code == "SQUAWK_MISSING"
