"""What must be on record elsewhere before a migration may run here: pure comparisons of files with records.

"Never applied directly to prod without first passing dev and uat" (MOD-103). The records are read from those databases
themselves, not from a pipeline's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from neonctl.migrations.check import baseline_number, last_repeatables
from neonctl.migrations.history import BASELINES, AppliedMigration, abbreviated, live_versions

if TYPE_CHECKING:
    from neonctl.migrations.evidence import Evidence
    from neonctl.migrations.files import MigrationFile, RepeatableFile


def not_promoted(
    versioned: Sequence[MigrationFile],
    repeatable: Sequence[RepeatableFile],
    source: Sequence[AppliedMigration],
    *,
    environment: str,
) -> tuple[str, ...]:
    """Why these files may not run yet: one line for each that ``environment``'s own record ``source`` does not have.

    A version must be in force there (not undone since, not failed) with the same checksum; a repeatable file must
    have run there last as it is now. A baseline stands for every version up to its own.
    """
    live = live_versions(source)
    baseline = baseline_number(source)
    problems: list[str] = []
    for file in versioned:
        row = live.get(file.number)
        if row is None and file.number <= baseline:
            continue
        if row is None:
            problems.append(f"{file.script} is not applied on {environment}")
        elif not row.success:
            problems.append(f"{file.script} failed on {environment}")
        elif row.type not in BASELINES and row.checksum != file.checksum:
            problems.append(
                f"{file.script} is another file than the one applied on {environment} "
                f"(checksum {file.checksum} here, {row.checksum} there)"
            )
    newest = last_repeatables(source)
    for file in repeatable:
        row = newest.get(abbreviated(file.description))
        if row is None or not row.success or row.checksum != file.checksum:
            problems.append(f"{file.script} has not run on {environment} as it is now")
    return tuple(problems)


def proofs_on_record(evidence: Iterable[Evidence]) -> dict[tuple[str, str], str]:
    """(SHA-256 of V, SHA-256 of U) → the id of the newest proof that those very bytes passed.

    An apply that was recorded with a proof counts like the proof: the id travels with the migration.
    """
    found: dict[tuple[str, str], str] = {}
    for entry in evidence:
        if entry.up_sha256 is None or entry.down_sha256 is None:
            continue
        pair = (entry.up_sha256, entry.down_sha256)
        if entry.kind == "proof":
            if entry.details.get("ok") is True and entry.proof_id:
                found[pair] = entry.proof_id
            else:
                found.pop(pair, None)  # proven once, refuted later
        elif entry.kind == "apply" and entry.proof_id:
            found.setdefault(pair, entry.proof_id)
    return found


def unproven(versioned: Sequence[MigrationFile], proofs: Mapping[tuple[str, str], str]) -> tuple[MigrationFile, ...]:
    """The files without a proof of exactly their bytes and their twins'."""
    return tuple(file for file in versioned if (file.sha256, file.undo.sha256) not in proofs)
