"""A small sound configuration, and edits of it: what the cases start from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from neonctl.desired.load import load
from neonctl.errors import ConfigError

HERE = Path(__file__).parent
Edit = Mapping[str, str | bool]


def apply_edit(config: Path, edit: Edit) -> None:
    """One edit: ``old`` (which stands exactly once) → ``new``, or the whole ``text``, or ``delete: true``."""
    file = config / str(edit["file"])
    if edit.get("delete"):
        file.unlink()
    elif "text" in edit:
        file.write_text(str(edit["text"]), encoding="utf-8")
    else:
        before = file.read_text(encoding="utf-8")
        assert before.count(str(edit["old"])) == 1, f"{edit['old']!r} must stand exactly once in {edit['file']}"
        file.write_text(before.replace(str(edit["old"]), str(edit["new"])), encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of ``base/`` that may be edited."""
    return Path(shutil.copytree(HERE / "base", tmp_path / "config"))


@pytest.fixture
def problems(config: Path) -> Callable[[Iterable[Edit]], list[str]]:
    """Edits → the problems that ``load`` reports, as ``file:line: path: message`` relative to the configuration."""

    def run(edits: Iterable[Edit]) -> list[str]:
        for edit in edits:
            apply_edit(config, edit)
        try:
            load(config)
        except ConfigError as error:
            return lines_of(error, config)
        return []

    return run


def lines_of(error: ConfigError, config: Path) -> list[str]:
    """The problems of an error in their printed form."""
    found = error.details["problems"]
    assert isinstance(found, list)
    lines: list[str] = []
    for problem in found:
        where = str(problem["file"]).removeprefix(f"{config.as_posix()}/")
        path = f"{problem['path']}: " if problem["path"] else ""
        lines.append(f"{where}:{problem['line']}: {path}{problem['message']}")
    return lines
