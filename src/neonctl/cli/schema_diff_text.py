"""Schema differences as lines of a diff, as text, Markdown and JSON."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from neonctl.cli.markdown import block, code

if TYPE_CHECKING:
    from neonctl.migrations.catalogue import Difference
    from neonctl.migrations.schema_diff import ObjectChange
    from neonctl.pipelines.schema_diff import DatabaseDiff

MARKDOWN_CHARACTERS = 60_000  # a comment of a pull request takes 65,536
_OBJECT_LINES = 200
_VALUE_CHARACTERS = 2_000  # of one line
_FLAGS = {"not null": "not null", "unlogged": "unlogged"}
_BARE = frozenset({"type", "definition"})  # what they are goes without saying


def diff_document(preview: str, source: str, found: Sequence[DatabaseDiff]) -> dict[str, object]:
    """Everything, as JSON."""
    return {
        "environment": preview,
        "source": source,
        "equal": all(each.equal for each in found),
        "databases": [
            {
                "database": each.database,
                "equal": each.equal,
                "added": each.schema.count("added"),
                "changed": each.schema.count("changed"),
                "removed": each.schema.count("removed"),
                "migrations_ahead": list(each.ahead),
                "migrations_behind": list(each.behind),
                "partitions_left_out": each.schema.partitions,
                "changes": [change.document() for change in each.schema.changes],
            }
            for each in found
        ],
    }


def diff_text(preview: str, source: str, found: Sequence[DatabaseDiff]) -> str:
    """All of it for a terminal; one line when there is no difference."""
    if all(each.equal for each in found):
        return f"{preview} has the schema of {source}."
    lines: list[str] = []
    for each in found:
        if not each.equal:
            lines += [
                f"{each.database}: {_counts(each)}",
                *(f"  {note}" for note in _notes(each, preview, source, str)),
                "",
            ]
            lines += [f"  {line}" for change in each.schema.changes for line in object_lines(change)]
            lines += [""] if each.schema.changes else []
    return "\n".join([*lines, _equal(found, str)]).rstrip()


def diff_markdown(preview: str, source: str, found: Sequence[DatabaseDiff], *, most: int = MARKDOWN_CHARACTERS) -> str:
    """For the pull request: at most ``most`` characters, whole objects only; empty when there is no difference."""
    if all(each.equal for each in found):
        return ""
    title = f"### Schema of {code(preview)} against {code(source)}"
    hint = f"all of it: {code('neonctl preview diff ' + preview.removeprefix('pr-'))}"
    ending = _equal(found, code)
    parts, left = [title], most - len(title) - len(ending) - 200
    for each in (each for each in found if not each.equal):
        notes = "".join(f"\n- {note}" for note in _notes(each, preview, source, code))
        head = f"**{code(each.database)}**: {_counts(each)}\n{notes}"
        lines, hidden = _fitting(each.schema.changes, left - len(head) - 100)
        cut = f"\n\n… and {hidden} more {_objects(hidden)}; {hint}" if hidden else ""
        section = head + (f"\n\n{block(lines, 'diff')}" if lines else "") + cut
        left -= len(section)
        if left < 0:
            parts.append(f"… more databases differ; {hint}")
            break
        parts.append(section)
    return "\n\n".join([*parts, ending]).rstrip() + "\n"


def _fitting(changes: Sequence[ObjectChange], room: int) -> tuple[list[str], int]:
    """The lines of as many objects as fit, and how many do not."""
    lines: list[str] = []
    for place, change in enumerate(changes):
        more = object_lines(change)
        if sum(len(line) + 1 for line in (*lines, *more)) * 11 // 10 > room:
            return lines, len(changes) - place
        lines += more
    return lines, 0


def object_lines(change: ObjectChange) -> list[str]:
    """One object as a diff, and not more lines of it than anybody reads."""
    title = {"added": "new ", "removed": "gone: ", "changed": ""}[change.state]
    lines = [f"@@ {title}{_flat(change.object)} @@", *_own_lines(change)]
    for part in change.parts:
        lines += _part_lines(part)
    left_out = len(lines) - _OBJECT_LINES
    return lines if left_out <= 0 else [*lines[:_OBJECT_LINES], f"  … {left_out} more lines"]


def _own_lines(change: ObjectChange) -> Iterator[str]:
    for each in change.differences:
        yield from _value_lines("" if each.property in _BARE else f"{_flat(each.property)}: ", each)


def _part_lines(part: ObjectChange) -> Iterator[str]:
    """A part on a line of its own, with what is new of it or was."""
    kind, _, name = part.object.partition(" ")
    label = f"{kind} {_flat(_own_name(name))}: "
    if any(_is_long(each) for each in part.differences):
        for each in part.differences:
            yield from _value_lines(label if each.property in _BARE else f"{label}{_flat(each.property)}: ", each)
        return
    ordered = sorted(part.differences, key=lambda each: (each.property != "type", each.property != "not null"))
    for sign, side in (("-", "before"), ("+", "after")):
        told = [_told(each.property, value) for each in ordered if (value := getattr(each, side)) is not None]
        if told:
            yield f"{sign} {label}{', '.join(told)}"
        elif part.state == "added" and sign == "+":
            yield f"+ {label.removesuffix(': ')}"


def _told(name: str, value: str) -> str:
    if name in _BARE:
        return _flat(value)
    return _FLAGS[name] if name in _FLAGS and value == "yes" else f"{_flat(name)} {_flat(value)}"


def _value_lines(label: str, change: Difference) -> Iterator[str]:
    """A value before and after; of one with several lines, those that differ and what is around them."""
    old, new = change.before, change.after
    if not _is_long(change):
        yield from (f"{sign} {label}{_flat(value)}" for sign, value in (("-", old), ("+", new)) if value is not None)
        return
    if label:
        yield f"  {label.rstrip()}"
    differing = difflib.unified_diff((old or "").splitlines(), (new or "").splitlines(), n=2, lineterm="")
    for place, line in enumerate(islice(differing, 2, None)):  # after the names of two files
        if not line.startswith("@@"):
            yield f"{line[0]} {_short(line[1:])}"
        elif place:
            yield "  …"


def _is_long(change: Difference) -> bool:
    return "\n" in (change.before or "") + (change.after or "")


def _flat(value: str) -> str:
    return _short(" ".join(value.split()))


def _short(line: str) -> str:
    return line if len(line) <= _VALUE_CHARACTERS else line[:_VALUE_CHARACTERS] + "…"


def _own_name(path: str) -> str:
    from neonctl.migrations.catalogue import owner_of

    owner = owner_of(f"column {path}")
    return path[len(owner) + 1 :] if owner else path


def _counts(found: DatabaseDiff) -> str:
    schema = found.schema
    told = [f"{count} {state}" for state in ("added", "changed", "removed") if (count := schema.count(state))]
    return ", ".join(told) or "no object differs"


def _notes(found: DatabaseDiff, preview: str, source: str, name: Callable[[str], str]) -> Iterator[str]:
    if found.ahead:
        yield f"only {name(preview)} has {', '.join(map(name, found.ahead))}"
    if found.behind:
        files = ", ".join(map(name, found.behind))
        yield f"only {name(source)} has {files}, so what was made there is told as gone; merge, then diff again"
    if found.schema.partitions:
        yield f"left out: {found.schema.partitions} partitions, which time makes on each branch by itself"


def _equal(found: Sequence[DatabaseDiff], name: Callable[[str], str]) -> str:
    names = [name(each.database) for each in found if each.equal]
    return f"Equal: {', '.join(names)}." if names else ""


def _objects(count: int) -> str:
    return "object" if count == 1 else "objects"
