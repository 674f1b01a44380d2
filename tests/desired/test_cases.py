"""Each file of ``cases/`` is a mistake: edits of a sound configuration, and every problem that must be reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def test_the_base_is_sound(problems: Callable[[list[Any]], list[str]]) -> None:
    assert problems([]) == []


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_problem_is_reported_at_its_line(case: Path, problems: Callable[[list[Any]], list[str]]) -> None:
    told = yaml.safe_load(case.read_text(encoding="utf-8"))
    assert problems(told["edits"]) == told["problems"]
