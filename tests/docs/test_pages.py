"""What the pages say can be done: their commands parse, their links lead somewhere, the tests they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import ROOT, calls, pages, shell, workflows

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)

CALLS = [call for page in pages() for call in calls(page.name, shell(page))]
CALLS += [call for flow in workflows() for call in calls(flow.name, flow.read_text(encoding="utf-8"))]


def test_there_are_commands_to_look_at():
    assert len(CALLS) > 40
    assert {call.page for call in CALLS} >= {
        "README.md",
        "quickstart.md",
        "local-platform.md",
        "apply.yml",
        "nightly.yml",
        "preview.yml",
    }


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_command_on_a_page_can_be_given(call, generator):
    commands = generator.commands()
    words = next((n for n in (3, 2) if " ".join(call.arguments[:n]) in commands), 1)
    name = " ".join(call.arguments[:words])
    if name in {"--version", "--help", "--install-completion"}:
        return
    assert name in commands, f"there is no command {name}"
    # Parsed as the program does, values included, and not run.
    given = ["42" if each == "$NUMBER" else each for each in call.arguments[words:]]
    commands[name].make_context(name, given)


def test_the_readme_names_every_command(generator):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in generator.commands()
        if f"neonctl {name}" not in text and f"`{name.rsplit(' ', 1)[-1]}`" not in text
    ]
    assert missing == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.is_file(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page.name} links to {target}"


def _anchors(file: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = _FENCE.sub("", file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)}


def test_every_page_can_be_reached_from_the_readme():
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            file = (page.parent / target.partition("#")[0]).resolve()
            if file.suffix == ".md" and file.is_file():
                ahead.append(file)
    assert sorted(page.name for page in pages() if page not in seen) == []


def test_promises_name_tests_that_exist():
    named = [found for page in pages() for found in _TEST.findall(page.read_text(encoding="utf-8"))]
    assert len(named) > 10
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert not test or re.search(rf"^def {test}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), test


def test_the_roles_that_the_guide_asks_for_are_those_that_are_used():
    guide = (ROOT / "docs" / "guides" / "neon-and-aws.md").read_text(encoding="utf-8")
    action = re.compile(r"\b((?:secretsmanager|ssm):[A-Z]\w+)")
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/neonctl/vault").glob("*.py"))
    used = set(action.findall(source))
    assert set(action.findall(guide)) == used
