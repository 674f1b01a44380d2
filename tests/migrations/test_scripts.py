from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from neonctl.migrations.files import MigrationFile
from neonctl.migrations.scripts import MigrationScriptError, require_runnable, statement_line

Write = Callable[..., tuple[MigrationFile, ...]]


@pytest.mark.parametrize(
    ("script", "line", "says"),
    [
        ("CREATE TABLE a ();\nCOMMIT;", 2, "transaction statements"),
        ("CREATE TABLE a ();\n/* hidden */ -- here\n\n  /* /* and */ here */ COMMIT", 4, "transaction statements"),
        ("BEGIN;", 1, "transaction statements"),
        ("SELECT 1; END", 1, "transaction statements"),
        ("ROLLBACK", 1, "transaction statements"),
        ("SAVEPOINT a", 1, "transaction statements"),
        ("PREPARE TRANSACTION 'a'", 1, "transaction statements"),
        ("SELECT '\u2028é😀';\nSET ROLE postgres", 2, "SET ROLE"),
        ('SET LOCAL "role" = postgres', 1, "SET ROLE"),
        ("RESET ROLE", 1, "SET ROLE"),
        ("SET SESSION AUTHORIZATION postgres", 1, "SET ROLE"),
        ("COPY t FROM STDIN;\n1\n\\.\n", 2, "syntax error"),
        ("COPY t FROM STDIN", 1, "COPY"),
        ("COPY t TO STDOUT", 1, "COPY"),
        ("SELECT 1;\r\nSELECT '${name}';", 2, "placeholder"),
        ("SELECT 1;\n  \\d t\n", 2, "psql"),
        ("\\connect other", 1, "psql"),
        ("SELECT 1;\n\nSELEC 2;", 3, 'syntax error at or near "SELEC"'),
        ("SELECT 'open;\n", 1, "unterminated quoted string"),
        ("SELECT 1;\n/* open", 2, "unterminated /* comment"),
        ("SELECT 1; $$ open", 1, "unterminated dollar-quoted string"),
    ],
)
def test_what_would_break_the_one_transaction_is_refused(write: Write, script: str, line: int, says: str) -> None:
    files = write(script)
    with pytest.raises(MigrationScriptError) as caught:
        require_runnable(files)
    assert caught.value.exit_code == 64
    assert caught.value.message.startswith(f"{files[0].path}:{line}: ")
    assert says in caught.value.message


@pytest.mark.parametrize(
    "script",
    [
        "",
        "-- COMMIT;\n/* COMMIT; /* COMMIT; */ COMMIT; */ SELECT 'COMMIT;';",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;",
        'CREATE TABLE begin_end (commit int, "end" int);',
        "SET LOCAL search_path = pg_catalog; SET CONSTRAINTS ALL DEFERRED;",
        "DO $body$ BEGIN PERFORM '\\d', $$ROLLBACK$$; END $body$;",
        "SELECT E'\n\\d';",
        "COPY t FROM '/srv/file'",
        "GRANT a TO b",
    ],
)
def test_what_only_looks_like_it_is_not(write: Write, script: str) -> None:
    require_runnable(write(script))


def test_undo_files_are_read_too_and_all_problems_told(write: Write) -> None:
    up_is_wrong, fine = write("COMMIT", "SELECT 1")
    down_is_wrong = replace(fine, undo=replace(fine.undo, sql="DROP TABLE a;\nROLLBACK;"))
    with pytest.raises(MigrationScriptError) as caught:
        require_runnable([up_is_wrong, down_is_wrong])
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert [(problem["file"], problem["line"]) for problem in problems] == [
        (str(up_is_wrong.path), 1),
        (str(fine.undo.path), 2),
    ]


def test_an_undo_alone_and_any_file_with_sql_can_be_asked_about(write: Write) -> None:
    (file,) = write("SELECT 1")
    require_runnable([file, file.undo])
    with pytest.raises(MigrationScriptError) as caught:
        require_runnable([file, replace(file.undo, sql="DELETE FROM a")])
    assert caught.value.details["problems"] == [
        {
            "file": str(file.undo.path),
            "line": 1,
            "rule": "unbounded-write",
            "message": "DELETE of every row of a: no WHERE says which",
        }
    ]
    assert str(caught.value.hint).endswith("Nothing was run.")


def test_warnings_refuse_nothing(write: Write) -> None:
    require_runnable(write("CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'", "-- nothing yet"))


def test_a_statement_is_found_by_its_number() -> None:
    sql = "-- é\nSELECT 1;\n\n/* two */\nSELECT 2\n;;SELECT 3"
    assert [statement_line(sql, index) for index in range(4)] == [2, 5, 6, None]
