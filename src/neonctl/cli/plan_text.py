"""A plan as text: per environment, symbol and words, the reason in brackets, the summary last (cli-conventions 4)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from neonctl.plan.changes import AnyChange
from neonctl.plan.plan import Plan, as_json

SYMBOLS = {"create": "+", "update": "~", "delete": "-", "report": "!"}
WORDS = {
    "create": "will be created",
    "update": "will be updated in place",
    "delete": "will be deleted",
    "report": "exists",
}
_LIST_LIMIT = 6


def plan_document(plan: Plan, project: str) -> dict[str, object]:
    """The plan as JSON (product.md 3)."""
    return {
        "project": project,
        "changes": [as_json(change) for change in plan.changes],
        "summary": plan.summary,
        "fingerprint": plan.fingerprint,
    }


def plan_text(plan: Plan, project: str, *, verbose: bool) -> str:
    """The plan for people. Details of new things only when verbose: there are hundreds on a first run."""
    if not plan.changes:
        return f"{project}: nothing to do, everything is as the configuration says."
    lines: list[str] = []
    ordered = sorted(plan.changes, key=lambda change: (change.environment, change.sort_key))
    for environment, changes in groupby(ordered, key=lambda change: change.environment):
        lines += [f"environment {environment}" if environment else f"project {project}", ""]
        for change in changes:
            lines += _change_lines(change, verbose=verbose)
        lines.append("")
    lines.append(summary_line(plan))
    if plan.work:
        lines.append(f"Plan {plan.fingerprint[:12]}")
    return "\n".join(lines)


def summary_line(plan: Plan) -> str:
    """How much of what."""
    if not plan.work:
        return "Nothing to do. " + _left_alone(plan)
    counts = plan.summary
    parts = [f"{counts[action]} to {action}" for action in ("create", "update", "delete") if counts[action]]
    return f"{', '.join(parts)}. {_left_alone(plan)}".strip()


def _left_alone(plan: Plan) -> str:
    count = plan.summary["report"]
    return f"{count} not in the configuration, left alone." if count else ""


def _change_lines(change: AnyChange, *, verbose: bool) -> list[str]:
    reason = f" ({change.reason})" if change.reason else ""
    lines = [f"  {SYMBOLS[change.action]} {change.kind} {change.name} {WORDS[change.action]}{reason}"]
    if change.action == "update" or (verbose and change.action == "create"):
        lines += _detail_lines(change.before or {}, change.after or {})
    return lines


def _detail_lines(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    lines: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        old, new = _shown(before.get(name)), _shown(after.get(name))
        if name in before and name in after:
            lines.append(f"      {name}   {old} → {new}")
        else:
            lines.append(f"      {name}   {new if name in after else old}")
    return lines


def _shown(value: object) -> str:
    if value is None:
        return "(unset)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        items = [str(each) for each in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        more = f" … and {len(items) - _LIST_LIMIT} more" if len(items) > _LIST_LIMIT else ""
        return (", ".join(items[:_LIST_LIMIT]) + more) or "(none)"
    return str(value)
