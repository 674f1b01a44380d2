"""Findings as JUnit XML, which CI systems show as tests: each file is one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from neonctl.migrations.lint.finding import Finding
    from neonctl.migrations.lint.folder import LintResult

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: LintResult, *, strict: bool) -> str:
    """A test for each file that was read or found fault with; it fails on errors, if ``strict`` on warnings, too."""
    failing = ("error", "warning") if strict else ("error",)
    files = sorted({*result.files, *(each.file for each in result.findings)})
    by_file = {file: [each for each in result.findings if each.file == file] for file in files}
    failures = sum(1 for found in by_file.values() if any(each.severity in failing for each in found))
    counts = {"tests": str(len(files)), "failures": str(failures), "errors": "0"}
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": "neonctl migrate lint", **counts, "skipped": "0"})
    for file, found in by_file.items():
        path = Path(file)
        case = ET.SubElement(suite, "testcase", {"classname": _text(str(path.parent)), "name": _text(path.name)})
        bad = [each for each in found if each.severity in failing]
        if bad:
            told = {"type": bad[0].rule, "message": _text(bad[0].message)}
            ET.SubElement(case, "failure", told).text = _lines(bad)
        said = [each for each in found if each.severity not in failing]
        if said:
            ET.SubElement(case, "system-out").text = _lines(said)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _lines(findings: Sequence[Finding]) -> str:
    return _text(
        "\n".join(
            f"{each.file}:{each.line}:{each.column}: {each.severity}: {each.message} [{each.rule}]" for each in findings
        )
    )


def _text(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
