"""What a proof has found so far, version by version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neonctl.migrations.catalogue import differences
from neonctl.migrations.files import MigrationFile
from neonctl.migrations.lint.markers import loses_data
from neonctl.migrations.progress import MigrationEvent, Progress
from neonctl.migrations.proof import VersionProof
from neonctl.migrations.rows import TableRows
from neonctl.migrations.stage import View


@dataclass
class Finding:
    """Of one version, or of none in particular. The same line is said once."""

    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    up_ms: int | None = None
    down_ms: int | None = None
    tables_with_rows: int = 0
    tried: bool = False  # there and back

    def problem(self, text: str) -> None:
        """What fails the proof."""
        if text not in self.problems:
            self.problems.append(text)

    def note(self, text: str) -> None:
        """What a reader should know."""
        if text not in self.notes:
            self.notes.append(text)


class Findings:
    """Collects, and tells the terminal what is going on."""

    def __init__(self, database: str, progress: Progress) -> None:
        self._database = database
        self._progress = progress
        self._of: dict[str, Finding] = {}
        self.general = Finding()

    def of(self, file: MigrationFile) -> Finding:
        """Those of one version."""
        return self._of.setdefault(file.version, Finding())

    def proving(self, file: MigrationFile) -> None:
        """Tell that a file's turn has come."""
        self._progress(MigrationEvent("proving", self._database, file.script))

    def all_tried(self, files: Sequence[MigrationFile]) -> bool:
        """Whether each of them was shown to be applied and undone."""
        return all(self.of(file).tried for file in files)

    def version(self, file: MigrationFile) -> VersionProof:
        """The outcome for one file."""
        found = self.of(file)
        if not found.tried and not found.problems:
            found.problem(f"{file.script} was not tried: what comes before it fails")
        return VersionProof(
            version=file.version,
            script=file.script,
            up_sha256=file.sha256,
            down_sha256=file.undo.sha256,
            problems=tuple(found.problems),
            notes=tuple(found.notes),
            up_ms=found.up_ms,
            down_ms=found.down_ms,
            tables_with_rows=found.tables_with_rows,
        )

    def same_catalogue(self, file: MigrationFile, before: View, after: View, when: str) -> None:
        """Each difference is a problem of the file."""
        if before.listing != after.listing:
            for difference in differences(before.catalogue, after.catalogue):
                self.of(file).problem(f"{when}: {difference}")

    def same_rows(self, file: MigrationFile, before: Mapping[str, TableRows], after: Mapping[str, TableRows]) -> None:
        """Tables older than the file must hold what they held. A table that is gone is the catalogue's to say."""
        for table in sorted(before.keys() & after.keys()):
            was, now = before[table], after[table]
            if not was.same(now):
                self.lost(file, f"{file.undo.script}: {table}: {_row_change(was, now)}")

    def lost(self, file: MigrationFile, text: str) -> None:
        """Rows or values that the undo does not bring back: a problem, unless the file owns up to it."""
        reason = loses_data(file.undo.sql) or loses_data(file.sql)
        if reason is None:
            self.of(file).problem(text)
        else:
            self.of(file).note(f"{text} (loses data, as the file says: {reason})")


def _row_change(was: TableRows, now: TableRows) -> str:
    if now.count > was.count:
        return f"leaves {_rows(now.count - was.count)} behind"
    if now.count < was.count:
        return f"loses {was.count - now.count} of the {_rows(was.count)} that were there before"
    columns = was.other_columns(now)
    where = f"in {', '.join(columns)}" if columns else "swapped between rows"
    return f"values are not what they were before: {where}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
