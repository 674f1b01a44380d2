"""The reference says what the code says: generated pages are current, every error code is explained with its exit."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import neonctl
from neonctl import errors

from .conftest import ROOT

REFERENCE = ROOT / "docs" / "reference"
SOURCE = Path(neonctl.__file__).parent
_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| (\d+) \| (.+) \|$", re.MULTILINE)


@pytest.mark.parametrize("name", ["commands.md", "configuration.md", "lint.md"])
def test_a_generated_page_is_current(name, generator):
    current = (REFERENCE / name).read_text(encoding="utf-8")
    assert current == generator.pages()[name], "run: uv run python docs/reference/generate.py"


def _raised() -> dict[str, set[str]]:
    """Error code → names of the classes it is raised with, wherever the code stands in the call itself."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            code = node.args[0].value
            told = name.endswith("Error") or name in {"Refusal", "_Wording"}
            if told and isinstance(code, str) and _CODE.fullmatch(code):
                found.setdefault(code, set()).add(name)
    return found


_WITH_ERRORS = (
    "neon.failures",
    "vault.failures",
    "migrations.check",
    "migrations.scripts",
    "migrations.files",
    "migrations.proof",
    "pipelines.gate",
)


def _exit_codes() -> dict[str, int]:
    """Class name → exit code, for all classes of errors wherever they are defined."""
    for module in _WITH_ERRORS:
        importlib.import_module(f"neonctl.{module}")
    classes = [errors.NeonctlError]
    for each in classes:
        classes += each.__subclasses__()
    return {each.__name__: each.exit_code for each in classes} | {"Refusal": 3, "_Wording": 5}


def _documented() -> dict[str, int]:
    return {code: int(exit_code) for code, exit_code, _ in _ROW.findall((REFERENCE / "errors.md").read_text("utf-8"))}


def test_every_error_code_is_explained():
    assert sorted(_raised().keys() - _documented().keys()) == [], "explain these in docs/reference/errors.md"


def test_an_error_ends_with_the_exit_code_that_is_documented():
    exits, documented = _exit_codes(), _documented()
    wrong = {
        code: (sorted(names), documented[code])
        for code, names in _raised().items()
        if code != "INTERRUPTED"  # the terminal's own, whatever was interrupted
        and code in documented
        and {exits[name] for name in names} != {documented[code]}
    }
    assert wrong == {}


def test_no_code_is_explained_that_does_not_exist():
    constants = {
        node.value
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert sorted(_documented().keys() - constants) == []


def test_readme_and_reference_give_the_same_exit_codes():
    row = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)
    readme = dict(row.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    reference = dict(row.findall((REFERENCE / "errors.md").read_text(encoding="utf-8")))
    assert readme == reference
    assert {str(code) for code in _exit_codes().values()} <= readme.keys()
