"""What a proof says, and the rows it was made with. No database here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neonctl.errors import UsageError

_FIXTURE = re.compile(r"V(?P<version>[0-9]{3,})\.sql")
_BESIDE = ("README.md",)
_OF_ROWS = ("insert_stmt", "update_stmt", "select_stmt", "variable_set_stmt")


class FixtureFilesError(UsageError):
    """A file of the fixtures is misnamed or no text. ``details["file"]`` names it."""


@dataclass(frozen=True)
class FixtureFile:
    """Synthetic rows that can be inserted once version ``number`` is there."""

    number: int
    path: Path
    sha256: str
    sql: str = field(repr=False)


@dataclass(frozen=True)
class VersionProof:
    """What is known of one migration and its undo. Each problem and note is one readable line."""

    version: str
    script: str
    up_sha256: str
    down_sha256: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    up_ms: int | None = None  # of the first run; None when it never ended well
    down_ms: int | None = None
    tables_with_rows: int = 0  # the most that were there when the undo ran

    @property
    def ok(self) -> bool:
        """The undo undoes."""
        return not self.problems


@dataclass(frozen=True)
class Proof:
    """The outcome for one database. ``problems`` and ``notes`` are those that belong to no single version."""

    database: str
    baseline: int  # versions up to this one cannot be undone, and were not tried; 0 without a baseline
    versions: tuple[VersionProof, ...]
    fixtures: tuple[tuple[str, str], ...] = ()  # name and sha256
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    catalogue_sha256: str = ""  # of what all migrations together make from nothing
    duration_ms: int = 0

    @property
    def ok(self) -> bool:
        """Every undo undoes, and nothing else is wrong."""
        return not self.problems and all(version.ok for version in self.versions)

    @property
    def proof_id(self) -> str:
        """Bound to the bytes of every V, U and fixture and to the outcome: the same for the same, on any machine."""
        bound = [
            self.database,
            self.baseline,
            [[each.version, each.up_sha256, each.down_sha256, each.ok] for each in self.versions],
            [list(fixture) for fixture in self.fixtures],
            self.ok,
        ]
        return hashlib.sha256(json.dumps(bound, separators=(",", ":")).encode()).hexdigest()

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "database": self.database,
            "ok": self.ok,
            "proof_id": self.proof_id,
            "baseline": self.baseline,
            "catalogue_sha256": self.catalogue_sha256,
            "duration_ms": self.duration_ms,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "fixtures": [{"file": name, "sha256": sha256} for name, sha256 in self.fixtures],
            "versions": [
                {
                    "version": each.version,
                    "script": each.script,
                    "ok": each.ok,
                    "up_sha256": each.up_sha256,
                    "down_sha256": each.down_sha256,
                    "problems": list(each.problems),
                    "notes": list(each.notes),
                    "up_ms": each.up_ms,
                    "down_ms": each.down_ms,
                    "tables_with_rows": each.tables_with_rows,
                }
                for each in self.versions
            ],
        }


def read_fixtures(folder: Path) -> tuple[FixtureFile, ...]:
    """Read ``V001.sql``, … of one database, in version order; ``()`` when there is no such folder.

    Raises ``FixtureFilesError`` for a file that is named otherwise, not UTF-8, or a version's second one.
    """
    if not folder.is_dir():
        return ()
    found: dict[int, FixtureFile] = {}
    for path in _visible(folder):
        match = _FIXTURE.fullmatch(path.name)
        if match is None:
            raise _error(path, "is not named like V001.sql")
        data = path.read_bytes()
        try:
            sql = data.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise _error(path, f"is not UTF-8 (byte {error.start})") from None
        fixture = FixtureFile(int(match["version"]), path, hashlib.sha256(data).hexdigest(), sql)
        if found.setdefault(fixture.number, fixture) is not fixture:
            raise _error(path, f"version {fixture.number} is there more than once")
    return tuple(found[number] for number in sorted(found))


def require_insertable(fixtures: Sequence[FixtureFile], versions: Collection[int]) -> None:
    """Raises ``FixtureFilesError`` for rows of a version that is not there, and for statements that are not rows'."""
    import postgast

    for fixture in fixtures:
        if fixture.number not in versions:
            raise _error(fixture.path, f"there is no version {fixture.number}")
        try:
            kinds = [str(each.stmt.WhichOneof("node")) for each in postgast.parse(fixture.sql).stmts]
        except postgast.PgQueryError as error:
            raise _error(fixture.path, error.message.partition("\n")[0]) from None
        for kind in kinds:
            if kind not in _OF_ROWS:
                raise _error(fixture.path, f"only rows are written here (INSERT, UPDATE, SELECT): found {kind}")


def _visible(folder: Path) -> Iterable[Path]:
    return (each for each in sorted(folder.iterdir()) if not each.name.startswith(".") and each.name not in _BESIDE)


def _error(path: Path, message: str) -> FixtureFilesError:
    return FixtureFilesError(
        "MIGRATION_FIXTURES_INVALID",
        f"{path}: {message}",
        hint="Rows for a proof lie in fixtures/V001.sql: what can be inserted once version 001 is there.",
        details={"file": str(path)},
    )
