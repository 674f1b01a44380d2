"""Qualified names as ``Grant.object`` writes them, and back to SQL identifiers.

A part is bare when it is lower case letters, digits, ``_`` and ``$``; anything else is quoted as SQL quotes it. So
``accounts.accounts`` and ``core.timestamp`` stay readable (unlike ``quote_ident``, key words are not quoted: every
name reaches SQL through ``psycopg.sql``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from psycopg import sql

if TYPE_CHECKING:
    from typing import LiteralString

_PART = r'(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")'
_BARE = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_NAME = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
#: An argument's type as format_type() spells it: never more than names, words, a length and brackets.
_TYPE = re.compile(rf"{_PART}(?:\.{_PART})?(?:\(\d+(?:,\d+)?\))?(?: [a-z]+)*(?:\[\])*\Z")
_FUNCTION = re.compile(rf"(?P<name>{_PART}\.{_PART})\((?P<types>.*)\)\Z", re.DOTALL)
_DEFAULT = re.compile(rf"(?P<owner>{_PART})/(?P<schema>\*|{_PART})/(?P<objects>tables|sequences|functions)\Z")


def quoted(part: str) -> str:
    """One part of a name, quoted if it needs to be."""
    return part if _BARE.match(part) else '"' + part.replace('"', '""') + '"'


def split_name(name: str) -> tuple[str, ...]:
    """``accounts."My Table"`` → ``("accounts", "My Table")``. Raises ``ValueError`` for anything else."""
    if not _NAME.match(name):
        raise ValueError(f"not a qualified name: {name!r}")
    return tuple(_bare(part) for part in re.findall(_PART, name))


def split_column(name: str) -> tuple[str, str]:
    """``accounts.accounts.balance`` → the table's name as written and the column's bare name."""
    parts = split_name(name)
    if len(parts) < 2:
        raise ValueError(f"not a column: {name!r}")
    return ".".join(map(quoted, parts[:-1])), parts[-1]


def identifier(name: str) -> sql.Identifier:
    """A qualified name as SQL."""
    return sql.Identifier(*split_name(name))


def function_signature(signature: str) -> sql.Composed:
    """``core.post(uuid, numeric)`` as SQL. Raises ``ValueError`` unless each argument is a plain type name."""
    match = _FUNCTION.match(signature)
    if not match:
        raise ValueError(f"not a function signature: {signature!r}")
    types = [sql.SQL(_checked_type(text.strip())) for text in _split_types(match["types"])]
    return sql.SQL("{}({})").format(identifier(match["name"]), sql.SQL(", ").join(types))


def split_default(name: str) -> tuple[str, str | None, str]:
    """``owner/schema/tables`` → owner, schema (``None`` for ``*``), kind of objects."""
    match = _DEFAULT.match(name)
    if not match:
        raise ValueError(f"not a default privilege: {name!r}")
    schema = None if match["schema"] == "*" else _bare(match["schema"])
    return _bare(match["owner"]), schema, match["objects"]


def _bare(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _split_types(text: str) -> list[str]:
    """At commas outside quotes and brackets."""
    return re.findall(r'(?:"(?:[^"]|"")*"|\([^)]*\)|[^,"(])+', text) if text.strip() else []


def _checked_type(text: str) -> LiteralString:
    if not _TYPE.match(text):
        raise ValueError(f"not a type name: {text!r}")
    return cast("LiteralString", text)
