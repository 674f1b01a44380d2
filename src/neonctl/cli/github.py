"""GitHub Actions: outputs, the summary, annotations and masks (cli-conventions 9). Silent anywhere else.

Workflow commands go to stderr, which the runner reads as well, so that stdout stays data.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

if TYPE_CHECKING:
    from neonctl.errors import NeonctlError
    from neonctl.migrations.lint.finding import Finding
    from neonctl.plan.ownership import PullRequest
    from neonctl.plan.plan import Plan
    from neonctl.secret import Secret

_SHOWN_ANNOTATIONS = 10  # GitHub shows no more of one step
_SUMMARY_CHARACTERS = 200_000  # 1 MiB a step is the limit; what is longer, nobody reads


def active() -> bool:
    """Whether this is a step of a workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def report_plan(plan: Plan, text: str) -> None:
    """The plan for the steps that follow (``changes``, ``has_deletes``, ``plan_sha``) and for the job's summary."""
    _append(
        "GITHUB_OUTPUT",
        f"changes={len(plan.work)}\n"
        f"has_deletes={'true' if plan.summary['delete'] else 'false'}\n"
        f"plan_sha={plan.fingerprint}\n",
    )
    cut = text[:_SUMMARY_CHARACTERS] + ("\n… (cut)" if len(text) > _SUMMARY_CHARACTERS else "")
    fence = "`" * 8  # longer than any run of them in a name
    _append("GITHUB_STEP_SUMMARY", f"### Plan\n\n{fence}text\n{cut}\n{fence}\n\n`{plan.fingerprint}`\n")


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
    _append("GITHUB_OUTPUT", "".join(f"{name}={document[name]}\n" for name in names))


def _append(variable: str, text: str) -> None:
    target = os.environ.get(variable)
    if active() and target:
        with Path(target).open("a", encoding="utf-8") as file:
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
    place = "".join(f"{name}={_property(str(problem[name]))}," for name in ("file", "line") if problem.get(name))
    path = f"{problem['path']}: " if problem.get("path") else ""
    return f"::error {place}title={_property(code)}::{_data(path + str(problem.get('message', '')))}"


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
            place = f"file={_property(each.file)},line={each.line},col={each.column}"
            text = each.message + (f"\n{each.help}" if each.help else "")
            yield f"::{command} {place},title={_property(each.rule)}::{_data(text)}"


def mask(secrets: Iterable[Secret]) -> None:
    """Have the runner hide these values, and their URL-encoded forms, before anything prints them."""
    if not active():
        return
    for secret in secrets:
        value = secret.reveal()
        for form in dict.fromkeys((value, quote(value, safe=""))):
            sys.stderr.write(f"::add-mask::{_data(form)}\n")
    sys.stderr.flush()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
