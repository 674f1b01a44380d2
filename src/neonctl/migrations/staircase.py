"""The steps of a proof: up and down the versions of one throw-away database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from neonctl.migrations.catalogue import differences
from neonctl.migrations.drift import is_provisioned
from neonctl.migrations.files import MigrationFile, RepeatableFile
from neonctl.migrations.findings import Findings
from neonctl.migrations.proof import FixtureFile
from neonctl.migrations.rows import RowBook, TableRows, filled_tables
from neonctl.migrations.stage import Stage, Step, StepFailedError, View
from neonctl.postgres.queryfile import query

_MADE_BY_FILES = frozenset(
    {"table", "foreign", "view", "materialized", "sequence", "function", "procedure", "aggregate", "type", "domain"}
)  # first words of the kinds that only migrations make; schemas and publications are provisioned


class Staircase:
    """Call the steps in the order in which they stand here."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        stage: Stage,
        findings: Findings,
        fixtures: Mapping[int, FixtureFile],
        floor: int,
    ) -> None:
        self._conn = conn
        self._stage = stage
        self._findings = findings
        self._fixtures = fixtures
        self._floor = floor
        self._book = RowBook(conn)
        self._stack: list[MigrationFile] = []  # in force, oldest first
        self._tried_on_the_copy: set[str] = set()
        self._made: dict[str, str] = {}  # what the listing was with the version in force: it may well be so again
        self._left: tuple[str, ...] = ()  # objects that were there although everything was undone
        self.view = self._seen(stage.look())
        self._copy = self.view

    def pending(self, applied: Sequence[MigrationFile], pending: Sequence[MigrationFile]) -> None:
        """What the copy does not have yet, up, down and up again on the rows that are there."""
        self._stack = list(applied)
        for file in pending:
            if not self._there_and_back(file):
                break
            self._stack.append(file)
            self._tried_on_the_copy.add(file.version)
        self._copy = self.view

    def down(self) -> None:
        """Everything that is in force, newest first, on the rows that are there."""
        for file in reversed(self._stack):
            tried = file.version in self._tried_on_the_copy
            rows: Mapping[str, TableRows] = {} if tried else self._book.read()
            if not self._undo(file, listing=not tried):
                self._start_over()
                return
            if not tried:
                self._nothing_else_went(file, rows)
        bottom = self._seen(self._stage.look())
        if self._floor == 0:
            self._clear()
            left = differences(bottom.catalogue, self.view.catalogue)
            self._left = tuple(each.object for each in left if each.object.split()[0] in _MADE_BY_FILES)

    def up_from_nothing(self) -> None:
        """What was in force, oldest first: up, down and up again; then the same on synthetic rows of that version."""
        for file in self._stack:
            below, rows = self.view, self._book.read()
            if not self._there_and_back(file):
                return
            fixture = self._fixtures.get(file.number)
            if fixture and not self._with_fixture(file, fixture, below, rows):
                return
        said = "\n".join(line for file in self._stack for line in self._findings.of(file).problems)
        for name in self._left:
            if name not in said:
                self._findings.general.note(f"{name} was there below all migrations; none of them makes it")

    def repeatable(self, files: Sequence[RepeatableFile]) -> None:
        """Each twice: the second run may not change anything, since it runs again after every edit."""
        general = self._findings.general
        for file in files:
            script = Step(file.path, file.sql)
            try:
                first = self._stage.run(script)
                self._seen(self._stage.run(script))
            except StepFailedError as error:
                general.problem(f"{file.script}: {error}")
                continue
            for difference in differences(first.catalogue, self.view.catalogue):
                general.problem(f"{file.script} does something else when it runs again: {difference}")

    def compare_with_the_copy(self) -> None:
        """The copy as it was against what the files make from nothing: what differs was done by hand."""
        if self._floor == 0:
            for difference in differences(self.view.catalogue, self._copy.catalogue):
                if not is_provisioned(difference, self._conn.info.dbname):
                    self._findings.general.note(f"the copied database differs from what the files make: {difference}")

    def _there_and_back(self, file: MigrationFile) -> bool:
        """Up, down, up. False when the file is not in force at the end."""
        found = self._findings.of(file)
        self._findings.proving(file)
        before, rows = self.view, self._book.read()
        tried = file.version in self._tried_on_the_copy  # there the file was seen to make the same thing twice
        if not self._apply(file, "cannot be applied", listing=not tried):
            return False
        applied = self.view
        if not self._undo(file, expected=before.listing):
            self._seen(self._stage.look())
            return True
        self._findings.same_catalogue(file, before, self.view, f"after {file.undo.script}")
        self._findings.same_rows(file, rows, self._book.read())
        again = f"cannot be applied again after {file.undo.script}"
        if not self._apply(file, again, expected=self._made.get(file.version, applied.listing)):
            return False
        self._made[file.version] = self.view.listing
        if not tried:
            self._findings.same_catalogue(file, applied, self.view, f"after {file.script} was applied again")
        found.tried = True
        return True

    def _nothing_else_went(self, file: MigrationFile, above: Mapping[str, TableRows]) -> None:
        """After the undo of a file whose past is unknown: older tables may have lost only what the file puts there.

        Only when the undo touched an older table is it worth the while to apply the file and undo it again.
        """
        below = self._book.read()
        shared = sorted(above.keys() & below.keys())
        if all(above[table].same(below[table]) for table in shared):
            return
        before = self.view
        if not self._apply(file, f"cannot be applied again after {file.undo.script}"):
            return
        again = self._book.read()
        for table in shared:
            # Who moves rows from one table to another takes more than he puts in one of them.
            surplus = above[table].count - max(below[table].count, again[table].count if table in again else 0)
            if surplus > 0 and below[table].count < above[table].count:
                self._findings.lost(
                    file,
                    f"{file.undo.script}: {table}: takes away {surplus} more of its {above[table].count} rows"
                    f" than {file.script} puts there",
                )
        if self._undo(file):
            self._findings.same_catalogue(file, before, self.view, f"after {file.undo.script}")
            self._findings.same_rows(file, below, self._book.read())

    def _with_fixture(
        self, file: MigrationFile, fixture: FixtureFile, below: View, below_rows: Mapping[str, TableRows]
    ) -> bool:
        """Undo and apply again with the version's own rows present; then keep the rows. False when the file is gone."""
        rows = Step(fixture.path, fixture.sql)
        together = file.transactional and file.undo.transactional
        try:
            if together:
                self._try_out(file, rows, below, below_rows)
        except StepFailedError as error:
            if error.path != fixture.path:
                self._findings.of(file).problem(f"with the rows of {fixture.path.name}: {error}")
        try:
            view = self._stage.run(rows, listing=False)
        except StepFailedError as error:
            self._findings.general.problem(f"the rows do not fit version {file.version}: {error}")
            return True
        self._book.note(view.tables)
        return together or not self._undo(file) or self._apply(file, "cannot be applied again on rows")

    def _try_out(self, file: MigrationFile, rows: Step, below: View, below_rows: Mapping[str, TableRows]) -> None:
        """Rows, undo and file in one transaction that is taken back, so that the rows can be kept afterwards."""
        above_rows = self._book.read()
        older = sorted(below_rows.keys() & above_rows.keys())
        counts = self._book.count_statement(older)
        filled, undone, again = self._stage.try_out(
            (rows, _down(file), _up(file)), (None, below.listing, self.view.listing), counts
        )
        found = self._findings.of(file)
        found.tables_with_rows = max(found.tables_with_rows, filled_tables(filled.tables))
        for table, had, has in zip(older, filled.counts, undone.counts, strict=True):
            # Rows that the file itself had put there may go. More than expected is none: moved rows come home.
            lost = had - has - (above_rows[table].count - below_rows[table].count)
            if lost > 0:
                self._findings.lost(
                    file, f"{file.undo.script}: {table}: loses {lost} of the {had} rows there with {rows.path.name}"
                )
        self._findings.same_catalogue(file, below, undone, f"after {file.undo.script}")
        self._findings.same_catalogue(file, self.view, again, f"after {file.script} was applied again")

    def _apply(self, file: MigrationFile, otherwise: str, *, listing: bool = True, expected: str = "") -> bool:
        try:
            self._seen(self._stage.run(_up(file), listing=listing, expected=expected))
        except StepFailedError as error:
            self._findings.of(file).problem(f"{file.script} {otherwise}: {error}")
            return False
        found = self._findings.of(file)
        found.up_ms = self.view.duration_ms if found.up_ms is None else found.up_ms
        return True

    def _undo(self, file: MigrationFile, *, listing: bool = True, expected: str = "") -> bool:
        found = self._findings.of(file)
        filled = self._book.filled
        try:
            self._seen(self._stage.run(_down(file), listing=listing, expected=expected))
        except StepFailedError as error:
            found.problem(f"{file.undo.script} fails: {error}")
            return False
        found.down_ms = self.view.duration_ms if found.down_ms is None else found.down_ms
        found.tables_with_rows = max(found.tables_with_rows, filled)
        return True

    def _start_over(self) -> None:
        """An undo stands in the way down; from nothing there is a way up all the same, unless a baseline is needed."""
        if self._floor == 0:
            self._clear()
        else:
            self._stack = []

    def _clear(self) -> None:
        """Take away what undos left or could not take away, so that the way up begins at nothing."""
        self._conn.execute(query("rows", "clear", "migrations"))
        self._seen(self._stage.look())

    def _seen(self, view: View) -> View:
        self.view = view
        self._book.note(view.tables, sure=view.sure)
        return view


def _up(file: MigrationFile) -> Step:
    return Step(file.path, file.sql, file.transactional)


def _down(file: MigrationFile) -> Step:
    return Step(file.undo.path, file.undo.sql, file.undo.transactional)
