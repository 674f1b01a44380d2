"""Marks in comments: ``-- neonctl: non-transactional``, ``-- neonctl: all-rows``, ``-- neonctl: loses-data REASON``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from neonctl.migrations.lint.finding import Finding
from neonctl.migrations.lint.fragment import Fragment
from neonctl.migrations.lint.rules import IDLE_MARKER, MARKER

NON_TRANSACTIONAL = "non-transactional"
ALL_ROWS = "all-rows"
LOSES_DATA = "loses-data"

_MARK = re.compile(r"(?P<alone>(?:^|(?<=[\r\n]))[ \t]*)?--[ \t]*neonctl:[ \t]*(?P<name>\S*)[ \t]*(?P<rest>[^\r\n]*)")
_LEADING = re.compile(r"(?:\s|--[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_COMMENT = re.compile(r"[ \t]*--")


@dataclass(frozen=True)
class Markers:
    """The marks of one file."""

    transactional: bool
    all_rows: frozenset[int]  # lines of the marks
    comments: frozenset[int]  # lines that hold nothing but a comment

    def mark_above(self, line: int) -> int | None:
        """The line of the mark that says "all rows" directly above ``line``, comment lines between allowed."""
        above = line - 1
        while above in self.comments:
            if above in self.all_rows:
                return above
            above -= 1
        return None


def read_markers(script: Fragment) -> Markers:
    """The marks that take effect."""
    leading = _leading(script.sql)
    found = list(_MARK.finditer(script.sql))
    return Markers(
        transactional=not any(
            mark["name"] == NON_TRANSACTIONAL and _problem(mark, "V", in_leading=mark.end() <= leading) is None
            for mark in found
        ),
        all_rows=frozenset(
            script.line(mark.end()) for mark in found if mark["name"] == ALL_ROWS and mark["alone"] is not None
        ),
        comments=frozenset(_comment_lines(script)) if found else frozenset(),
    )


def loses_data(sql: str) -> str | None:
    """The reason that a file gives for not bringing back rows or values, or None."""
    leading = _leading(sql)
    for mark in _MARK.finditer(sql):
        if mark["name"] == LOSES_DATA and mark.end() <= leading and mark["alone"] is not None:
            return mark["rest"].strip() or None
    return None


def marker_findings(script: Fragment, kind: str) -> Iterator[Finding]:
    """Marks that nobody understands, or that stand where they do nothing. ``kind`` is V, U or R."""
    leading = _leading(script.sql)
    for mark in _MARK.finditer(script.sql):
        problem = _problem(mark, kind, in_leading=mark.end() <= leading)
        if problem:
            yield script.finding(MARKER, problem, mark.start() + len(mark["alone"] or ""))


def idle(script: Fragment, markers: Markers, used: set[int]) -> Iterator[Finding]:
    """Marks that say "all rows" of nothing."""
    for line in sorted(markers.all_rows - used):
        yield script.at_line(IDLE_MARKER, "no UPDATE or DELETE without WHERE stands directly below this mark", line)


def _problem(mark: re.Match[str], kind: str, *, in_leading: bool) -> str | None:
    name = mark["name"]
    if mark["alone"] is None:
        return "a mark behind something else on its line has no effect"
    if name == ALL_ROWS:
        return None
    if name not in (NON_TRANSACTIONAL, LOSES_DATA):
        return f"there is no mark `{name}`"
    if not in_leading:
        return f"`{name}` concerns the whole file: below the first statement it has no effect"
    if name == NON_TRANSACTIONAL and mark["rest"].strip():
        return "`non-transactional` stands alone: with words behind it, it has no effect"
    if name == LOSES_DATA and not mark["rest"].strip():
        return "`loses-data` needs a reason"
    if name == NON_TRANSACTIONAL and kind == "R":
        return "a repeatable migration runs in a transaction"
    return None


def _leading(sql: str) -> int:
    """Where what comes before the first statement ends."""
    match = _LEADING.match(sql)
    return match.end() if match else 0


def _comment_lines(script: Fragment) -> Iterator[int]:
    for number, line in enumerate(re.split(r"\r\n|\r|\n", script.sql), start=script.first_line):
        if _COMMENT.match(line):
            yield number
