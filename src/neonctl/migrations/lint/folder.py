"""A folder of migrations against everything that can be said without a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from neonctl.migrations.files import MigrationFilesError, read_migrations
from neonctl.migrations.lint.finding import SEVERITIES, Finding, Severity
from neonctl.migrations.lint.fragment import Fragment, Script
from neonctl.migrations.lint.markers import read_markers
from neonctl.migrations.lint.rules import FILE_NAMES, PSQL_COMMAND, SYNTAX
from neonctl.migrations.lint.script import script_findings
from neonctl.migrations.lint.squawk import squawk_findings
from neonctl.migrations.lint.twins import twin_findings

_UNREADABLE = (SYNTAX.name, PSQL_COMMAND.name)


@dataclass(frozen=True)
class LintResult:
    """What was read, and what there is to say, by file and line."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(1 for each in self.findings if each.severity == severity)

    @property
    def summary(self) -> Mapping[Severity, int]:
        """Findings by severity."""
        return {severity: self.count(severity) for severity in SEVERITIES}

    def seen_from(self, folder: Path) -> LintResult:
        """The same with the paths of files relative to ``folder``, where they are below it."""
        return LintResult(
            tuple(_seen(file, folder) for file in self.files),
            tuple(replace(each, file=_seen(each.file, folder)) for each in self.findings),
        )


def _seen(file: str, folder: Path) -> str:
    return str(Path(file).relative_to(folder)) if Path(file).is_relative_to(folder) else file


def lint_folders(folders: Mapping[str, Path], *, squawk_config: Path | None) -> LintResult:
    """Lint the migrations of several databases: ``folders`` by database, each a ``migrations`` folder.

    Names and twins, what the parser sees, and squawk. Raises ``NeonctlError`` when squawk does not work.
    """
    scripts: list[Script] = []
    findings: list[Finding] = []
    for folder in folders.values():
        own = list(_scripts(folder))
        scripts += own
        findings += _names(folder)
        findings += _twins(own)
    for script in scripts:
        findings += script_findings(script)
    findings += _squawk(scripts, squawk_config, {each.file for each in findings if each.rule in _UNREADABLE})
    return LintResult(tuple(str(script.path) for script in scripts), tuple(sorted(set(findings))))


def _scripts(folder: Path) -> Iterator[Script]:
    """The SQL files of a folder that are text. What is misnamed is read as well: its content counts once it is not."""
    for path in sorted(folder.glob("*.sql")):
        try:
            text = path.read_bytes().decode("utf-8")
        except (UnicodeDecodeError, OSError):
            continue  # said with the names
        if "\0" not in text:
            yield Script(path, text.removeprefix("\ufeff"))


def _names(folder: Path) -> Iterator[Finding]:
    try:
        read_migrations(folder)
    except MigrationFilesError as error:
        for problem in cast("list[dict[str, str]]", error.details["problems"]):
            yield Finding(
                problem["file"], 1, 1, FILE_NAMES.name, FILE_NAMES.severity, problem["message"], FILE_NAMES.help
            )


def _twins(scripts: list[Script]) -> Iterator[Finding]:
    downs = {_version(each): each for each in scripts if each.kind == "U"}
    for up in scripts:
        down = downs.get(_version(up))
        if up.kind == "V" and down is not None:
            yield from twin_findings(up, down)


def _version(script: Script) -> str:
    return script.path.name[1:].partition("__")[0]


def _squawk(scripts: list[Script], config: Path | None, unreadable: set[str]) -> Iterator[Finding]:
    """One run for the files in a transaction, one for those that are marked."""
    readable = {str(each.path) for each in scripts} - unreadable
    for in_transaction in (True, False):
        chosen = [each for each in scripts if _transactional(each) == in_transaction]
        yield from squawk_findings(chosen, config=config, in_transaction=in_transaction, readable=readable)


def _transactional(script: Script) -> bool:
    return read_markers(Fragment(script.path, script.sql)).transactional
