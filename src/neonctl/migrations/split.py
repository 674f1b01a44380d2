"""One script → its statements, found by Postgres' own parser, each with exactly the text that stands in the file."""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neonctl.migrations.files import line_number

if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True)
class Statement:
    """One statement. ``offset`` counts characters from the script's beginning, ``line`` from 1."""

    number: int  # 1-based
    text: str = field(repr=False)
    offset: int
    line: int
    kind: str  # the parser's name of it: insert_stmt, alter_table_stmt, ...
    node: Any = field(repr=False, compare=False)


def split(script: str) -> tuple[Statement, ...]:
    """The statements in order; comments between them are dropped. ``script`` must parse (``require_runnable``)."""
    import postgast

    data = script.encode("utf-8")
    found: list[Statement] = []
    byte = offset = 0
    line = 1
    for number, raw in enumerate(postgast.parse(script).stmts, 1):
        # The parser counts bytes. Only what lies between is looked at again: files may have a megabyte.
        between = data[byte : raw.stmt_location].decode("utf-8")
        line += line_number(between, len(between)) - 1
        offset += len(between)
        byte = raw.stmt_location
        end = byte + raw.stmt_len if raw.stmt_len else len(data)
        text = data[byte:end].decode("utf-8")
        found.append(Statement(number, text, offset, line, raw.stmt.WhichOneof("node") or "", raw.stmt))
    return tuple(found)
