"""Each rule of our own, in the places where it could be missed, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from neonctl.migrations.lint.fragment import Fragment, Script
from neonctl.migrations.lint.markers import read_markers
from neonctl.migrations.lint.rules import RULES
from neonctl.migrations.lint.script import script_findings

DEFINER = "CREATE FUNCTION core.f() RETURNS int LANGUAGE plpgsql SECURITY DEFINER {} AS $$ BEGIN RETURN 1; END $$;"


def found(sql: str, name: str = "V001__a.sql") -> list[tuple[int, str]]:
    return [(each.line, each.rule) for each in script_findings(Script(Path(name), sql))]


def body(text: str, head: str = "CREATE FUNCTION s.f(a int) RETURNS int LANGUAGE plpgsql AS") -> str:
    return f"-- é\n{head} $$\n{text}\n$$;"


# --- transactions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("DO $$ BEGIN COMMIT; END $$", 1),
        ("DO $a$\nBEGIN\n  /* $$ */\n  IF true THEN\n    ROLLBACK;\n  END IF;\nEND $a$", 5),
        ("DO LANGUAGE plpgsql '\nBEGIN\n  COMMIT AND CHAIN;\nEND'", 3),
        ("DO $$ BEGIN\n BEGIN NULL; EXCEPTION WHEN others THEN\n COMMIT; END; END $$", 3),
        ("DO $$ BEGIN FOR i IN 1..3 LOOP\nCOMMIT;\nEND LOOP; END $$", 2),
        ("DO $$ DECLARE r app.thing; BEGIN\n r.x := 1;\n COMMIT; END $$", 3),  # a type that the parser does not know
        ("DO $$ BEGIN\n DO $i$ BEGIN\n  COMMIT; END $i$; END $$", 3),
        ("DO $$ BEGIN EXECUTE '\nCOMMIT'; END $$", 2),
        (body("BEGIN\n COMMIT; RETURN 1; END"), 4),
        ("SELECT 1;\nDO $$ BEGIN\n  x.y.z.w := 1; -- no parser can know it\n\n  COMMIT; END $$", 5),
    ],
)
def test_a_transaction_cannot_be_ended_from_inside(sql: str, line: int):
    assert (line, "transaction-statement") in found(sql)


def test_a_procedure_may_commit_but_it_is_said():
    sql = "CREATE PROCEDURE s.p() LANGUAGE plpgsql AS $$\nBEGIN\n  COMMIT;\nEND $$"
    assert found(sql) == [(3, "procedure-commits")]


def test_words_that_only_look_like_it():
    sql = body(
        "DECLARE \"commit\" text := 'COMMIT;';\nBEGIN\n -- COMMIT;\n /* ; ROLLBACK; */ RAISE NOTICE 'x; COMMIT;'; RETURN 1; END"
    )
    assert found(sql) == []


# --- bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        body("BEGIN NEW.x := TG_OP; RETURN NEW; END", "CREATE FUNCTION s.t() RETURNS trigger LANGUAGE plpgsql AS"),
        body("BEGIN NULL; END", "CREATE FUNCTION s.t() RETURNS event_trigger LANGUAGE plpgsql AS"),
        body("BEGIN p.x := '[{}}'; RETURN p; END", "CREATE FUNCTION s.f(p s.t) RETURNS s.t LANGUAGE plpgsql AS"),
        body("BEGIN RETURN NEXT r; END", "CREATE FUNCTION s.f() RETURNS SETOF s.t LANGUAGE plpgsql AS").replace(
            "BEGIN", "DECLARE r s.t%ROWTYPE; é s.t.c%TYPE := s.g(); BEGIN r.x := 1;"
        ),
        body("BEGIN RETURN p[1]; END", "CREATE FUNCTION s.f(VARIADIC p text[]) RETURNS text LANGUAGE plpgsql AS"),
        body("BEGIN a := 1; b.x := 2; END", "CREATE FUNCTION s.f(OUT a int, OUT b s.t) LANGUAGE plpgsql AS"),
        body(
            "<<l>>\nDECLARE\n v s.mood := 'A'; w numeric(18,2)[];\nBEGIN DECLARE i s.t; BEGIN i.b := w[1]; END; RETURN 1; END l"
        ),
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'lib', 'sym'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
    ],
)
def test_bodies_that_the_server_takes_are_read_in_full(sql: str):
    assert found(sql) == []


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        (body("BEGIN\n  SELEC 1;\n  RETURN 1; END"), 4),
        (body("BEGIN\n\n  RETURN 1 +;\nEND"), 5),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\nSELECT 1;\nSELEC 2 $$", 3),
        ("SELECT 1;\r\nDO $$\r\nBEGIN\r\n  FOO;\r\nEND $$", 4),
    ],
)
def test_errors_in_bodies_are_found_in_their_line(sql: str, line: int):
    assert found(sql) == [(line, "syntax")]


def test_what_the_parser_makes_of_a_body_is_only_a_warning():
    assert found(body("BEGIN\n  unknown := 1;\n RETURN 1; END")) == [(4, "plpgsql")]


# --- roles, data, psql ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "line", "rule"),
    [
        ("SELECT set_config('role', 'x', false)", 1, "set-role"),
        ("SELECT set_config('role'::text, 'x', false)", 1, "set-role"),
        ("SELECT set_config(is_local => true, new_value => 'x', setting_name => E'r\\157le')", 1, "set-role"),
        ("SELECT U&\"\\0073et_config\"('role', 'x', false)", 1, "set-role"),
        ("SELECT 1,\n pg_catalog.set_config('ROLE', 'x', false)", 2, "set-role"),
        ("DO $$ BEGIN\n PERFORM set_config('session_authorization', 'x', true); END $$", 2, "set-role"),
        ("DO $$ DECLARE x text := set_config('role', 'a', true); BEGIN NULL; END $$", 1, "set-role"),
        ("DO $$ DECLARE x text; BEGIN\n x := set_config('role', 'a', true); END $$", 2, "set-role"),
        ("DO $$ DECLARE x text[]; BEGIN\n x[1:2] := ARRAY[set_config('role', 'a', true)]; END $$", 2, "set-role"),
        ("DO $$ BEGIN\n SET LOCAL ROLE x; END $$", 2, "set-role"),
        ("DO $$ BEGIN EXECUTE 'SET ROLE x'; END $$", 1, "set-role"),
        (body("BEGIN\n PERFORM set_config('role', 'x', true); RETURN 1; END"), 4, "role-in-routine"),
        ("DO $$ BEGIN COPY t FROM STDIN; END $$", 1, "client-copy"),
        ("SELECT 1;\n\\d", 2, "psql-command"),
        ("SELECT '${a}'", 1, "placeholder"),
        ("-- only words", 1, "empty"),
        ('SELECT 1;\nDELETE FROM public."flyway_schema_history" WHERE true AND a', 2, "own-record"),
        ('SELECT 1;\nDELETE FROM u&"flyway\\005fschema_history" WHERE a', 2, "own-record"),
        ("DROP FUNCTION public.neonctl_evidence_append() CASCADE", 1, "own-record"),
        (
            "DO $$ BEGIN\n EXECUTE 'DROP TRIGGER a ON neonctl_' || 'evidence';\n DROP TABLE NEONCTL_EVIDENCE; END $$",
            3,
            "own-record",
        ),
    ],
)
def test_what_else_is_found(sql: str, line: int, rule: str):
    assert found(sql) == [(line, rule)]


def test_the_record_may_be_spoken_of():
    assert found("-- as flyway_schema_history says\nCREATE TABLE my_flyway_schema_history_copy ();") == []


def test_settings_that_are_no_role():
    assert found("SELECT set_config('search_path', 'role', true), set_config(x, 'role', true) FROM t") == []


# --- SECURITY DEFINER -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        DEFINER.format(""),
        DEFINER.format("SET search_path = core"),
        DEFINER.format("SET search_path = pg_temp, core"),
        DEFINER.format("SET search_path = 'core, pg_temp'"),  # one schema of that name
        DEFINER.format("SET search_path = ''"),
        DEFINER.format("SET search_path FROM CURRENT"),
        DEFINER.format("SET search_path TO DEFAULT"),
        DEFINER.format("SET work_mem = '1MB'"),
        "CREATE PROCEDURE p() SECURITY DEFINER LANGUAGE sql AS ''",
        "ALTER FUNCTION core.f() SECURITY DEFINER",
        "ALTER FUNCTION core.f() EXTERNAL SECURITY DEFINER SET search_path = core",
        "ALTER ROUTINE core.f() RESET search_path",
        "ALTER PROCEDURE core.f() RESET ALL",
        "ALTER FUNCTION core.f() SET search_path = core",
        "DO $$ BEGIN " + DEFINER.format("").replace("$$", "$f$") + " END $$",
    ],
)
def test_a_definer_whose_path_is_open_is_refused(sql: str):
    assert [rule for _, rule in found(sql)] == ["definer-search-path"]


@pytest.mark.parametrize(
    "sql",
    [
        DEFINER.format("SET search_path = core, pg_temp"),
        DEFINER.format("SET search_path TO 'core', \"pg_temp\""),
        DEFINER.format("SET search_path = pg_catalog, pg_temp SET work_mem = '1MB'"),
        DEFINER.format("").replace("SECURITY DEFINER", "SECURITY INVOKER"),
        "ALTER FUNCTION core.f() SECURITY DEFINER SET search_path = core, pg_temp",
        "ALTER FUNCTION core.f() SECURITY INVOKER",
        "ALTER FUNCTION core.f() STABLE",
    ],
)
def test_a_definer_with_a_closed_path_is_fine(sql: str):
    assert found(sql) == []


# --- every row --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("UPDATE s.t SET a = 1", 1),
        ("SELECT 1;\n\nDELETE FROM s.t", 3),
        ("DELETE FROM t USING u", 1),
        ("UPDATE t SET a = 1 WHERE true", 1),
        ("DELETE FROM t WHERE 1 = 1 AND NOT 'f'::boolean", 1),
        ("UPDATE t SET a = (SELECT 1 WHERE false)", 1),
        ("WITH x AS (\n  DELETE FROM t RETURNING *)\nSELECT * FROM x", 2),
        ("WITH x AS (SELECT 1) UPDATE t SET a = 1 FROM x", 1),
        ("DO $$ BEGIN\n  UPDATE t SET a = 1;\nEND $$", 2),
        ("DO $$ DECLARE r record; BEGIN\n FOR r IN DELETE FROM t RETURNING * LOOP NULL; END LOOP; END $$", 2),
        ("DO $$ BEGIN\n EXECUTE 'DELETE FROM t'; END $$", 2),
        ("DO $$ DECLARE r record; BEGIN\n FOR r IN EXECUTE 'DELETE FROM t' LOOP NULL; END LOOP; END $$", 2),
        ("DO $$ DECLARE c refcursor; BEGIN\n OPEN c FOR EXECUTE 'DELETE FROM t RETURNING a'; END $$", 2),
        (body("BEGIN\n  WITH x AS (SELECT 1)\n  DELETE FROM t;\n  RETURN 1; END"), 5),
        (body("BEGIN DELETE FROM t; RETURN NULL; END", "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS"), 3),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS '\nDELETE FROM t'", 2),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC\n DELETE FROM t; END", 2),
        ("CREATE RULE r AS ON INSERT TO v DO INSTEAD UPDATE t SET a = 1", 1),
        ("-- neonctl: all-rows\n\nDELETE FROM t", 3),  # not directly above
        ("-- neonctl: all-rows\nSELECT 1;\nDELETE FROM t", 3),
        ("DELETE FROM t -- neonctl: all-rows", 1),
    ],
)
def test_a_write_of_every_row_is_refused(sql: str, line: int):
    assert (line, "unbounded-write") in found(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t WHERE a = 1",
        "UPDATE t SET a = 1 WHERE CURRENT OF c",
        "DELETE FROM t WHERE EXISTS (SELECT 1)",
        "DELETE FROM t WHERE random() < 0.1",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
        "CREATE TRIGGER x BEFORE UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "SELECT 1 FROM t FOR UPDATE",
        "-- neonctl: all-rows\nDELETE FROM t",
        "SELECT 1;\r\n  -- neonctl: all-rows\r\n  -- because it is a new column\r\n  UPDATE t SET a = 1;",
        "-- neonctl: all-rows\nWITH x AS (SELECT 1)\nUPDATE t SET a = 1 FROM x",
        "WITH x AS (\n  -- neonctl: all-rows\n  DELETE FROM t RETURNING *)\nSELECT * FROM x",
        "DO $$ BEGIN\n  -- neonctl: all-rows\n  UPDATE t SET a = 1;\nEND $$",
        "/* é */ DO $$ BEGIN\n EXECUTE 'DELETE FROM t WHERE a'; END $$",
    ],
)
def test_a_write_that_is_meant_or_bounded_is_fine(sql: str):
    assert found(sql) == []


def test_a_mark_above_one_write_does_not_cover_the_next():
    assert found("-- neonctl: all-rows\nDELETE FROM t;\nDELETE FROM u;") == [(3, "unbounded-write")]


def test_a_mark_above_a_function_does_not_cover_its_body():
    sql = "-- neonctl: all-rows\nCREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC\n DELETE FROM t; END"
    assert found(sql) == [(1, "idle-marker"), (3, "unbounded-write")]


# --- marks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "name", "expected"),
    [
        ("-- neonctl: all-row\nSELECT 1", "V001__a.sql", [(1, "marker")]),
        ("SELECT 1;\n-- neonctl: non-transactional\n", "V001__a.sql", [(2, "marker")]),
        ("-- neonctl: non-transactional, it is big\nSELECT 1;", "V001__a.sql", [(1, "marker")]),
        ("/* */ -- neonctl: non-transactional\nSELECT 1;", "V001__a.sql", [(1, "marker")]),
        ("--neonctl:all-rows since the column is new\nDELETE FROM t", "V001__a.sql", []),
        ("-- neonctl: loses-data\nDROP TABLE a", "U001__a_rollback.sql", [(1, "marker")]),
        ("-- neonctl: loses-data the names\nDROP TABLE a", "U001__a_rollback.sql", []),
        ("-- neonctl: non-transactional\nCREATE VIEW a AS SELECT 1", "R__a.sql", [(1, "marker")]),
        ("-- neonctl: all-rows\nSELECT 1", "V001__a.sql", [(1, "idle-marker")]),
    ],
)
def test_marks_without_effect_are_told(sql: str, name: str, expected: list[tuple[int, str]]):
    assert found(sql, name) == expected


@pytest.mark.parametrize(
    ("head", "transactional"),
    [
        ("-- neonctl: non-transactional", False),
        ("\ufeff\r\n/* a\n b */\r\n  --neonctl:non-transactional  \r\n-- more", False),
        ("-- why\r-- neonctl: non-transactional\r", False),
        ("-- neonctl: non-transactional because", True),
        ("/* */ -- neonctl: non-transactional", True),
        ("SELECT 1;\n-- neonctl: non-transactional", True),
        ("-- neonctl: all-rows", True),
        ("", True),
    ],
)
def test_lint_and_runner_read_the_same_mark(write, head: str, transactional: bool):
    (file,) = write(f"{head}\nVACUUM;\n")
    assert file.transactional == transactional
    assert read_markers(Fragment(file.path, file.sql)).transactional == transactional
    assert ("not-in-transaction" in {rule for _, rule in found(file.sql)}) == transactional


# --- statements that no transaction takes -------------------------------------------------------------------

ALONE = (
    "CREATE INDEX CONCURRENTLY i ON t (a)",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
    "DROP INDEX CONCURRENTLY i",
    "REINDEX INDEX CONCURRENTLY i",
    "REINDEX (CONCURRENTLY) TABLE t",
    "REINDEX SCHEMA s",
    "VACUUM t",
    "VACUUM",
    "CLUSTER",
    "DISCARD ALL",
    "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "CREATE DATABASE d",
    "DROP DATABASE d",
    "ALTER DATABASE d SET TABLESPACE x",
    "CREATE TABLESPACE x LOCATION '/x'",
    "DROP TABLESPACE x",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p",
    "DROP SUBSCRIPTION s",
)
TOGETHER = (
    "CREATE INDEX i ON t (a)",
    "DROP INDEX i",
    "REINDEX TABLE u",
    "REINDEX (CONCURRENTLY FALSE) TABLE u",
    "ANALYZE t",
    "CLUSTER t USING i",
    "DISCARD TEMP",
    "ALTER TABLE t DETACH PARTITION p",
    "ALTER TABLE t DETACH PARTITION p FINALIZE",
    "ALTER TYPE mood ADD VALUE 'x'",
    "ALTER DATABASE d SET work_mem = '1MB'",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false)",
)


@pytest.mark.parametrize("sql", ALONE)
def test_alone_and_marked_or_not_at_all(sql: str):
    assert found(sql) == [(1, "not-in-transaction")]
    assert found(f"-- Why\n-- neonctl: non-transactional\n\n{sql};") == []
    assert found(f"-- neonctl: non-transactional\n{sql};\n\n{sql};") == [(4, "non-transactional-file")]
    assert (1, "not-in-transaction") in found(f"DO $$ BEGIN {sql}; END $$")


@pytest.mark.parametrize("sql", TOGETHER)
def test_what_runs_in_a_transaction_needs_no_mark(sql: str):
    assert found(sql) == []
    assert found(f"-- neonctl: non-transactional\n{sql};") == [(2, "non-transactional-file")]


def test_a_marked_file_without_a_statement_is_not_finished():
    assert found("-- neonctl: non-transactional\n") == [(1, "non-transactional-file")]


def test_the_server_says_the_same(postgres_server, database):
    """Of each statement whether it can run in a transaction; what else is wrong with it does not matter."""
    with postgres_server.connect(database) as conn:
        conn.execute(
            "CREATE TABLE u (); CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE p PARTITION OF t DEFAULT"
        )

        def refused_in_a_transaction(sql: str) -> bool:
            try:
                with conn.transaction(force_rollback=True):
                    conn.execute(sql.encode())
            except psycopg.errors.ActiveSqlTransaction:
                return True
            except psycopg.Error:
                return False
            return False

        unseen = "DROP SUBSCRIPTION s"  # there is none: the server says that first
        assert [sql for sql in ALONE if not refused_in_a_transaction(sql)] == [unseen]
        assert [sql for sql in TOGETHER if refused_in_a_transaction(sql)] == []


# --- the whole --------------------------------------------------------------------------------------------


def test_names_of_rules_are_unique_and_each_says_what_to_do():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.help.endswith(".") for rule in RULES)


def test_a_file_of_a_megabyte_is_read():
    rows = ",\n".join(f"({number}, 'update {number}', set_config('a', 'b', true))" for number in range(20_000))
    sql = f"INSERT INTO t VALUES\n{rows};\nDELETE FROM t;"
    assert len(sql) > 900_000
    assert found(sql) == [(20_002, "unbounded-write")]


def test_bodies_of_every_kind_are_read_in_full(postgres_server, database):
    path = Path(__file__).with_name("bodies.sql")
    sql = path.read_text(encoding="utf-8")
    with postgres_server.connect(database) as conn:
        conn.execute(sql.encode())
    assert found(sql) == []
