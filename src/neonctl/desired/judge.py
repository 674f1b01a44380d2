"""Rules that look across fields and files: pure, from parsed files to located problems.

Each rule lives with its subject (``judge_platform``, ``judge_environments``, ``judge_compute``); here they are run
and their findings get a line. A finding about something whose shape is already reported is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neonctl.desired.judge_compute import compute_findings
from neonctl.desired.judge_environments import environment_findings
from neonctl.desired.judge_platform import platform_findings
from neonctl.desired.judge_preview import preview_findings
from neonctl.desired.model import EnvironmentSpec, PlatformSpec
from neonctl.desired.parse import Parsed
from neonctl.desired.problem import Problem, dotted
from neonctl.desired.subject import PLATFORM, PREVIEW, Finding, Subject
from neonctl.frozen import frozen


@frozen
class Files:
    """All files after parsing. ``environments`` by file name; ``preview`` apart."""

    platform: Parsed[PlatformSpec]
    environments: Mapping[str, Parsed[EnvironmentSpec]]
    preview: Parsed[EnvironmentSpec] | None = None


def judge(files: Files) -> list[Problem]:
    """Every broken rule, at its line."""
    subject = Subject(
        platform=files.platform.model,
        environments={name: parsed.model for name, parsed in files.environments.items() if parsed.model},
        preview=files.preview.model if files.preview else None,
        names=frozenset(files.environments),
    )
    parsed_files: dict[str, Parsed[PlatformSpec] | Parsed[EnvironmentSpec]] = dict(files.environments)
    parsed_files[PLATFORM] = files.platform
    if files.preview:
        parsed_files[PREVIEW] = files.preview
    return list(_located(_findings(subject), parsed_files))


def _findings(subject: Subject) -> Iterable[Finding]:
    yield from platform_findings(subject)
    yield from environment_findings(subject)
    yield from compute_findings(subject)
    yield from preview_findings(subject)


def _located(
    findings: Iterable[Finding], files: Mapping[str, Parsed[PlatformSpec] | Parsed[EnvironmentSpec]]
) -> Iterable[Problem]:
    for finding in findings:
        parsed = files[finding.subject]
        read = ((finding.subject, finding.path), *finding.rests_on)
        if any(files[subject].touches_broken(path) for subject, path in read):
            continue
        document = parsed.document
        yield Problem(document.file, document.line(finding.path), dotted(finding.path), finding.message, finding.code)
