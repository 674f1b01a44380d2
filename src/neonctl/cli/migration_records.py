"""Records of migrations for people and scripts: history with evidence, proofs, rehearsals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from neonctl.cli.table import table

if TYPE_CHECKING:
    from neonctl.migrations.evidence import Evidence
    from neonctl.migrations.files import MigrationFolder
    from neonctl.migrations.proof import Proof
    from neonctl.migrations.rehearsal import FileRehearsal, Rehearsal
    from neonctl.migrations.repair import RepairAction
    from neonctl.migrations.states import MigrationInfo

_SHORT = 12


def repair_document(actions: Sequence[RepairAction]) -> list[dict[str, object]]:
    """What a repair changed, as JSON."""
    return [
        {
            "kind": action.kind,
            "installed_rank": action.row.installed_rank,
            "script": action.row.script,
            "changes": {name: {"before": old, "after": new} for name, (old, new) in action.changes.items()},
        }
        for action in actions
    ]


def history_document(
    states: Sequence[MigrationInfo], entries: Sequence[Evidence], broken: str | None
) -> dict[str, object]:
    """Both records whole, and whether the evidence's chain holds."""
    evidence = [asdict(entry) | {"details": dict(entry.details)} for entry in entries]
    for each in evidence:
        each.pop("details_json")
    rows = [asdict(each.row) | {"state": each.state} for each in states if each.row is not None]
    return {"chain": broken or "intact", "history": rows, "evidence": evidence}


def history_text(states: Sequence[MigrationInfo], entries: Sequence[Evidence], broken: str | None) -> str:
    """Flyway's rows, the evidence, and what the chain says; the verdict last."""
    flyway = [
        [
            str(each.row.installed_rank),
            each.row.version or "-",
            each.row.type,
            each.row.script,
            f"{each.row.installed_on:%Y-%m-%d %H:%M:%S}Z",
            each.row.installed_by,
            each.state,
        ]
        for each in states
        if each.row is not None
    ]
    if not flyway and not entries:
        return "Nothing was run in this database yet."
    evidence = [
        [
            str(entry.entry),
            f"{entry.recorded_at:%Y-%m-%d %H:%M:%S}Z",
            entry.kind,
            entry.script or entry.version or "-",
            entry.actor,
            (entry.git_commit or "-")[:_SHORT],
            (entry.proof_id or "-")[:_SHORT],
            (entry.up_sha256 or "-")[:_SHORT],
        ]
        for entry in entries
    ]
    return "\n".join(
        [
            table(["rank", "version", "type", "script", "installed", "by", "state"], flyway),
            "",
            table(["entry", "at", "kind", "what", "who", "commit", "proof", "sha256"], evidence),
            "",
            f"The chain of evidence is broken: {broken}" if broken else "The chain of evidence is intact.",
        ]
    )


def proofs_text(proofs: Mapping[str, Proof]) -> str:
    """Each database's migrations, what is wrong with them, and the verdict last."""
    lines: list[str] = []
    for name, proof in proofs.items():
        verdict = "proven" if proof.ok else "NOT proven"
        lines.append(f"{name}: {verdict} in {proof.duration_ms} ms, proof {proof.proof_id[:_SHORT]}")
        for each in proof.versions:
            took = "" if each.up_ms is None else f"  up {each.up_ms} ms"
            took += "" if each.down_ms is None else f", down {each.down_ms} ms"
            lines.append(f"  {'✓' if each.ok else '✗'} {each.script}{took}, {each.tables_with_rows} tables with rows")
            lines += [f"      {problem}" for problem in each.problems]
            lines += [f"      note: {note}" for note in each.notes]
        lines += [f"  ✗ {problem}" for problem in proof.problems]
        lines += [f"  note: {note}" for note in proof.notes]
    bad = sum(not proof.ok for proof in proofs.values())
    total = len(proofs)
    verdict = f"{bad} of {total} databases NOT proven." if bad else f"{total} of {total} databases proven; on record."
    return "\n".join([*lines, "", verdict])


def proof_problems(
    proofs: Mapping[str, Proof], files: Mapping[str, MigrationFolder]
) -> Iterator[tuple[str | None, str]]:
    """Each problem with the file it is about; those of no single migration without one."""
    for name, proof in proofs.items():
        for each in proof.versions:
            yield from ((_file_of(each.script, problem, files[name]), problem) for problem in each.problems)
        yield from ((None, f"{name}: {problem}") for problem in proof.problems)


def rehearsal_problems(
    found: Mapping[str, Rehearsal], files: Mapping[str, MigrationFolder]
) -> Iterator[tuple[str | None, str]]:
    """Each problem with the file it is about."""
    for name, rehearsal in found.items():
        for each in rehearsal.files:
            yield from ((_file_of(each.script, problem, files[name]), problem) for problem in each.problems)


def _file_of(script: str, problem: str, files: MigrationFolder) -> str | None:
    """The path of that migration, or of its undo when the problem names that one."""
    for file in files.versioned:
        if file.script == script:
            return str(file.undo.path if str(file.undo.path) in problem else file.path)
    return next((str(file.path) for file in files.repeatable if file.script == script), None)


def rehearsals_text(found: Mapping[str, Rehearsal]) -> str:
    """Each file that was rehearsed, and the verdict last."""
    if not found:
        return "Nothing to rehearse: every migration is applied."
    lines = [line for name, each in found.items() for line in _rehearsal_lines(name, each)]
    bad = [name for name, each in found.items() if not each.ok]
    verdict = f"NOT fit to run: {', '.join(bad)}." if bad else "Fit to run; on record."
    return "\n".join([*lines, "", verdict])


def _rehearsal_lines(name: str, rehearsal: Rehearsal) -> Iterator[str]:
    budget = "" if rehearsal.max_lock_s is None else f", lock budget {rehearsal.max_lock_s:g} s"
    yield f"{name}{budget}"
    for file in rehearsal.files:
        yield from _file_lines(file)


def _file_lines(file: FileRehearsal) -> Iterator[str]:
    rows = ", ".join(f"{count} rows of {relation}" for relation, count in file.rows.items())
    yield f"  {'✗' if file.problems else '✓'} {file.script}  {file.duration_ms:.0f} ms{', ' + rows if rows else ''}"
    for lock in file.locks:
        blocks = f", blocks {lock.blocks}" if lock.blocks else ""
        yield f"      line {lock.line}: {lock.mode} on {lock.kind} {lock.relation} for {lock.held_ms:.0f} ms{blocks}"
    for rewrite in file.rewrites:
        yield f"      line {rewrite.line}: writes all of {rewrite.relation} anew"
    for problem in file.problems:
        yield f"      {problem}"
