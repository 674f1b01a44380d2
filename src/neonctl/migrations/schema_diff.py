"""Two listings of one database on two branches: what a reader of a pull request wants to see of the difference.

What belongs to a table is told with the table. Left out is what the environments' own settings make differ, and the
partitions that time brings to one branch and not to the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from neonctl.migrations.catalogue import Catalogue, Difference, by_object, owner_of, relation_name

State = Literal["added", "changed", "removed"]
_Listing = Mapping[str, Mapping[str, str]]
_PART_ORDER = ("column", "constraint", "index", "trigger", "policy", "rule", "sequence")
_NAME = re.compile(r'"(?:[^"]|"")*"|[^, ]+')
_SEQUENCE_OF = ("identity of", "owned by")


@dataclass(frozen=True)
class ObjectChange:
    """One object that is not the same. ``parts``: of a table, its columns, constraints, … that are not."""

    object: str
    state: State
    differences: tuple[Difference, ...] = ()
    parts: tuple[ObjectChange, ...] = ()

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "object": self.object,
            "state": self.state,
            "properties": [
                {"property": each.property, "before": each.before, "after": each.after} for each in self.differences
            ],
            "parts": [part.document() for part in self.parts],
        }


@dataclass(frozen=True)
class SchemaDiff:
    """What differs, sorted; ``partitions``: how many were left out because time makes them."""

    changes: tuple[ObjectChange, ...] = ()
    partitions: int = 0

    def count(self, state: State) -> int:
        """How many objects, parts not counted."""
        return sum(each.state == state for each in self.changes)


def schema_diff(before: Catalogue, after: Catalogue, *, database: str) -> SchemaDiff:
    """What ``after`` has that ``before`` has not, has otherwise, or has no more."""
    was, now = by_object(before.lines), by_object(after.lines)
    names = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
    names -= {name for name in names if _is_environments_own(name, database)}
    partitions = {name for name in names if _is_partition_of_time(name, was, now)}
    gone_along = {relation_name(name) for name in partitions}
    names -= partitions | {name for name in names if _owner(name, was, now) in gone_along}
    relations = {path: name for name in (*was, *now) if (path := relation_name(name)) is not None}
    parts: dict[str, list[ObjectChange]] = {}
    own: dict[str, ObjectChange] = {}
    for name in names:
        change = _change(name, was, now, database)
        owner = relations.get(_owner(name, was, now) or "")
        if owner is None:
            own[name] = change
        else:
            parts.setdefault(owner, []).append(change)
    whole = (
        _whole(own.get(name, ObjectChange(name, "changed")), parts.get(name, ())) for name in own.keys() | parts.keys()
    )
    changes = sorted((each for each in whole if each is not None), key=lambda each: each.object)
    return SchemaDiff(tuple(changes), len(partitions))


def _is_environments_own(name: str, database: str) -> bool:
    """What the YAML makes of a branch, or what says whose it is: no migration has to do with it."""
    return name == f"publication {database}_cdc" or name.startswith(("this database", "settings"))


def _is_partition_of_time(name: str, was: _Listing, now: _Listing) -> bool:
    if name in was and name in now:
        return False
    parent = (was.get(name) or now[name]).get("partition of")
    table = f"table {parent}"
    return table in was and table in now and "partitioned by" in was[table] and "partitioned by" in now[table]


def _owner(name: str, was: _Listing, now: _Listing) -> str | None:
    """The relation that the object is a part of: a sequence's too, which says so itself."""
    if name.startswith("sequence "):
        listed = now.get(name) or was[name]
        column = next((listed[each] for each in _SEQUENCE_OF if each in listed), None)
        return owner_of(f"column {column}") if column else None
    return owner_of(name)


def _change(name: str, was: _Listing, now: _Listing, database: str) -> ObjectChange:
    old, new = was.get(name), now.get(name)
    state: State = "removed" if new is None else "added" if old is None else "changed"
    old, new = old or {}, new or {}
    found = tuple(
        Difference(name, old.get(each), new.get(each), each)
        for each in sorted(old.keys() | new.keys())
        if old.get(each) != new.get(each)
    )
    if state != "changed":  # who owns everything goes without saying
        usual = f"{database}_migrate_user"
        found = tuple(each for each in found if each.property != "owner" or (each.before or each.after) != usual)
    return ObjectChange(name, state, found)


def _whole(change: ObjectChange, parts: Sequence[ObjectChange]) -> ObjectChange | None:
    """An object with its parts, each thing told once; None when nothing is left to tell."""
    order = _order(change)
    constraints = {_short(part.object): part.state for part in parts if part.object.startswith("constraint ")}
    told = [
        part
        for part in parts
        if not (part.object.startswith("index ") and constraints.get(_short(part.object)) == part.state != "changed")
    ]
    told.sort(key=lambda part: (_PART_ORDER.index(part.object.split(" ", 1)[0]), order(part), part.object))
    differences = tuple(each for each in change.differences if not _says_parts(each, change.state, told))
    if change.state == "changed" and not differences and not told:
        return None
    return ObjectChange(change.object, change.state, differences, tuple(told))


def _order(change: ObjectChange) -> Callable[[ObjectChange], int]:
    """Where a column stands in its table, where that is known."""
    listed = next((each.after or each.before for each in change.differences if each.property == "columns"), None)
    places = {name: place for place, name in enumerate(_names(listed))}
    return lambda part: places.get(_short(part.object), len(places)) if part.object.startswith("column ") else 0


def _says_parts(difference: Difference, state: State, parts: list[ObjectChange]) -> bool:
    """Whether this is the list of columns, and says no more than the columns do themselves."""
    if difference.property != "columns":
        return False
    moved = {_short(part.object) for part in parts if part.object.startswith("column ") and part.state != "changed"}
    old, new = ([each for each in _names(side) if each not in moved] for side in (difference.before, difference.after))
    return state != "changed" or old == new


def _names(columns: str | None) -> list[str]:
    """Names as ``quote_ident`` writes them, apart."""
    return _NAME.findall(columns or "")


def _short(name: str) -> str:
    """The part's own name: ``column bank.accounts.id`` → ``id``."""
    owner = owner_of(name)
    return name.partition(" ")[2][len(owner) + 1 :] if owner is not None else name
