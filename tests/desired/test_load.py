"""``load`` as callers meet it: the error's form, lines inside the files, no value of a file in any message."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neonctl.desired.document import read
from neonctl.desired.load import load
from neonctl.errors import ConfigError

BASE = Path(__file__).parent / "base"
FILES = sorted(path.relative_to(BASE).as_posix() for path in BASE.rglob("*.yaml"))
CANARY = "c4nary-Zu+geheim/42"


def found_in(config: Path) -> list[dict[str, object]]:
    """The problems of a configuration; empty when it is sound."""
    told: ConfigError | None = None
    try:
        load(config)
    except ConfigError as error:
        told = error
    if told is None:
        return []
    assert (told.code, told.exit_code) == ("CONFIG_INVALID", 64)
    json.dumps(told.details)  # JSON-safe
    problems = told.details["problems"]
    assert isinstance(problems, list)
    assert problems
    return problems


@contextmanager
def fresh_config() -> Iterator[Path]:
    """A copy of the base; hypothesis runs many examples inside one test, so no fixture."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(BASE, Path(folder) / "config"))


def everything_said(error: ConfigError) -> str:
    chain: list[BaseException | None] = [error, error.__cause__, error.__context__]
    return "\n".join([*map(repr, chain), *map(str, chain), str(error.hint), json.dumps(error.details)])


def test_the_error_names_the_count_and_the_directory(config: Path) -> None:
    (config / "environments" / "dev.yaml").write_text("stage: 5\n")
    with pytest.raises(ConfigError) as caught:
        load(config)
    count = len(caught.value.details["problems"])  # pyright: ignore[reportArgumentType]
    assert count == 4  # stage is no text; branch, compute and aws are missing
    assert caught.value.message == f"{count} problems in {config.as_posix()}/"
    assert caught.value.details["problems"][0] == {  # pyright: ignore[reportIndexIssue]
        "file": f"{config.as_posix()}/environments/dev.yaml",
        "line": 1,
        "path": "aws",
        "message": "`aws` is missing",
        "code": "INVALID",
    }


def test_rules_have_codes(config: Path) -> None:
    platform, uat = config / "platform.yaml", config / "environments" / "uat.yaml"
    platform.write_text(platform.read_text().replace("region: aws-ap", "region: aws-eu"))
    uat.write_text(uat.read_text().replace("schema-only", "parent-data").replace("pool_size: 50", "pool_size: 5000"))
    assert {problem["code"] for problem in found_in(config)} == {"RESIDENCY", "DATA_FLOWS_DOWN", "CAPACITY"}


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 problems") as caught:
        load(tmp_path / "nowhere")
    assert "--config DIR" in str(caught.value.hint)


def test_what_is_not_text_or_not_a_file(config: Path) -> None:
    (config / "environments" / "dev.yaml").write_bytes(b"stage: dev\nbranch: \xff\xfe\n")
    (config / "environments" / "uat.yaml").unlink()
    (config / "environments" / "uat.yaml").mkdir()
    told = {(Path(str(p["file"])).name, p["line"], p["message"]) for p in found_in(config)}
    assert ("dev.yaml", 2, "the file is not UTF-8 text") in told
    assert ("uat.yaml", 1, "the file cannot be read: Is a directory") in told


@pytest.mark.parametrize("place", FILES)
@pytest.mark.parametrize(
    "line",
    [
        "password: {canary}",
        "project: {canary}",
        "stage: [{canary}]",
        "kind: {canary}",
        "cdc: {canary}",
        "{canary}: 1",
        "neon: {{api_key: {canary}}}",
        "aws: *{canary}",
        "aws: !{canary} x",
        "aws: &{canary} x\nbranch: &{canary} y",
        'aws: "{canary}',
        "'{canary}': {{a: b: c}}",
        "aws: {{account_id: {canary}, region: {canary}, role_arn: {canary}}}",
        "neon: {{api_key_secret: napi_{canary}}}",
        "audit: {{sink: {canary}}}",
    ],
)
def test_no_value_of_the_file_is_printed(config: Path, place: str, line: str) -> None:
    plain = "c4narygeheim42"  # as a key it would be named: an unknown key has to be
    file, before = config / place, (config / place).read_text()
    for canary in (CANARY,) if line.startswith(("{canary}", "'{canary}")) else (CANARY, plain):
        file.write_text(before + line.format(canary=canary) + "\n")
        with pytest.raises(ConfigError) as caught:
            load(config)
        assert canary not in everything_said(caught.value)


def test_misplaced_neon_key_as_a_key_is_not_printed(config: Path) -> None:
    file = config / "platform.yaml"
    file.write_text(file.read_text() + "napi_abcdefgh1234: x\n")
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert "napi_" not in everything_said(caught.value)


YAML_PIECES = [*"\n:[]{}|'\"#&*\r\t\0\ufeff\u2028\x85", "", " ", "  ", "- ", ": ", "&a ", "*a", "!!int ", "null", "yes"]
VALUE_PIECES = ["1e9", "-1", "0.25", "prod", "dev", "schema-only", "parent-data"]
pieces = st.sampled_from([*YAML_PIECES, *VALUE_PIECES])


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, str]:
    """A file of the base with up to four pieces of it replaced, dropped or moved."""
    name = draw(st.sampled_from(FILES))
    text = (BASE / name).read_text(encoding="utf-8")
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(pieces) + text[end:]
    return name, text


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
def test_lines_are_inside_the_file_however_it_is_broken(mutation: tuple[str, str]) -> None:
    name, text = mutation
    with fresh_config() as config:
        (config / name).write_text(text, encoding="utf-8", newline="")
        lengths = {(config / file).as_posix(): len((config / file).read_bytes().splitlines()) for file in FILES}
        for problem in found_in(config):
            line = problem["line"]
            assert isinstance(line, int)
            assert 1 <= line <= max(1, lengths[str(problem["file"])])


yaml_texts = st.recursive(
    st.sampled_from(["a", "1", "~", "true", "'x'", "2001-01-01", "0x1F", "1:30", ".nan", "*a", "!x y", "''"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(["stage", "aws", "1", "? [x]", "<<", "branch"]), inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(st.one_of(yaml_texts, st.text(max_size=60), st.binary(max_size=60)))
def test_any_text_is_read_without_a_traceback(text: str | bytes) -> None:
    document = read(text, "any.yaml")
    assert document.problems or document.broken == frozenset()
    length = len(text.splitlines())
    assert all(1 <= problem.line <= max(1, length) for problem in document.problems)


def test_aliases_cannot_multiply_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    document = read("\n".join(lines), "bomb.yaml")
    assert [problem.message for problem in document.problems] == ["the file is too large, or its aliases multiply"]


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_nesting_cannot_exhaust_the_stack(text: str) -> None:
    document = read(text, "deep.yaml")
    assert len(document.problems) == 1
    assert document.problems[0].line == 1
