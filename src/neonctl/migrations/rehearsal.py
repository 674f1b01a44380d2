"""What a rehearsal found, as it is shown and recorded, and whether it still says something about the target. Pure.

Limits of every figure: a branch has no other traffic, so nobody was waited for, and its cache is cold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from neonctl.migrations.history import AppliedMigration

#: The modes that are traced, weakest first: all that stop writes, and the one that stops only schema changes.
STRONG = ("SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")
_HARMLESS = "SHARE UPDATE EXCLUSIVE"
_SKEW = timedelta(minutes=5)  # how far the clocks of two machines may be apart


@dataclass(frozen=True)
class HeldLock:
    """A strong lock on a relation that was there before the file. ``held_ms``: until COMMIT, by the server's clock.

    Counted from the beginning of the statement that took it, so rather too long than too short.
    """

    relation: str
    kind: str  # table, index, sequence, ...
    mode: str  # as LOCK TABLE writes it
    statement: int
    line: int
    held_ms: float

    @property
    def blocks(self) -> str | None:
        """Whom it makes wait: ``reads and writes``, ``writes``, or None of the two."""
        if self.mode == "ACCESS EXCLUSIVE":
            return "reads and writes"
        return None if self.mode == _HARMLESS else "writes"


@dataclass(frozen=True)
class Rewrite:
    """A table that was there before the file and was written anew, all of it, by one statement."""

    relation: str
    statement: int
    line: int


@dataclass(frozen=True)
class StatementTrace:
    """One statement: the server's word for what it did, how long it took, rows that it touched directly."""

    statement: int
    line: int
    command: str
    duration_ms: float
    rows: int


@dataclass(frozen=True)
class FileRehearsal:
    """One file. ``rows``: by table, inserted, updated and deleted ones, those by triggers and functions included."""

    script: str
    version: str | None  # None: a repeatable file
    sha256: str
    duration_ms: float
    statements: tuple[StatementTrace, ...]
    locks: tuple[HeldLock, ...]
    rewrites: tuple[Rewrite, ...]
    rows: Mapping[str, int]
    problems: tuple[str, ...]  # readable lines with file:line


@dataclass(frozen=True)
class Rehearsal:
    """All pending files of one database, up to the first that failed."""

    database: str
    target_state: str  # of the history before the first file
    rehearsed_at: datetime  # the server's clock, UTC
    max_lock_s: float | None
    files: tuple[FileRehearsal, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Every reason not to run these files there."""
        return tuple(problem for file in self.files for problem in file.problems)

    @property
    def ok(self) -> bool:
        """Whether these files may run there."""
        return not self.problems

    def as_details(self) -> dict[str, Any]:
        """JSON-able, for the evidence table and ``-o json``; ``is_fresh`` reads it."""
        document = asdict(self)
        document["rehearsed_at"] = self.rehearsed_at.astimezone(UTC).isoformat()
        return {**document, "ok": self.ok}


class Identified(Protocol):
    """What identifies a file that is to run."""

    @property
    def script(self) -> str: ...
    @property
    def sha256(self) -> str: ...


def target_state(history: Sequence[AppliedMigration]) -> str:
    """One hash for what has been applied to a database, in which order. A branch of it has the same."""
    rows = [
        [row.installed_rank, row.version, row.type, row.script, row.checksum, row.success]
        for row in sorted(history, key=lambda row: row.installed_rank)
    ]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode("utf-8")).hexdigest()


def is_fresh(
    details: Mapping[str, Any], *, state: str, files: Sequence[Identified], now: datetime, max_age: timedelta
) -> bool:
    """Whether a recorded rehearsal speaks for running ``files`` now on a target of this ``state``."""
    return staleness(details, state=state, files=files, now=now, max_age=max_age) is None


def staleness(
    details: Mapping[str, Any], *, state: str, files: Sequence[Identified], now: datetime, max_age: timedelta
) -> str | None:
    """Why a recorded rehearsal does not count, in words for people; None if it does.

    It counts when it went well, from this very state of the target, not too long ago, with these files and contents
    in this order. ``files`` may be fewer than were rehearsed (``--target``), never others.
    """
    if details.get("ok") is not True:
        return "the rehearsal did not go well"
    if details.get("target_state") != state:
        return "something was applied to the target since the rehearsal"
    try:
        at = datetime.fromisoformat(str(details["rehearsed_at"]))
        rehearsed = [(str(each["script"]), str(each["sha256"])) for each in cast("list[Any]", details["files"])]
    except (KeyError, TypeError, ValueError):
        return "the rehearsal's record cannot be read"
    if at.tzinfo is None or at > now + _SKEW:
        return "the rehearsal's time cannot be right"
    if now - at > max_age:
        return f"the rehearsal is from {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: older than allowed"
    left = iter(rehearsed)  # each search goes on where the last one ended: the order counts
    for file in files:
        if (file.script, file.sha256) not in left:
            return f"{file.script} was not rehearsed as it is now"
    return None
