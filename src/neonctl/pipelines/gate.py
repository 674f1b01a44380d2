"""The gate before an environment's migrations: applied where they must be first, proven, rehearsed (product.md 5).

Everything is read from the databases themselves: what a pipeline believes to have done does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from neonctl.errors import ServiceError, UnsafePlanError
from neonctl.migrations.evidence import broken_chain, read_evidence
from neonctl.migrations.history import read_history
from neonctl.migrations.promotion import not_promoted, proofs_on_record, unproven
from neonctl.migrations.rehearsal import staleness, target_state
from neonctl.pipelines.logins import logged_in
from neonctl.provision.parallel import by_key

if TYPE_CHECKING:
    from neonctl.desired.model import Desired, EnvironmentSpec
    from neonctl.migrations.check import Pending
    from neonctl.migrations.evidence import Evidence
    from neonctl.migrations.history import AppliedMigration
    from neonctl.provision.services import Services


@dataclass(frozen=True)
class Record:
    """What one database says of its migrations."""

    history: tuple[AppliedMigration, ...] = ()
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Waiting:
    """One database with something to run, and its own record."""

    database: str
    pending: Pending
    record: Record


@dataclass(frozen=True)
class Passage:
    """What the gate found. ``problems``: database → why its files may not run; ``proof_ids``: database → (SHA-256 of
    V, SHA-256 of U) → the proof.
    """

    problems: Mapping[str, tuple[str, ...]]
    proof_ids: Mapping[str, Mapping[tuple[str, str], str]]


class NotPromotedError(UnsafePlanError):
    """Migrations may not run here yet. ``details["problems"]`` has a line for each reason."""


def look(
    environment: str,
    waiting: Sequence[Waiting],
    *,
    desired: Desired,
    services: Services,
    require_rehearsal: bool,
    now: datetime,
) -> Passage:
    """Read the records that count and say what is missing, and which proofs there are."""
    spec = desired.environments[environment]
    names = [each.database for each in waiting]
    before = spec.migrations.promoted_from
    home = proof_home(desired) if spec.migrations.require_proof else None
    wanted = dict.fromkeys(name for name in (before, home) if name is not None and name != environment)
    records = {name: read_records(name, names, desired, services) for name in wanted}
    problems: dict[str, tuple[str, ...]] = {}
    proof_ids: dict[str, Mapping[tuple[str, str], str]] = {}
    for each in waiting:
        relied_on = {environment: each.record, **{name: found[each.database] for name, found in records.items()}}
        proofs = proofs_on_record(entry for record in relied_on.values() for entry in record.evidence)
        proof_ids[each.database] = proofs
        source = records[before][each.database] if before else None
        rehearsal = require_rehearsal or spec.migrations.require_rehearsal
        found = [
            *_unpromoted(each, before, source),
            *(_unbelievable(each.database, relied_on) if spec.migrations.require_proof or rehearsal else ()),
            *(_unproven(each, proofs) if spec.migrations.require_proof else ()),
            *(_unrehearsed(environment, each, spec, now) if rehearsal else ()),
        ]
        if found:
            problems[each.database] = tuple(found)
    return Passage(problems, proof_ids)


def refuse(environment: str, passage: Passage) -> None:
    """Raise ``NotPromotedError`` with every reason, if there is one."""
    lines = [f"{database}: {line}" for database, found in sorted(passage.problems.items()) for line in found]
    if not lines:
        return
    raise NotPromotedError(
        "MIGRATION_NOT_PROMOTED",
        f"{environment}: pending migrations may not run here yet ({len(lines)} "
        f"{'reason' if len(lines) == 1 else 'reasons'}); nothing was run there",
        hint="do first what is named; in an emergency, "
        f"`neonctl migrate up --env {environment} --break-glass REASON` goes on record",
        details={"environment": environment, "problems": lines},
    )


def require_promoted(
    environment: str, before: str, pending: Mapping[str, Pending], *, desired: Desired, services: Services
) -> None:
    """Refuse files that ``before`` has not, by that environment's own record. Raises ``NotPromotedError``."""
    records = read_records(before, list(pending), desired, services)
    problems = {
        name: not_promoted(each.versioned, each.repeatable, records[name].history, environment=before)
        for name, each in pending.items()
    }
    refuse(environment, Passage(problems, {}))


def proof_home(desired: Desired) -> str | None:
    """The environment that throw-away branches for proofs come from, and that keeps the proofs: that of previews."""
    if desired.preview is not None and desired.preview.branch.source is not None:
        return desired.preview.branch.source
    return next((name for name, spec in desired.environments.items() if not spec.production_data), None)


def read_records(
    environment: str, databases: Sequence[str], desired: Desired, services: Services
) -> Mapping[str, Record]:
    """The records of these databases in one environment; an empty one where there is no such database yet."""

    def one(database: str) -> Record:
        try:
            with logged_in([database], desired.environments[environment], services) as connections:
                connection = connections[database]
                return Record(read_history(connection), read_evidence(connection))
        except ServiceError as error:
            if error.code == "AWS_NOT_FOUND":
                return Record()
            error.add_note(f"{environment} was asked what has run there: the gate reads it from the database itself")
            raise

    return by_key(one, databases)


def _unpromoted(each: Waiting, before: str | None, source: Record | None) -> Iterator[str]:
    if before is not None and source is not None:
        yield from not_promoted(each.pending.versioned, each.pending.repeatable, source.history, environment=before)


def _unbelievable(database: str, relied_on: Mapping[str, Record]) -> Iterator[str]:
    """Proofs and rehearsals count only where nobody tampered with the evidence that holds them."""
    for name, record in relied_on.items():
        broken = broken_chain(record.evidence)
        if broken:
            command = f"neonctl migrate history --env {name} --database {database}"
            yield f"the evidence of {name} cannot be believed, {broken}: {command}"


def _unproven(each: Waiting, proofs: Mapping[tuple[str, str], str]) -> Iterator[str]:
    for file in unproven(each.pending.versioned, proofs):
        yield f"{file.script} is not proven as it is now: neonctl migrate prove --database {each.database}"


def _unrehearsed(environment: str, each: Waiting, spec: EnvironmentSpec, now: datetime) -> Iterator[str]:
    newest = next((entry for entry in reversed(each.record.evidence) if entry.kind == "rehearsal"), None)
    command = f"neonctl migrate rehearse --env {environment} --database {each.database}"
    if newest is None:
        yield f"there is no rehearsal on record: {command}"
        return
    budget, held_to = spec.migrations.max_lock_seconds, newest.details.get("max_lock_s")
    if budget is not None and (held_to is None or held_to > budget):
        yield f"the rehearsal was not held to a lock budget of {budget:g} s: {command}"
        return
    problem = staleness(
        newest.details,
        state=target_state(each.record.history),
        files=each.pending.files,
        now=now,
        max_age=timedelta(hours=spec.migrations.rehearsal_max_age_hours),
    )
    if problem:
        yield f"{problem}: {command}"
