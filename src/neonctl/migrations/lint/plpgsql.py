"""Bodies in PL/pgSQL, as PostgreSQL's own parser reads them: their statements and the SQL in those."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from neonctl.migrations.lint.declarations import DOLLAR_QUOTED, without_schemas, words_of

_NEAR_LINE = re.compile(r"near line (\d+)")
_STRING_OR_BROKEN = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=[\[,])\{\}\}')
_ASSIGNED = re.compile(r"(?:[^:=]|:(?!=))*:?=(.*)", re.DOTALL)
_TRANSACTION = {"PLpgSQL_stmt_commit": "COMMIT", "PLpgSQL_stmt_rollback": "ROLLBACK"}
_EXECUTES = ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors")
_EXPRESSION, _ASSIGNMENTS = 2, (3, 4, 5)  # how the server would parse a query, by its RawParseMode


class UnreadableBodyError(Exception):
    """The body cannot be read. ``syntax``: the server would refuse it; else it may be the parser's own limit."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.syntax = message.startswith(("syntax error", "unterminated", "missing ", "mismatched "))


@dataclass(frozen=True)
class Part:
    """One statement of a body, or the SQL in it. ``line`` counts from 1, where the body begins."""

    line: int
    sql: str | None = None  # to be parsed as it stands
    transaction: str | None = None  # COMMIT or ROLLBACK
    dynamic: bool = False  # an expression whose value is run, if it is a constant


def read_body(statement: str) -> tuple[Part, ...]:
    """The parts of the body in one CREATE FUNCTION, CREATE PROCEDURE or DO. Raises ``UnreadableBodyError``.

    The parser knows no schema but public, so a second try is made with the schemas of declared types blanked out.
    """
    try:
        functions = _parse(statement)
    except UnreadableBodyError as first:
        if first.syntax:
            raise _placed(first, statement) from None
        simpler = without_schemas(statement)
        try:
            functions = _parse(simpler)
        except UnreadableBodyError as second:
            raise _placed(second, simpler) from None
    return tuple(_parts(functions, 1))


def transaction_words(body: str) -> Iterator[tuple[int, str]]:
    """COMMIT and ROLLBACK where a statement may begin, with their lines: for a body that cannot be read otherwise."""
    begins = {"", ";", "begin", "then", "else", "loop"}
    before = ""
    for start, word in words_of(body):
        if word.lower() in ("commit", "rollback") and before.lower() in begins:
            yield body.count("\n", 0, start) + 1, word.upper()
        before = word


def _parse(statement: str) -> Any:
    import postgast

    try:
        return postgast.parse_plpgsql(statement)
    except postgast.PgQueryError as error:
        near = _NEAR_LINE.search(error.context or "")
        raise UnreadableBodyError(error.message.partition("\n")[0], int(near[1]) if near else None) from None
    except json.JSONDecodeError as error:
        # Triggers' own variables (TG_OP, …) come out with one brace too many: pganalyze/libpg_query issue 337.
        return json.loads(_STRING_OR_BROKEN.sub(lambda found: found[0] if found[0][0] == '"' else "{}", error.doc))


def _placed(error: UnreadableBodyError, statement: str) -> UnreadableBodyError:
    """The error with its true line. The parser says near which statement only, so the body is tried word by word:
    the first word with which the same error appears is its place.
    """
    quoted = DOLLAR_QUOTED.search(statement)
    if error.line is None or quoted is None or error.message.endswith("end of input"):
        return error
    body = quoted[2]
    ends = [start + len(word) for start, word in words_of(body)]

    def fails(count: int) -> bool:
        try:
            _parse(statement[: quoted.start(2)] + body[: ends[count]] + statement[quoted.end(2) :])
        except UnreadableBodyError as again:
            return again.message == error.message
        return False

    place = bisect_left(range(len(ends)), True, key=fails)
    return UnreadableBodyError(error.message, body.count("\n", 0, ends[place]) + 1) if place < len(ends) else error


def _parts(node: object, line: int) -> Iterator[Part]:
    """Every statement and query below ``node``. A query has no line of its own: its statement's is taken."""
    if isinstance(node, list):
        for each in cast("list[object]", node):
            yield from _parts(each, line)
    if not isinstance(node, dict):
        return
    for name, value in cast("dict[str, Any]", node).items():
        if name == "PLpgSQL_expr":
            query = _query(cast("dict[str, Any]", value))
            if query is not None:
                yield Part(line, query)
            continue
        inside = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        own = int(inside.get("lineno", line))
        if name in _TRANSACTION:
            yield Part(own, transaction=_TRANSACTION[name])
        executed = inside.get("query" if name in _EXECUTES else "dynquery")
        if executed:
            yield Part(own, "SELECT " + executed["PLpgSQL_expr"]["query"], dynamic=True)
        yield from _parts(cast("object", value), own)


def _query(expression: dict[str, Any]) -> str | None:
    query, mode = expression["query"], expression.get("parseMode", 0)
    if mode == _EXPRESSION:
        return "SELECT " + query
    if mode in _ASSIGNMENTS:
        assigned = _ASSIGNED.match(query)
        return "SELECT " + assigned[1] if assigned else None
    return query
