"""A plan as text: per environment, symbol and words, the reason in brackets, the summary last (cli-conventions 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import groupby

from neonctl.plan.changes import AnyChange, RunMigrations, Stage
from neonctl.plan.plan import Plan, as_json

SYMBOLS = {"create": "+", "update": "~", "delete": "-", "report": "!"}
WORDS = {
    "create": "will be created",
    "update": "will be updated in place",
    "delete": "will be deleted",
    "report": "exists",
}
_LIST_LIMIT = 6
_BRIEF_FROM = 60  # changes; a first run has hundreds
_COUNTED = frozenset({"role", "schema", "grant", "secret", "migration", "publication"})
_UNTOLD = frozenset({"membership", "database-mark"})  # bookkeeping of what the lines beside it say


def plan_document(plan: Plan, project: str) -> dict[str, object]:
    """The plan as JSON (product.md 3)."""
    return {
        "project": project,
        "changes": [as_json(change) for change in plan.changes],
        "summary": plan.summary,
        "fingerprint": plan.fingerprint,
    }


def plan_text(plan: Plan, project: str, *, verbose: bool) -> str:
    """The plan for people. Many new things of one database take one line, unless verbose."""
    if not plan.changes:
        return f"{project}: nothing to do, everything is as the configuration says."
    brief = not verbose and len(plan.work) > _BRIEF_FROM
    lines: list[str] = []
    ordered = sorted(plan.changes, key=lambda change: (change.environment, change.sort_key))
    for environment, group in groupby(ordered, key=lambda change: change.environment):
        changes = list(group)
        lines += [f"environment {environment}" if environment else f"project {project}", ""]
        lines += _brief_lines(changes) if brief else _full_lines(changes, verbose=verbose)
        lines.append("")
    lines.append(summary_line(plan))
    if plan.work:
        lines.append(f"Plan {plan.fingerprint[:12]}" + (" (each change by name: -v)" if brief else ""))
    return "\n".join(lines)


def _full_lines(changes: list[AnyChange], *, verbose: bool) -> list[str]:
    return [line for change in changes for line in change_lines(change, verbose=verbose)]


def _brief_lines(changes: list[AnyChange]) -> list[str]:
    """What is made inside one database in one line; everything else, and every update, by itself."""
    inside: dict[str, Counter[str]] = {}
    lines: list[str] = []
    for change in changes:
        database = getattr(change, "database", None)
        if database is not None and change.stage >= Stage.ROLE and change.kind in _COUNTED:
            inside.setdefault(database, Counter())[change.kind] += 1
        elif change.kind in _UNTOLD:
            continue
        elif change.kind == "parameter" and change.action == "create":
            inside.setdefault("parameters", Counter())["parameter"] += 1
        else:
            lines += change_lines(change, verbose=False)
    for name, counts in sorted(inside.items()):
        told = ", ".join(f"{count} {_plural(kind, count)}" for kind, count in sorted(counts.items()))
        lines.append(f"  + {name}: {told}")
    return lines


def _plural(kind: str, count: int) -> str:
    word = {"grant": "set of privileges"}.get(kind, kind)
    if count == 1:
        return word
    return word.replace("set of", "sets of") if "set of" in word else f"{word}s"


def summary_line(plan: Plan) -> str:
    """How much of what."""
    if not plan.work:
        return "Nothing to do. " + _left_alone(plan)
    counts = plan.summary
    parts = [f"{counts[action]} to {action}" for action in ("create", "update", "delete") if counts[action]]
    return f"{', '.join(parts)}. {_left_alone(plan)}".strip()


def done_line(plan: Plan) -> str:
    """How much of what was done."""
    counts = plan.summary
    return ", ".join(f"{counts[action]} {action}d" for action in ("create", "update", "delete") if counts[action])


def _left_alone(plan: Plan) -> str:
    count = plan.summary["report"]
    return f"{count} not in the configuration, left alone." if count else ""


def change_lines(change: AnyChange, *, verbose: bool) -> list[str]:
    """One change, and below it what differs."""
    reason = f" ({change.reason})" if change.reason else ""
    if isinstance(change, RunMigrations):
        return [f"  ~ migrations {', '.join((*change.versions, *change.repeatables))} of {change.database} will run"]
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
