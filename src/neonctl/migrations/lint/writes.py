"""UPDATE and DELETE without WHERE, wherever in a statement they stand."""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neonctl.migrations.lint.fragment import Fragment

_DML = ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "select_stmt")
_VERBS = {"UpdateStmt": "UPDATE", "DeleteStmt": "DELETE"}
_DEPENDS = ("ColumnRef", "SubLink", "CurrentOfExpr", "ParamRef", "FuncCall")  # what can differ from row to row


@dataclass(frozen=True)
class Write:
    """An UPDATE or DELETE of every row. A mark may stand above any of ``lines``."""

    verb: str
    table: str
    fragment: Fragment
    offset: int
    lines: tuple[int, ...]

    @property
    def message(self) -> str:
        """What is wrong, if no mark says that it is meant."""
        return f"{self.verb} of every row of {self.table}: no WHERE says which"


def nodes(tree: Any) -> Iterator[Any]:
    """Every message in a tree."""
    todo = [tree]
    while todo:
        message = todo.pop()
        yield message
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                if descriptor.is_repeated:
                    todo.extend(value)
                else:
                    todo.append(value)


def unbounded(fragment: Fragment, statement: Any, start: int, line: int) -> Iterator[Write]:
    """The writes without WHERE in one statement, which begins at byte ``start`` and in ``line`` of the file."""
    inside_statement = statement.WhichOneof("node") in _DML  # not a function's body, whose statements are others
    for message in nodes(statement):
        verb = _VERBS.get(message.DESCRIPTOR.name)
        if verb is None or not _every_row(message):
            continue
        offset = _keyword(fragment, verb, start, message.relation.location)
        own = fragment.line(offset)
        name = ".".join(part for part in (message.relation.schemaname, message.relation.relname) if part)
        yield Write(verb, name, fragment, offset, (own, line) if inside_statement else (own,))


def _every_row(message: Any) -> bool:
    """Without WHERE, or with one that is the same for every row: WHERE true, WHERE 1 = 1."""
    if not message.HasField("where_clause"):
        return True
    return not any(each.DESCRIPTOR.name in _DEPENDS for each in nodes(message.where_clause))


def _keyword(fragment: Fragment, verb: str, start: int, table: int) -> int:
    """Where the word itself stands: the parser says only where the table's name does."""
    before = fragment.data[start : max(table, start)]
    found = [match.start() for match in re.finditer(rf"(?i)\b{verb}\b".encode(), before)]
    return fragment.offset(start + found[-1] if found else max(table, start))
