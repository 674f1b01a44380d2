"""One piece of SQL, statement by statement: what it may not say, bodies of functions and DO blocks included."""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from neonctl.migrations.lint.finding import Finding, Rule
from neonctl.migrations.lint.fragment import Fragment
from neonctl.migrations.lint.plpgsql import Part, UnreadableBodyError, read_body, transaction_words
from neonctl.migrations.lint.rules import (
    CLIENT_COPY,
    NOT_IN_TRANSACTION,
    PLPGSQL,
    PROCEDURE_COMMITS,
    PSQL_COMMAND,
    ROLE_IN_ROUTINE,
    SEARCH_PATH,
    SET_ROLE,
    SYNTAX,
    TRANSACTION,
)
from neonctl.migrations.lint.search_path import unsafe_search_path
from neonctl.migrations.lint.transactional import needs_no_transaction
from neonctl.migrations.lint.writes import Write, nodes, unbounded

Place = Literal["file", "block", "function", "procedure"]  # a block is DO: it runs with the file

_ROLE_SETTINGS = ("role", "session_authorization")
_PSQL_COMMAND = re.compile(r"^[ \t]*\\\S", re.MULTILINE)
_TRANSACTION_WHY: dict[Place, str] = {
    "file": "transaction statements are refused: the runner begins and ends the one transaction of the file",
    "block": "transaction statements are refused, in DO as well: the file is one transaction",
    "function": "transaction statements cannot stand in a function: calling it would fail",
    "procedure": "the procedure ends its caller's transaction",
}
_MAY_WRITE = re.compile(rb"update|delete", re.IGNORECASE)  # a walk through a tree costs more than a look at its text
_MAY_SET = re.compile(rb"set_config|u&\"", re.IGNORECASE)


def parsed(fragment: Fragment) -> Any:
    """The statements of a fragment; a ``Finding`` if it cannot be parsed."""
    import postgast

    try:
        return postgast.parse(fragment.sql).stmts
    except postgast.PgQueryError as error:
        return _syntax(fragment, error.message, error.cursorpos)


def read_statements(fragment: Fragment, statements: Any, place: Place) -> Iterator[Finding | Write]:
    """What is wrong with parsed statements that stand in ``place``. Writes of all rows may yet be marked as meant."""
    for statement in statements:
        start = statement.stmt_location
        offset = fragment.offset(start)
        for rule, message in _refusals(statement.stmt, place):
            yield fragment.finding(rule, message, offset)
        end = start + statement.stmt_len if statement.stmt_len else len(fragment.data)
        if _MAY_WRITE.search(fragment.data, start, end):
            yield from unbounded(fragment, statement.stmt, start, fragment.line(offset))
        if _MAY_SET.search(fragment.data, start, end):
            yield from _role_by_function(fragment, statement.stmt, place)
        yield from _body(fragment, statement.stmt, start, end)


def _syntax(fragment: Fragment, message: str, cursor: int) -> Finding:
    offset = max(cursor - 1, 0)
    sql = fragment.sql
    start = max(sql.rfind("\n", 0, offset), sql.rfind("\r", 0, offset)) + 1
    if _PSQL_COMMAND.match(sql, start):
        return fragment.finding(
            PSQL_COMMAND, "psql's backslash commands are not SQL: only psql runs them", min(offset, len(sql))
        )
    return fragment.finding(SYNTAX, message.partition("\n")[0], min(offset, len(sql)))


def _refusals(node: Any, place: Place) -> Iterator[tuple[Rule, str]]:
    kind = node.WhichOneof("node")
    if kind == "transaction_stmt":
        yield _transaction_rule(place), _TRANSACTION_WHY[place]
    if kind == "variable_set_stmt" and node.variable_set_stmt.name.lower() in _ROLE_SETTINGS:
        yield _role(place, "SET ROLE and SET SESSION AUTHORIZATION are refused")
    if kind == "copy_stmt" and not node.copy_stmt.filename:
        yield CLIENT_COPY, "COPY from or to the client is refused: a migration has no client data; use INSERT"
    unsafe = unsafe_search_path(node)
    if unsafe:
        yield SEARCH_PATH, unsafe
    alone = needs_no_transaction(node)
    if alone:
        yield NOT_IN_TRANSACTION, f"{alone} cannot run in a transaction"


def _transaction_rule(place: Place) -> Rule:
    return PROCEDURE_COMMITS if place == "procedure" else TRANSACTION


def _role(place: Place, what: str) -> tuple[Rule, str]:
    if place in ("file", "block"):
        return SET_ROLE, f"{what}: the migrate role owns what migrations make"
    return ROLE_IN_ROUTINE, f"the {place} changes the role of whoever calls it"


def _role_by_function(fragment: Fragment, node: Any, place: Place) -> Iterator[Finding]:
    for call in nodes(node):
        if call.DESCRIPTOR.name != "FuncCall" or call.funcname[-1].string.sval != "set_config" or not call.args:
            continue
        if any(name.lower() in _ROLE_SETTINGS for name in _strings(_setting_name(call))):
            rule, message = _role(place, "set_config of the role is refused")
            yield fragment.finding(rule, message, fragment.offset(max(call.location, 0)))


def _setting_name(call: Any) -> Any:
    """The argument of set_config that says what is set: by its name, or the first."""
    named = (each for each in call.args if each.named_arg_expr.name == "setting_name")
    return next(named, call.args[0])


def _strings(tree: Any) -> Iterator[str]:
    """The constants in an expression, those behind a cast included."""
    for each in nodes(tree):
        if each.DESCRIPTOR.name == "A_Const" and each.HasField("sval"):
            yield each.sval.sval


def _body(fragment: Fragment, node: Any, start: int, end: int) -> Iterator[Finding | Write]:
    """The body of a function, procedure or DO, if it is a string in a language that can be read."""
    kind = node.WhichOneof("node")
    if kind == "do_stmt":
        options, place, language = node.do_stmt.args, "block", "plpgsql"
    elif kind == "create_function_stmt":
        options = node.create_function_stmt.options
        place, language = ("procedure" if node.create_function_stmt.is_procedure else "function"), "sql"
    else:
        return
    by_name = {each.def_elem.defname: each.def_elem for each in options}
    if "language" in by_name:
        language = by_name["language"].arg.string.sval.lower()
    if "as" not in by_name:
        return  # BEGIN ATOMIC: parsed with the statement
    given = by_name["as"].arg
    body = given.string.sval if kind == "do_stmt" else given.list.items[0].string.sval
    line = _body_line(fragment, by_name["as"].location, end)
    if language == "sql":
        inner = fragment.inner(body, line)
        statements = parsed(inner)
        yield from [statements] if isinstance(statements, Finding) else read_statements(inner, statements, place)
    if language == "plpgsql":
        whole = fragment.data[start:end].decode("utf-8")
        yield from _plpgsql(fragment, whole, body, line, place)


def _body_line(fragment: Fragment, clause: int, end: int) -> int:
    """The line in which the string of a body begins, from where its clause (AS, or the string) does."""
    quote = re.compile(rb"['$]").search(fragment.data, clause, end)
    return fragment.line(fragment.offset(quote.start() if quote else clause))


def _plpgsql(fragment: Fragment, statement: str, body: str, line: int, place: Place) -> Iterator[Finding | Write]:
    try:
        parts = read_body(statement)
    except UnreadableBodyError as error:
        rule = SYNTAX if error.syntax else PLPGSQL
        yield fragment.at_line(rule, f"PL/pgSQL: {error.message}", line + (error.line or 1) - 1)
        for inside, _ in transaction_words(body):
            yield fragment.at_line(_transaction_rule(place), _TRANSACTION_WHY[place], line + inside - 1)
        return
    for part in parts:
        if part.transaction:
            yield fragment.at_line(_transaction_rule(place), _TRANSACTION_WHY[place], line + part.line - 1)
        elif part.sql:
            yield from _part(fragment.inner(part.sql, line + part.line - 1), part, place)


def _part(inner: Fragment, part: Part, place: Place) -> Iterator[Finding | Write]:
    statements = parsed(inner)
    if isinstance(statements, Finding):
        return  # PL/pgSQL's parser has accepted it in its own way
    if part.dynamic:
        constant = _constant(statements)
        if constant is not None:
            inner = inner.inner(constant, inner.first_line)
            statements = parsed(inner)
            if isinstance(statements, Finding):
                yield statements
                return
            yield from read_statements(inner, statements, place)
        return
    yield from read_statements(inner, statements, place)


def _constant(statements: Any) -> str | None:
    """The text that EXECUTE runs, where it is written as one constant."""
    targets = statements[0].stmt.select_stmt.target_list if len(statements) == 1 else []
    if len(targets) != 1 or not targets[0].res_target.val.a_const.HasField("sval"):
        return None
    return targets[0].res_target.val.a_const.sval.sval
