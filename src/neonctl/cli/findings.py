"""Findings in files, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from neonctl.cli.failure import SCHEMA_VERSION

if TYPE_CHECKING:
    from neonctl.migrations.lint.folder import LintResult


def findings_text(result: LintResult) -> str:
    """One line a finding, as compilers write them; what to do stands once below the first of each rule."""
    return "\n".join([*_lines(result), summary(result)])


def summary(result: LintResult) -> str:
    """The last line: how much was read, and what was found."""
    found = [_counted(number, severity) for severity, number in result.summary.items() if number]
    return f"{_counted(len(result.files), 'file')}: {', '.join(found) or 'nothing to say'}"


def findings_document(result: LintResult) -> dict[str, object]:
    """The findings as a script reads them."""
    return {
        "files": len(result.files),
        "findings": [asdict(each) for each in result.findings],
        "summary": dict(result.summary),
    }


def findings_json(result: LintResult) -> str:
    """The same document as text."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **findings_document(result)}, ensure_ascii=False)


def _lines(result: LintResult) -> Iterator[str]:
    helped: set[str] = set()
    for each in result.findings:
        yield f"{each.file}:{each.line}:{each.column}: {each.severity}: {each.message} [{each.rule}]"
        if each.help and each.rule not in helped:
            helped.add(each.rule)
            yield f"    {each.help}"
    if helped or result.findings:
        yield ""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
