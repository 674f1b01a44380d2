"""What a migration may not say, found by Postgres' own parser before anything runs.

The runner sends file, history row and COMMIT as one query. So a COMMIT inside would leave a file half-applied and
unrecorded, another role would own what the file makes, and COPY would wait for data that never comes. The rules stand
in ``lint/rules.py``; those of severity ``error`` are refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from neonctl.errors import UsageError
from neonctl.migrations.files import MigrationFile, line_number

if TYPE_CHECKING:
    from pathlib import Path

    from postgast.pg_query_pb2 import RawStmt


class MigrationScriptError(UsageError):
    """A file says what it may not. ``details["problems"]`` lists every problem as
    ``{"file", "line", "rule", "message"}``.
    """


class SqlFile(Protocol):
    """A file with SQL in it: a migration, an undo, a repeatable migration."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def sql(self) -> str:
        """Its text, without its byte order mark."""
        ...


def require_runnable(files: Iterable[SqlFile]) -> None:
    """Parse each file, and the twin of one that has one. Raises ``MigrationScriptError`` with every problem of all of
    them at once.
    """
    from neonctl.migrations.lint.fragment import Script
    from neonctl.migrations.lint.script import script_findings

    refused = [
        finding
        for file in _with_twins(files)
        for finding in script_findings(Script(file.path, file.sql))
        if finding.severity == "error"
    ]
    if not refused:
        return
    first = refused[0]
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    raise MigrationScriptError(
        "MIGRATION_SCRIPT_REFUSED",
        f"{first.file}:{first.line}: {first.message}{more}",
        hint=f"{first.help} Nothing was run.",
        details={
            "problems": [
                {"file": each.file, "line": each.line, "rule": each.rule, "message": each.message} for each in refused
            ]
        },
    )


def _with_twins(files: Iterable[SqlFile]) -> Iterator[SqlFile]:
    for file in files:
        yield file
        if isinstance(file, MigrationFile):
            yield file.undo


def statement_line(sql: str, index: int) -> int | None:
    """The line where statement ``index`` (from 0) of a script that parses begins; None if there are fewer."""
    import postgast

    statements = postgast.parse(sql).stmts
    return _line(sql, statements[index]) if 0 <= index < len(statements) else None


def _line(sql: str, statement: RawStmt) -> int:
    """The parser counts bytes from the statement's first word, a reader counts lines."""
    before = sql.encode("utf-8")[: statement.stmt_location].decode("utf-8")
    return line_number(before, len(before))
