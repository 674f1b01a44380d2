"""What is in a database, as a readable listing: one line per property of an object, in an order that never changes.

Two listings that are equal mean two databases that behave alike; where they differ, the lines name the object. The
record of migrations and the evidence beside it are left out, since they differ after every run.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

from neonctl.postgres.failures import translate
from neonctl.postgres.queryfile import query

if TYPE_CHECKING:
    from typing import LiteralString

_QUOTED = r'"(?:[^"]|"")*"'
_LINE = re.compile(
    rf"(?P<object>(?:[^\":]|{_QUOTED})+): (?P<property>(?:[^\"=]|{_QUOTED})+) = (?P<value>.*)", re.DOTALL
)
_PART_OF_RELATION = ("column", "constraint", "index", "trigger", "policy", "rule")
_RELATION = re.compile(r"(?:table|view|materialized view|foreign table|domain|type) (.+)")
_ESCAPE = re.compile(r"\\(.)")
_SHOWN = 200  # characters of a value in a message


#: Sets, for the rest of the transaction, everything that the texts of the listing depend on. Must come first.
PIN_SETTINGS: LiteralString = query("catalogue", "pin", "migrations")

#: One SELECT of one text column, ``line``, sorted. It may stand where a subselect may, after ``PIN_SETTINGS`` in the
#: same transaction, and needs no rights beyond the catalogs. Taken under another search_path it says so in a line.
CATALOGUE_QUERY: LiteralString = query("catalogue", "catalogue", "migrations")


@dataclass(frozen=True)
class Catalogue:
    """A listing. Lines read ``KIND name: PROPERTY = value``; a line feed inside is written as backslash and n."""

    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, as it is recorded."""
        return "\n".join(self.lines)

    @cached_property
    def sha256(self) -> str:
        """Equal for equal listings."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def from_text(cls, text: str) -> Catalogue:
        """What ``text`` was made of. Lines end at line feeds only."""
        return cls(tuple(text.split("\n")) if text else ())


@dataclass(frozen=True)
class Difference:
    """One property that is not what it was; with ``property`` empty the object as a whole was made or is gone.

    ``before`` and ``after`` are the values as they are in the database, None where there is none.
    """

    object: str
    before: str | None
    after: str | None
    property: str = ""

    def __str__(self) -> str:
        """One readable line."""
        if not self.property:
            return f"{self.object}: " + ("is not there any more" if self.after is None else "was not there before")
        if self.before is not None and self.after is not None and "\n" in self.before + self.after:
            return f"{self.object}: {self.property} differs: {_changed_lines(self.before, self.after)}"
        return f"{self.object}: {self.property} was {_shown(self.before)}, is {_shown(self.after)}"


def read_catalogue(conn: psycopg.Connection[Any]) -> Catalogue:
    """List what is in the database, in one round trip.

    Outside a transaction the session's settings stay as they are; inside one, ``PIN_SETTINGS`` holds until its end.
    Raises what ``postgres.failures.translate`` makes of a failure.
    """
    doing = f"listing what is in {conn.info.dbname}"
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(PIN_SETTINGS + ";\n" + CATALOGUE_QUERY)
            cursor.nextset()
            return Catalogue(tuple(row[0] for row in cursor))
    except psycopg.Error as error:
        raise translate(error, doing) from None


def differences(before: Catalogue, after: Catalogue) -> tuple[Difference, ...]:
    """Everything that differs, object by object. A table that was made or is gone stands for all that belongs to it."""
    if before.lines == after.lines:
        return ()
    lost, gained = by_object(set(before.lines) - set(after.lines)), by_object(set(after.lines) - set(before.lines))
    kept = {_split(line)[0] for line in set(before.lines) & set(after.lines)}
    # An object all of whose lines differ is still the same object when it is on both sides.
    gone = {name for name in lost if name not in kept and name not in gained}
    made = {name for name in gained if name not in kept and name not in lost}
    found = [Difference(name, "there", None) for name in gone if not _within(name, gone)]
    found += [Difference(name, None, "there") for name in made if not _within(name, made)]
    for name in (lost.keys() | gained.keys()) - gone - made:
        was, now = lost.get(name, {}), gained.get(name, {})
        found += [Difference(name, was.get(each), now.get(each), each) for each in was.keys() | now.keys()]
    return tuple(sorted(found, key=lambda each: (each.object, each.property)))


def by_object(lines: Iterable[str]) -> dict[str, dict[str, str]]:
    """Object → property → value, as they are in the database."""
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        name, what, value = _split(line)
        found.setdefault(name, {})[what] = value
    return found


def _split(line: str) -> tuple[str, str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        return line, "line", ""  # from a version that wrote it differently: still named, and still a difference
    return match["object"], match["property"], _ESCAPE.sub(_unescaped, match["value"])


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(match[1], match[1])


def _within(name: str, others: set[str]) -> bool:
    """Whether the object is a part of one of the others, a column of a table for example."""
    owner = owner_of(name)
    return owner is not None and any(relation_name(each) == owner for each in others)


def owner_of(name: str) -> str | None:
    """The name of the relation that a column, constraint, … belongs to; None for what stands by itself."""
    kind, _, path = name.partition(" ")
    return _last_part_off(path) if kind in _PART_OF_RELATION else None


def relation_name(name: str) -> str | None:
    """``table bank.accounts`` → ``bank.accounts``; None for what has no parts."""
    match = _RELATION.fullmatch(name)
    return match[1] if match else None


def _last_part_off(path: str) -> str:
    return re.sub(rf"\.(?:{_QUOTED}|[^.\"]+)$", "", path)


def _shown(value: str | None) -> str:
    if value is None:
        return "not set"
    flat = value.replace("\n", " ")
    return flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "…"


def _changed_lines(before: str, after: str) -> str:
    """The lines of a function that differ, as a diff shows them, without the ones that do not."""
    return _shown(" ".join(_diff(before.splitlines(), after.splitlines())))


def _diff(before: list[str], after: list[str]) -> Iterator[str]:
    for line in difflib.unified_diff(before, after, n=0, lineterm=""):
        if line.startswith(("+++", "---", "@@")):
            continue
        yield f"{line[0]} {line[1:].strip()}"
