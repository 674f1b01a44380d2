"""One migration file against all rules that a parser can see."""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from neonctl.migrations.lint.declarations import words_of
from neonctl.migrations.lint.finding import Finding
from neonctl.migrations.lint.fragment import Fragment, Script
from neonctl.migrations.lint.markers import Markers, idle, marker_findings, read_markers
from neonctl.migrations.lint.rules import (
    EMPTY,
    NON_TRANSACTIONAL_FILE,
    NOT_IN_TRANSACTION,
    OWN_RECORD,
    PLACEHOLDER,
    UNBOUNDED_WRITE,
)
from neonctl.migrations.lint.statements import parsed, read_statements
from neonctl.migrations.lint.transactional import needs_no_transaction
from neonctl.migrations.lint.writes import Write, nodes

_RECORDS = re.compile(r"\b(?:flyway_schema_history|neonctl_evidence(?:_append|_refuse)?)\b", re.IGNORECASE)
_ESCAPED = re.compile(r'u&"', re.IGNORECASE)


def script_findings(script: Script) -> tuple[Finding, ...]:
    """Everything to be said about one file, in the order of its lines."""
    fragment = Fragment(script.path, script.sql, whole=True)
    return tuple(sorted(set(_findings(fragment, script.kind))))


def _findings(fragment: Fragment, kind: str) -> Iterator[Finding]:
    if "${" in fragment.sql:
        where = fragment.sql.index("${")
        yield fragment.finding(PLACEHOLDER, "${ is a placeholder to Flyway", where)
    yield from _own_record(fragment)
    yield from marker_findings(fragment, kind)
    statements = parsed(fragment)
    if isinstance(statements, Finding):
        yield statements
        return
    yield from _own_record_escaped(fragment, statements)
    markers = read_markers(fragment)
    if not statements and markers.transactional:
        yield fragment.at_line(EMPTY, "the file does nothing", 1)
    if not markers.transactional and kind != "R":
        yield from _alone(fragment, statements)
    found = read_statements(fragment, statements, "file")
    yield from _unmarked(fragment, found, markers, marked_file=not markers.transactional and kind != "R")


def _own_record(fragment: Fragment) -> Iterator[Finding]:
    """The tables in which migrations are recorded, wherever they are named outside of comments, EXECUTE included."""
    if not _RECORDS.search(fragment.sql):
        return
    for start, word in words_of(fragment.sql):
        for name in _RECORDS.finditer(word):
            yield fragment.finding(
                OWN_RECORD, f"{name[0].lower()} is the record of migrations, not theirs to touch", start + name.start()
            )


def _own_record_escaped(fragment: Fragment, statements: Any) -> Iterator[Finding]:
    """The same tables, named with escapes, which only the parser resolves: U&"flyway\\005f…"."""
    if not _ESCAPED.search(fragment.sql):
        return
    for statement in statements:
        for node in nodes(statement.stmt):
            kind = node.DESCRIPTOR.name
            name = node.relname if kind == "RangeVar" else node.sval if kind == "String" else ""
            if _RECORDS.fullmatch(name):
                message = f"{name.lower()} is the record of migrations, not theirs to touch"
                yield fragment.finding(OWN_RECORD, message, fragment.offset(statement.stmt_location))


def _unmarked(
    fragment: Fragment, found: Iterable[Finding | Write], markers: Markers, *, marked_file: bool
) -> Iterator[Finding]:
    """The findings that stay when the file's marks are taken into account."""
    used: set[int] = set()
    for each in found:
        if isinstance(each, Write):
            marks = [mark for mark in map(markers.mark_above, each.lines) if mark is not None]
            used.update(marks)
            if not marks:
                yield each.fragment.finding(UNBOUNDED_WRITE, each.message, each.offset)
        elif not (marked_file and each.rule == NOT_IN_TRANSACTION.name):
            yield each
    yield from idle(fragment, markers, used)


def _alone(fragment: Fragment, statements: Any) -> Iterator[Finding]:
    """A file marked non-transactional: one statement, of the kind that the mark is for."""
    if not statements:
        yield fragment.at_line(NON_TRANSACTIONAL_FILE, "the file is marked non-transactional and has no statement", 1)
    for statement in statements[:1]:
        if needs_no_transaction(statement.stmt) is None:
            yield fragment.finding(
                NON_TRANSACTIONAL_FILE,
                "this statement can run in a transaction, so the file needs no mark",
                fragment.offset(statement.stmt_location),
            )
    for statement in statements[1:2]:
        yield fragment.finding(
            NON_TRANSACTIONAL_FILE,
            f"a file marked non-transactional has one statement; this is the second of {len(statements)}",
            fragment.offset(statement.stmt_location),
        )
