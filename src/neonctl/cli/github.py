"""GitHub Actions: outputs, the summary, annotations (cli-conventions 9). Silent anywhere else.

Workflow commands go to stderr, which the runner reads as well, so that stdout stays data; ``github_log`` has the rest.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from neonctl.cli.github_log import active, data, parameter

if TYPE_CHECKING:
    from neonctl.errors import NeonctlError
    from neonctl.migrations.lint.finding import Finding
    from neonctl.pipelines.schema_diff import DatabaseDiff
    from neonctl.pipelines.schema_drift import Finding as Drift
    from neonctl.plan.ownership import PullRequest
    from neonctl.plan.plan import Plan

_SHOWN_ANNOTATIONS = 10  # GitHub shows no more of one step
_SUMMARY_BYTES = 1024 * 1024  # of one step; one byte more, and GitHub shows nothing of it
_CUT = "\n\n… cut here: the log has all of it.\n"


def report_plan(plan: Plan, project: str) -> None:
    """The plan for the steps that follow (``changes``, ``has_deletes``, ``plan_sha``) and for the job's summary."""
    if not active():
        return
    from neonctl.cli.plan_markdown import plan_markdown

    set_outputs(
        {
            "changes": str(len(plan.work)),
            "has_deletes": "true" if plan.summary["delete"] else "false",
            "plan_sha": plan.fingerprint,
        }
    )
    summarize(plan_markdown(plan, project))


def set_outputs(values: Mapping[str, str]) -> None:
    """For the steps that follow. Never a secret: the runner would withhold it anyway."""
    written: list[str] = []
    for name, value in values.items():
        end = os.urandom(16).hex()  # a value that holds the end could set outputs of its own
        written.append(f"{name}<<{end}\n{value}\n{end}\n" if re.search(r"[\r\n]", value) else f"{name}={value}\n")
    _append("GITHUB_OUTPUT", "".join(written))


def summarize(markdown: str) -> None:
    """A section of the job's summary, cut so that all of this step's fit into what GitHub takes."""
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not active() or not target or not markdown:
        return
    path = Path(target)
    room = _SUMMARY_BYTES - (path.stat().st_size if path.exists() else 0)
    text = markdown.rstrip("\n") + "\n\n"
    if len(text.encode()) > room:
        text = text.encode()[: max(room - len(_CUT.encode()), 0)].decode(errors="ignore")
        text = text.rpartition("\n")[0] + _CUT
    if len(text.encode()) <= room:
        _append("GITHUB_STEP_SUMMARY", text)


def pull_request_of(number: int, *, repository: str | None, commit: str | None) -> PullRequest:
    """The pull request as the options name it; what they leave out, the workflow's event says."""
    from neonctl.plan.ownership import PullRequest

    if active():
        repository = repository or os.environ.get("GITHUB_REPOSITORY")
        commit = commit or _head() or os.environ.get("GITHUB_SHA")
    return PullRequest(number, repository or None, commit or None)


def _head() -> str | None:
    """The newest commit of the event's pull request: ``GITHUB_SHA`` is that of a merge nobody pushed."""
    try:
        event = json.loads(Path(os.environ.get("GITHUB_EVENT_PATH", "")).read_text(encoding="utf-8"))
        return str(event["pull_request"]["head"]["sha"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def report_preview(document: Mapping[str, object]) -> None:
    """What the steps that follow need to find a preview: names, never values."""
    names = ("environment", "state", "branch", "branch_id", "expires_at", "direct_host", "pooled_host")
    set_outputs({name: str(document[name]) for name in names})


def report_schema_drift(found: Sequence[Drift]) -> None:
    """What was altered by hand since the last migration: ``schema_drift`` counts it, the job's summary names it."""
    if not active():
        return
    from neonctl.cli.markdown import block

    set_outputs({"schema_drift": str(len(found))})
    if found:
        summarize(f"### Altered by hand since the last migration\n\n{block(str(each) for each in found)}")
        annotate_problems("drift", ((None, str(each)) for each in found))


def report_diff(found: Sequence[DatabaseDiff], markdown: str) -> None:
    """How many databases differ (``databases_differ``), and how, for the steps that follow and the job's summary."""
    set_outputs({"databases_differ": str(sum(not each.equal for each in found))})
    summarize(markdown)


def _append(variable: str, text: str) -> None:
    target = os.environ.get(variable)
    if active() and target:
        with Path(target).open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)


def annotate(error: NeonctlError) -> None:
    """A failure as annotations: one for each problem of a file, else one for the whole."""
    if not active():
        return
    found = error.details.get("problems")
    problems = cast("Sequence[object]", found) if isinstance(found, Sequence) and not isinstance(found, str) else ()
    located = [cast("Mapping[str, object]", each) for each in problems if isinstance(each, Mapping)]
    # One file that failed is named in the details themselves, and the message says what and where.
    located = located or [{**error.details, "path": None, "message": error.message}]
    for each in located[:_SHOWN_ANNOTATIONS]:
        sys.stderr.write(_command(error.code, each) + "\n")


def _command(code: str, problem: Mapping[str, object]) -> str:
    place = "".join(f"{name}={parameter(str(problem[name]))}," for name in ("file", "line") if problem.get(name))
    path = f"{problem['path']}: " if problem.get("path") else ""
    return f"::error {place}title={parameter(code)}::{data(path + str(problem.get('message', '')))}"


def annotate_problems(title: str, problems: Iterable[tuple[str | None, str]]) -> None:
    """What a check found, each as (file or None, text), where there is no error but a result that says "not ok".

    The line is the one that the text names after the file, if it does.
    """
    if not active():
        return
    for file, text in list(problems)[:_SHOWN_ANNOTATIONS]:
        line = re.search(rf"{re.escape(file)}:([0-9]+)", text) if file else None
        facts = {"file": file, "line": line[1] if line else None, "message": text}
        sys.stderr.write(_command(title, facts) + "\n")
    sys.stderr.flush()


def annotate_findings(findings: Sequence[Finding]) -> None:
    """Findings in files as annotations."""
    for line in finding_commands(findings):
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


def finding_commands(findings: Sequence[Finding]) -> Iterator[str]:
    """The workflow commands for findings, as many of each severity as GitHub shows."""
    for severity, command in (("error", "error"), ("warning", "warning"), ("note", "notice")):
        chosen = [each for each in findings if each.severity == severity]
        for each in chosen[:_SHOWN_ANNOTATIONS]:
            place = f"file={parameter(each.file)},line={each.line},col={each.column}"
            text = each.message + (f"\n{each.help}" if each.help else "")
            yield f"::{command} {place},title={parameter(each.rule)}::{data(text)}"
