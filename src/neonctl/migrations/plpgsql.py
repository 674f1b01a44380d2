"""plpgsql_check, where the server has it: CREATE FUNCTION looks at syntax only, this looks at what the words mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.migrations.findings import Findings
from neonctl.postgres.queryfile import query

if TYPE_CHECKING:
    from typing import LiteralString

#: Positions of the arguments are not the same in every version of it, their names are.
_CHECK: LiteralString = """
SELECT lineno, message, sqlstate, level
FROM {place}.plpgsql_check_function_tb(
    {function}::oid::regprocedure, {table}::oid::regclass, fatal_errors => false, security_warnings => true,
    oldtable => {old}::name, newtable => {new}::name)
"""
_FAILS = ("error", "security")


def check_functions(conn: psycopg.Connection[Any], findings: Findings) -> None:
    """Errors and security findings in PL/pgSQL functions are problems, warnings are notes.

    Installs the extension for it if the role may: the database is thrown away afterwards. Says so when it cannot.
    """
    skipped = _install(conn)
    if skipped:
        findings.general.note(f"plpgsql_check was skipped: {skipped}")
        return
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query("plpgsql", "place", "migrations")).fetchone()
        place = sql.Identifier(row[0] if row else "public")
        functions = cursor.execute(query("plpgsql", "functions", "migrations")).fetchall()
        for oid, name, table, table_name, old, new in functions:
            statement = sql.SQL(_CHECK).format(
                place=place,
                function=sql.Literal(oid),
                table=sql.Literal(table),
                old=sql.Literal(old),
                new=sql.Literal(new),
            )
            for line, message, sqlstate, level in cursor.execute(statement).fetchall():
                where = f"{name}" + (f" on {table_name}" if table_name else "") + (f", line {line}" if line else "")
                text = f"function {where}: {level}: {message} (SQLSTATE {sqlstate})"
                if level in _FAILS:
                    findings.general.problem(text)
                else:
                    findings.general.note(text)


def _install(conn: psycopg.Connection[Any]) -> str | None:
    """Why it cannot be used, or None."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query("plpgsql", "state", "migrations")).fetchone()
    installed, available = row if row else (False, False)
    if installed:
        return None
    if not available:
        return "the server does not have it"
    try:
        conn.execute("CREATE EXTENSION plpgsql_check")
    except psycopg.errors.InsufficientPrivilege:
        return f"{conn.info.user} may not install it"
    except psycopg.Error as error:
        return f"it cannot be installed (SQLSTATE {error.sqlstate})"
    return None
