"""Findings as SARIF 2.1.0, which code hosts show beside the lines they are about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from neonctl import __version__
from neonctl.migrations.lint.rules import RULES

if TYPE_CHECKING:
    from neonctl.migrations.lint.finding import Finding
    from neonctl.migrations.lint.folder import LintResult

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SQUAWK = "https://squawkhq.com/docs/"


def sarif(result: LintResult) -> str:
    """One run of one tool. Places of files are relative to the folder it ran in, wherever they can be."""
    rules = _rules(result)
    order = {str(rule["id"]): index for index, rule in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "neonctl", "semanticVersion": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, order[each.rule]) for each in result.findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rules(result: LintResult) -> list[dict[str, object]]:
    """The rules that found something, described by their first finding."""
    summaries = {rule.name: rule.summary for rule in RULES}
    first: dict[str, Finding] = {}
    for each in result.findings:
        first.setdefault(each.rule, each)
    return [
        {
            "id": name,
            "shortDescription": {"text": summaries.get(name) or name.rpartition("/")[2].replace("-", " ")},
            "help": {"text": each.help or each.message},
            "defaultConfiguration": {"level": each.severity},
            **({"helpUri": _SQUAWK + name.removeprefix("squawk/")} if name.startswith("squawk/") else {}),
        }
        for name, each in sorted(first.items())
    ]


def _result(finding: Finding, index: int) -> dict[str, object]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(Path(finding.file)),
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }


def _artifact(path: Path) -> dict[str, str]:
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}
