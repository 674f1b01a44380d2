"""The wiring to plpgsql_check. The extension itself does not come with the tests' server, so one that answers in its
place lies in a folder of its own; ``extension_control_path`` leads the server there.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from neonctl.migrations.findings import Findings
from neonctl.migrations.plpgsql import check_functions
from postgres_server import PostgresServer

CONTROL = "default_version = '1'\nrelocatable = false\nschema = public\nsuperuser = true\n"
# Says one thing of each level about functions whose body asks for it, and on which table they were looked at.
SCRIPT = """
CREATE FUNCTION plpgsql_check_function_tb(
    funcoid regprocedure, relid regclass DEFAULT 0, fatal_errors boolean DEFAULT true,
    security_warnings boolean DEFAULT false, oldtable name DEFAULT NULL, newtable name DEFAULT NULL)
RETURNS TABLE (functionid regproc, lineno int, statement text, sqlstate text, message text, level text)
LANGUAGE sql AS $$
    SELECT funcoid::oid::regproc, 4, 'assignment', '42703', 'of ' || relid::oid::regclass || coalesce(newtable, ''), level
    FROM pg_proc AS p, unnest(ARRAY['error', 'security', 'warning extra']) AS level
    WHERE p.oid = funcoid AND p.prosrc LIKE '%' || level || '%'
$$;
"""
FUNCTIONS = """
CREATE SCHEMA bank;
CREATE TABLE bank.a (id int);
CREATE TABLE bank.b (id int);
CREATE FUNCTION bank.good() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION bank.plain(n int) RETURNS void LANGUAGE plpgsql AS 'BEGIN /* security, warning extra */ END';
CREATE FUNCTION bank.in_sql() RETURNS text LANGUAGE sql AS $$ SELECT 'error' $$;
CREATE FUNCTION bank.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN /* error */ RETURN new; END';
CREATE FUNCTION bank.nowhere() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN /* error */ RETURN new; END';
CREATE TRIGGER t BEFORE INSERT ON bank.a FOR EACH ROW EXECUTE FUNCTION bank.touch();
CREATE TRIGGER t AFTER INSERT ON bank.b REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION bank.touch();
"""


@pytest.fixture
def conn(postgres_server: PostgresServer, tmp_path: Path) -> Generator[psycopg.Connection[tuple[object, ...]]]:
    folder = tmp_path / "extension"
    folder.mkdir()
    (folder / "plpgsql_check.control").write_text(CONTROL)
    (folder / "plpgsql_check--1.sql").write_text(SCRIPT)
    with postgres_server.database() as name:
        path = sql.SQL("ALTER DATABASE {} SET extension_control_path = {}").format(
            sql.Identifier(name), sql.Literal(f"$system:{tmp_path}")
        )
        with postgres_server.connect(name) as admin:
            admin.execute(path)
        with postgres_server.connect(name) as conn:
            conn.execute(FUNCTIONS)
            yield conn


def test_errors_and_security_fail_and_warnings_are_noted(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    findings = Findings("bank_core", lambda _: None)
    check_functions(conn, findings)
    assert findings.general.problems == [
        "function bank.plain(integer), line 4: security: of - (SQLSTATE 42703)",
        "function bank.touch() on bank.a, line 4: error: of bank.a (SQLSTATE 42703)",
        "function bank.touch() on bank.b, line 4: error: of bank.bfresh (SQLSTATE 42703)",
    ]
    assert findings.general.notes == [
        "function bank.plain(integer), line 4: warning extra: of - (SQLSTATE 42703)",
    ]


def test_a_role_that_may_not_install_it_is_told(
    conn: psycopg.Connection[tuple[object, ...]], postgres_server: PostgresServer
) -> None:
    conn.execute("CREATE ROLE check_nobody LOGIN")
    try:
        findings = Findings("bank_core", lambda _: None)
        with postgres_server.connect(conn.info.dbname, "check_nobody") as nobody:
            check_functions(nobody, findings)
        assert findings.general.notes == ["plpgsql_check was skipped: check_nobody may not install it"]
        assert findings.general.problems == []
    finally:
        conn.execute("DROP ROLE check_nobody")
