"""Take back one database's newest migrations, each undo with its row and its evidence in one transaction."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from neonctl.errors import UnsafePlanError
from neonctl.migrations.check import MigrationHistoryError, baseline_number, compare
from neonctl.migrations.evidence import Evidence, NewEntry, Provenance, read_evidence
from neonctl.migrations.files import MigrationFile, MigrationFolder, UndoFile
from neonctl.migrations.history import AppliedMigration, NewRow, live_versions, read_history, version_number
from neonctl.migrations.progress import Progress
from neonctl.migrations.run import MigrationResult, Piece, Run, early_end, make_records, never, under_lock
from neonctl.migrations.scripts import require_runnable
from neonctl.migrations.session import RunSettings
from neonctl.migrations.stakes import Loss, append_only_tables, guard, rows_at_stake
from neonctl.migrations.standing import require_standing


def undo(
    conn: psycopg.Connection[Any],
    *,
    database: str,
    files: MigrationFolder,
    to: int,
    progress: Progress,
    settings: RunSettings,
    provenance: Provenance,
    allow_append_only: bool = False,
    stop: Callable[[], bool] = never,
) -> MigrationResult:
    """Bring one database back to version ``to`` (0: before the first), the migration applied last first.

    ``conn`` and ``stop`` as for ``migrate``. What will be lost is ``rows_at_stake()``'s to say
    beforehand. Repeatable migrations stay as they are.

    Raises before anything ran: ``MigrationHistoryError`` when record and files disagree, ``UNDO_EDITED`` when an undo
    is not the one that was there when its migration was applied, ``UNDO_BELOW_BASELINE``; ``UnsafePlanError``
    ``UNDO_APPEND_ONLY`` when rows of an append-only table would go, unless ``allow_append_only``. A failure leaves
    nothing of its file behind; else as ``migrate``.
    """
    started = time.monotonic()
    done: list[str] = []
    stopped = False
    todo: list[MigrationFile] = []
    if newest_first(files, read_history(conn), database=database, to=to):
        with under_lock(conn, database=database, settings=settings, progress=progress) as session:
            history = read_history(conn)
            todo = newest_first(files, history, database=database, to=to)
            require_runnable(todo)
            live = live_versions(history)
            evidence = read_evidence(conn)
            _require_unedited(database, todo, live, evidence)
            require_standing(file.undo for file in todo)
            undos = [file.undo for file in todo]
            losses = rows_at_stake(conn, undos)
            guarded = () if allow_append_only else append_only_tables(conn, undos)
            _require_no_evidence_lost(database, guarded)
            make_records(conn, database, made=True)
            run = Run(
                conn,
                database,
                progress,
                provenance,
                session,
                rank=max(row.installed_rank for row in history),
                pieces={
                    file.script: _piece(
                        file, live[file.number], provenance, settings.undo_record, losses=losses, guarded=guarded
                    )
                    for file in todo
                },
                begun=begun_undos(evidence),
                last=todo[-1].script,
                direction="down",
                stop=stop,
                done=done,
            )
            stopped = _work(run, todo)
    version_of = {file.script: file.version for file in todo}
    return MigrationResult(
        database,
        (),
        round((time.monotonic() - started) * 1000),
        undone=tuple(version_of[name] for name in done),
        stopped=stopped,
    )


def newest_first(
    files: MigrationFolder, history: Sequence[AppliedMigration], *, database: str, to: int
) -> list[MigrationFile]:
    """What an undo to ``to`` takes back, the one applied last first. Raises as ``undo`` about record and baseline."""
    begun = compare(files, history, database=database, out_of_order=True).begun
    if begun:
        raise MigrationHistoryError(
            "MIGRATION_HISTORY_MISMATCH",
            f"{database}: {', '.join(begun)} was begun outside a transaction and did not come through",
            hint="Finish it (`neonctl migrate up`) or mark it failed for good (`neonctl migrate repair`), then undo.",
            details={"database": database, "problems": []},
        )
    baseline = baseline_number(history)
    if to < baseline:
        raise MigrationHistoryError(
            "UNDO_BELOW_BASELINE",
            f"{database}: version {to} is below the baseline, {baseline}: what was there before it has no undo",
            hint="Give the baseline's version or a newer one.",
            details={"database": database, "problems": []},
        )
    by_number = {file.number: file for file in files.versioned}
    live = [(row.installed_rank, number) for number, row in live_versions(history).items() if number > to]
    return [by_number[number] for _, number in sorted(live, reverse=True)]


def begun_undos(evidence: Sequence[Evidence]) -> dict[str, int]:
    """The names of migrations whose undo was begun outside a transaction and is not recorded as done."""
    last = {each.version: each for each in evidence if each.kind in ("apply", "undo") and each.version}
    return {
        str(each.details["script"]): 0 for each in last.values() if each.kind == "undo" and each.details.get("begun")
    }


def _work(run: Run, todo: Sequence[MigrationFile]) -> bool:
    from neonctl.migrations.engine import undo_in_order  # slow to import

    in_order = [*reversed(todo)]  # as applied; the engine turns it round
    with early_end(run) as ended:
        undo_in_order(
            run.conn,
            database=run.database,
            files=in_order,
            applied=[file.script for file in in_order],
            run=run.send,
            around=run.one,
        )
    return ended.stopped


def _require_unedited(
    database: str,
    todo: Sequence[MigrationFile],
    live: Mapping[int, AppliedMigration],
    evidence: Sequence[Evidence],
) -> None:
    problems = edited_undos(todo, live, evidence)
    if problems:
        raise MigrationHistoryError(
            "UNDO_EDITED",
            f"{database}: {problems[0]['file']}: {problems[0]['message']}",
            hint="Restore the undo as it was (`neonctl migrate history` names its commit and SHA-256).",
            details={"database": database, "problems": problems},
        )


def edited_undos(
    files: Sequence[MigrationFile], live: Mapping[int, AppliedMigration], evidence: Sequence[Evidence]
) -> list[dict[str, object]]:
    """Undos that are not the ones that were there when their migrations ran: code that nobody reviewed.

    Each as ``{"version", "file", "message"}``. What another tool applied left no evidence to hold to.
    """
    recorded = {
        (version_number(each.version), each.details.get("installed_rank")): each.down_sha256
        for each in evidence
        if each.kind == "apply" or (each.kind == "repair" and each.down_sha256)
    }
    problems: list[dict[str, object]] = []
    for file in files:
        row = live.get(file.number)
        digest = recorded.get((file.number, row.installed_rank)) if row else None
        if digest is not None and digest not in _digests(file.undo):
            problems.append(
                {
                    "version": file.version,
                    "file": str(file.undo.path),
                    "message": f"{file.undo.script} is not the undo that was there when {file.version} was applied",
                }
            )
    return problems


def _digests(undo: UndoFile) -> set[str]:
    """SHA-256 of the file as it is, and as another checkout would have it: other line ends, a byte order mark."""
    lines = re.split(r"\r\n|\r|\n", undo.sql)
    texts = (mark + end.join(lines) for mark in ("", "\ufeff") for end in ("\n", "\r\n"))
    return {undo.sha256, *(hashlib.sha256(text.encode("utf-8")).hexdigest() for text in texts)}


def _require_no_evidence_lost(database: str, guarded: Sequence[Loss]) -> None:
    lost = [loss for loss in guarded if loss.rows]
    if lost:
        raise UnsafePlanError(
            "UNDO_APPEND_ONLY",
            f"{database}: rows of an append-only table would be lost: {'; '.join(map(str, lost))}",
            hint="What is append-only is kept: write a new migration that leaves the table in place.",
            details={"database": database, "losses": [str(loss) for loss in lost]},
        )


def _piece(
    file: MigrationFile,
    row: AppliedMigration,
    provenance: Provenance,
    record: str,
    *,
    losses: Sequence[Loss],
    guarded: Sequence[Loss],
) -> Piece:
    taken = file.undo if record == "UNDO_SQL" else None
    # DELETE is what Flyway's own repair writes: the applied row once more. UNDO_SQL is its paid plug-in's: the U file.
    new = (
        NewRow(0, file.version, taken.description, "UNDO_SQL", taken.script, taken.checksum)
        if taken
        else NewRow(0, row.version, row.description, "DELETE", row.script, row.checksum, timed=False)
    )
    return Piece(
        file.undo.path,
        file.undo.sql,
        file.undo.transactional,
        new,
        NewEntry(
            "undo",
            provenance,
            version=file.version,
            script=file.undo.script,
            up_sha256=file.sha256,
            down_sha256=file.undo.sha256,
            details={
                "undone_rank": row.installed_rank,
                "losses": [str(loss) for loss in losses if loss.version == file.version],
            },
        ),
        guards=tuple(
            statement
            for loss in guarded
            if loss.version == file.version and loss.how != "delete"
            for statement in guard(loss)
        ),
    )
