"""The plan's limits. Generous by default; lowered on request to rehearse a smaller plan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from neonctl.local.api.failures import bad_request

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """How many of each a project (roles: a branch) may hold."""

    branches: int = 500
    protected_branches: int = 5
    root_branches: int = 10
    roles: int = 500


class LimitsFile:
    """The limits in force, kept in a small JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.current = Limits(**json.loads(path.read_text())) if path.exists() else Limits()

    def replace(self, wanted: dict[str, object]) -> Limits:
        """Set the limits that are named, the others to their defaults."""
        known = {item.name for item in fields(Limits)}
        if set(wanted) - known or any(type(value) is not int or value < 0 for value in wanted.values()):
            raise bad_request(f"limits are whole numbers named {', '.join(sorted(known))}")
        numbers = {name: value for name, value in wanted.items() if isinstance(value, int)}
        self.current = Limits(**numbers)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self.current)))
        part.replace(self._path)
        return self.current
