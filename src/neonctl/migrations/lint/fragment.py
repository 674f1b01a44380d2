"""A piece of SQL and where it stands in its file: a whole script, or the body of a function inside it."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

from neonctl.migrations.lint.finding import Finding, Rule

_LINE_END = re.compile(r"\r\n|\r|\n")  # as in a checksum


@dataclass(frozen=True)
class Script:
    """A migration file's text, without its byte order mark."""

    path: Path
    sql: str = field(repr=False)

    @property
    def kind(self) -> str:
        """V, U or R."""
        return self.path.name[:1]


@dataclass(frozen=True)
class Fragment:
    """SQL that begins in ``first_line`` of a file. Columns are known in the file's own text only (``whole``)."""

    path: Path
    sql: str = field(repr=False)
    first_line: int = 1
    whole: bool = False

    @cached_property
    def data(self) -> bytes:
        """The text as the parser counts it: in bytes."""
        return self.sql.encode("utf-8")

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end.end() for end in _LINE_END.finditer(self.sql))]

    @cached_property
    def _byte_starts(self) -> list[int]:
        """Where lines start, in bytes: a file of a megabyte must not be decoded for each of its statements."""
        lengths = (len(self.sql[a:b].encode("utf-8")) for a, b in pairwise(self._starts))
        return list(accumulate(lengths, initial=0))

    def offset(self, byte: int) -> int:
        """A place that the parser gave in bytes, in characters."""
        if len(self.data) == len(self.sql):
            return byte
        line = bisect_right(self._byte_starts, byte) - 1
        return self._starts[line] + len(self.data[self._byte_starts[line] : byte].decode("utf-8", "ignore"))

    def line(self, offset: int) -> int:
        """The line of the file in which the character ``offset`` of this fragment stands."""
        return self.first_line + bisect_right(self._starts, offset) - 1

    def finding(self, rule: Rule, message: str, offset: int) -> Finding:
        """What ``rule`` says about the character at ``offset``."""
        line = bisect_right(self._starts, offset) - 1
        column = offset - self._starts[line] + 1 if self.whole else 1
        return self.at_line(rule, message, self.first_line + line, column)

    def at_line(self, rule: Rule, message: str, line: int, column: int = 1) -> Finding:
        """What ``rule`` says about a line of the file."""
        return Finding(str(self.path), line, column, rule.name, rule.severity, message, rule.help)

    def inner(self, sql: str, line: int) -> Fragment:
        """SQL inside this SQL, beginning in ``line`` of the file."""
        return Fragment(self.path, sql, line)
