"""One thing that is wrong in the configuration, and where."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

NodePath = tuple[str | int, ...]
ProblemCode = Literal["INVALID", "RESIDENCY", "DATA_FLOWS_DOWN", "CAPACITY", "PLAN_LIMIT"]

_NAME = re.compile(r"[A-Za-z0-9_.:/{}\[\]-]{1,64}")
_KEY_MATERIAL = re.compile(r"(?i)(napi|npg)_|AKIA|ASIA")


class Problem(NamedTuple):
    """``file:line: path: message``. ``line`` counts from 1; ``path`` is dotted (``branch.source``)."""

    file: str
    line: int
    path: str
    message: str
    code: ProblemCode = "INVALID"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"

    def as_details(self) -> dict[str, object]:
        """The JSON-safe form that stands in ``ConfigError.details["problems"]``."""
        return {
            "file": self.file,
            "line": self.line,
            "path": self.path,
            "message": self.message,
            "code": self.code,
        }


def shown(text: object) -> str:
    """A name as it may be printed: anything that is not plainly a name stays hidden.

    Keys and names in a broken file may be a misplaced credential or hold terminal control characters.
    """
    name = str(text)
    if _NAME.fullmatch(name) and not _KEY_MATERIAL.match(name):
        return name
    return "(not shown)"


def dotted(path: NodePath) -> str:
    """``("databases", "bank_core", "schemas", 0)`` → ``databases.bank_core.schemas.0``."""
    return ".".join(shown(part) for part in path)
