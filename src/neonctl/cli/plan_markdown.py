"""A plan as Markdown, for a job's summary: what is deleted first, then environment by environment."""

from __future__ import annotations

from itertools import groupby

from neonctl.cli.markdown import block, code
from neonctl.cli.plan_text import change_lines, summary_line
from neonctl.plan.changes import AnyChange
from neonctl.plan.plan import Plan

_SHOWN = 400  # lines of one environment; a first run has a thousand
_OPEN = 40  # lines up to which one is shown open
_DIFF_SIGN = {"~": "!", "!": "#"}  # as the language "diff" colours them


def plan_markdown(plan: Plan, project: str) -> str:
    """The plan for reviewers. Its fingerprint stands in full: ``apply --expect`` takes it."""
    if not plan.changes:
        return f"### Plan of {code(project)}\n\nNothing to do: everything is as the configuration says.\n"
    parts = [f"### Plan of {code(project)}", f"**{summary_line(plan)}**"]
    gone = [change.address for change in plan.work if change.action == "delete"]
    if gone:
        parts.append("**Deletes** " + ", ".join(code(each) for each in gone[:_SHOWN]))
    for environment, group in groupby(_ordered(plan), key=lambda change: change.environment):
        changes = list(group)
        title = f"Environment {environment}" if environment else "Project"
        lines = [line for change in changes for line in map(_coloured, change_lines(change, verbose=False))]
        left_out = len(lines) - _SHOWN
        if left_out > 0:
            lines = [*lines[:_SHOWN], f"# … and {left_out} more lines: `neonctl plan -v` shows each"]
        summary = f"<summary>{title}: {len(changes)} {'change' if len(changes) == 1 else 'changes'}</summary>"
        opening = "<details>" if len(lines) > _OPEN else "<details open>"
        parts.append(f"{opening}{summary}\n\n{block(lines, 'diff')}\n\n</details>")
    parts.append(f"Fingerprint {code(plan.fingerprint)}")
    return "\n\n".join(parts) + "\n"


def _ordered(plan: Plan) -> list[AnyChange]:
    return sorted(plan.changes, key=lambda change: (change.environment, change.sort_key))


def _coloured(line: str) -> str:
    """The line with its sign where a diff has it."""
    body = line[2:] if line.startswith("  ") else line
    return _DIFF_SIGN.get(body[:1], body[:1]) + body[1:]
