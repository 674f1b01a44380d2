"""SQL files with named queries: each begins with a line ``-- name --``."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import LiteralString

_HEADER = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)


@cache
def query(file: str, name: str, room: str = "postgres") -> LiteralString:
    """The text of one query of a room's ``queries/{file}.sql``. Raises ``KeyError`` if there is none of that name."""
    text = (resources.files(f"neonctl.{room}") / "queries" / f"{file}.sql").read_text(encoding="utf-8")
    parts = _HEADER.split(text)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return cast("LiteralString", found[name].strip())  # part of this package, as literal as if written here
