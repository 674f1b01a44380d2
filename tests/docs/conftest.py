"""The documentation as files, and the commands in it."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_SHELL = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"(?:^|[\s(/])neonctl +(?!COMMAND)([^\n]*)", re.MULTILINE)
_ASSIGNED = re.compile(r"^(\w+)=\$\((.*?) \| jq -r \.(\w+)\)$")
_END = re.compile(r"[)|;<>`]|&&| 2>|(?<=\s)#")


@dataclass(frozen=True)
class Call:
    """One call of neonctl as a page gives it: ``arguments`` as the shell would hand them over."""

    page: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: neonctl {' '.join(self.arguments)}"


def pages() -> list[Path]:
    """Every Markdown page."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def follow(page: Path, run: Callable[..., Any]) -> dict[str, str]:
    """Give every command of a page to ``run``, in order, as a reader does; the values that it puts into variables."""
    known: dict[str, str] = {}
    for line in filter(None, shell(page).splitlines()):
        assigned = _ASSIGNED.match(line)
        text = assigned[2] if assigned else line
        for name, value in known.items():
            text = text.replace(f'"${name}"', value)
        program, *arguments = shlex.split(text)
        assert program == "neonctl", line
        result = run(*arguments)
        assert result.code == 0, (line, result.stdout, result.stderr)
        if assigned:
            known[assigned[1]] = result.json[assigned[3]]
    return known


def workflows() -> list[Path]:
    """Every workflow."""
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def shell(page: Path) -> str:
    """All shell blocks of a page, lines that go on joined."""
    blocks = [block for _, block in _SHELL.findall(page.read_text(encoding="utf-8"))]
    return "\n".join(blocks).replace("\\\n", " ")


def calls(name: str, text: str) -> list[Call]:
    """The calls of neonctl in shell text. What follows a pipe, a bracket or a comment sign is not theirs."""
    return [Call(name, tuple(shlex.split(_unquoted_start(rest)))) for rest in _CALL.findall(text)]


def _unquoted_start(text: str) -> str:
    """``text`` up to the first shell sign that stands outside of quotes."""
    plain = re.sub(r"'[^']*'", lambda found: "x" * len(found[0]), text)
    plain = re.sub(r'"\$\w+"', lambda found: "x" * len(found[0]), plain)
    end = _END.search(plain)
    return text[: end.start()] if end else text


@pytest.fixture(scope="session")
def generator() -> Any:
    """``docs/reference/generate.py`` as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "reference" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
