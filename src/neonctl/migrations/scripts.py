"""What a migration may not say, found by Postgres' own parser before anything runs.

The runner sends file, history row and COMMIT as one query. So a COMMIT inside would leave a file half-applied and
unrecorded, another role would own what the file makes, and COPY would wait for data that never comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from neonctl.errors import UsageError
from neonctl.migrations.files import MigrationFile, line_number

if TYPE_CHECKING:
    from postgast.pg_query_pb2 import RawStmt

_ROLE_SETTINGS = ("role", "session_authorization")
_PSQL_COMMAND = re.compile(r"^[ \t]*\\\S", re.MULTILINE)


class MigrationScriptError(UsageError):
    """A file says what it may not. ``details["problems"]`` lists every problem as ``{"file", "line", "message"}``."""


def require_runnable(files: Sequence[MigrationFile]) -> None:
    """Parse each file and its twin. Raises ``MigrationScriptError`` with every problem of all of them at once."""
    problems = [
        {"file": str(path), "line": line, "message": message}
        for file in files
        for path, sql in ((file.path, file.sql), (file.undo.path, file.undo.sql))
        for line, message in _problems(sql)
    ]
    if not problems:
        return
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise MigrationScriptError(
        "MIGRATION_SCRIPT_REFUSED",
        f"{first['file']}:{first['line']}: {first['message']}{more}",
        hint="Each file runs in one transaction, as the migrate role, exactly as written. Nothing was run.",
        details={"problems": problems},
    )


def statement_line(sql: str, index: int) -> int | None:
    """The line where statement ``index`` (from 0) of a script that parses begins; None if there are fewer."""
    import postgast

    parsed = postgast.parse(sql).stmts
    return _line(sql, parsed[index]) if 0 <= index < len(parsed) else None


def _problems(sql: str) -> Iterator[tuple[int, str]]:
    import postgast

    if "${" in sql:
        yield (
            line_number(sql, sql.index("${")),
            "${ is a placeholder to Flyway: write it differently, for example '$' || '{'",
        )
    try:
        parsed = postgast.parse(sql).stmts
    except postgast.PgQueryError as error:
        yield _syntax(sql, error.message, error.cursorpos)
        return
    for statement in parsed:
        message = _refusal(statement.stmt)
        if message:
            yield _line(sql, statement), message


def _syntax(sql: str, message: str, cursor: int) -> tuple[int, str]:
    offset = max(cursor - 1, 0)
    start = max(sql.rfind("\n", 0, offset), sql.rfind("\r", 0, offset)) + 1
    if _PSQL_COMMAND.match(sql, start):
        return line_number(sql, offset), "psql's backslash commands are not SQL: only psql runs them"
    return line_number(sql, offset), message.partition("\n")[0]


def _refusal(node: Any) -> str | None:
    """Why this statement may not stand in a migration, or None."""
    kind = node.WhichOneof("node")
    if kind == "transaction_stmt":
        return "transaction statements are refused: the runner begins and ends the one transaction of the file"
    if kind == "variable_set_stmt" and node.variable_set_stmt.name.lower() in _ROLE_SETTINGS:
        return "SET ROLE and SET SESSION AUTHORIZATION are refused: the migrate role owns what migrations make"
    if kind == "copy_stmt" and not node.copy_stmt.filename:
        return "COPY from or to the client is refused: a migration has no client data; use INSERT"
    return None


def _line(sql: str, statement: RawStmt) -> int:
    """The parser counts bytes from the statement's first word, a reader counts lines."""
    before = sql.encode("utf-8")[: statement.stmt_location].decode("utf-8")
    return line_number(before, len(before))
