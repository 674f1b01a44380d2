"""Migrations for the databases of one environment, side by side, each with its own stored credential.

Everything that can refuse is asked of every database before the first file runs in any; the first error stops all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from neonctl.migrations.check import compare
from neonctl.migrations.history import read_history
from neonctl.pipelines.logins import logged_in
from neonctl.provision.parallel import by_key
from neonctl.provision.progress import Event, Progress

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.desired.model import Desired, EnvironmentSpec
    from neonctl.migrations.check import Pending
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder
    from neonctl.migrations.history import AppliedMigration
    from neonctl.migrations.progress import MigrationEvent
    from neonctl.migrations.runner import MigrationResult
    from neonctl.migrations.session import RunSettings
    from neonctl.pipelines.gate import Passage
    from neonctl.provision.services import Services

_LOCK_TIMEOUT_S = 5.0  # where the YAML says nothing of migrate_user
_STATEMENT_TIMEOUT_S = 900.0

Connections = Mapping[str, "psycopg.Connection[TupleRow]"]


@dataclass(frozen=True)
class Order:
    """How a run differs from the ordinary one. ``break_glass``: why the gate is passed although it is shut."""

    target: int | None = None
    out_of_order: bool = False
    require_rehearsal: bool = False
    break_glass: str | None = None


@dataclass(frozen=True)
class Run:
    """What one environment's run did. ``overruled``: database → what the gate said and break-glass passed over."""

    environment: str
    results: Mapping[str, MigrationResult] = field(default_factory=dict[str, "MigrationResult"])
    overruled: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True)
class Intent:
    """What is about to run. ``overruled``: database → what the gate said and break-glass passes over; ``altered``:
    database → what somebody altered by hand since the last migration. The run makes it part of the recorded
    catalogue, so it is put on record by itself first.
    """

    environment: str
    pending: Mapping[str, Pending]
    overruled: Mapping[str, tuple[str, ...]]
    altered: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Outcome:
    """How one database's part of a run ended, and which files it has got, whatever became of the run.

    ``stopped``: another database failed, or somebody interrupted; what is missing is still pending.
    """

    environment: str
    database: str
    state: Literal["done", "failed", "stopped"]
    scripts: tuple[str, ...]
    verb: Literal["applied", "undone"] = "applied"

    def __str__(self) -> str:
        got = f"{', '.join(self.scripts) or 'nothing'} {self.verb}"
        return f"{self.environment}/{self.database}: {got}" + ("" if self.state == "done" else f", then {self.state}")


@dataclass(frozen=True)
class Look:
    """One database before the run."""

    pending: Pending
    history: tuple[AppliedMigration, ...]


def promotion_order(desired: Desired, environments: Sequence[str]) -> list[str]:
    """The environments so that each comes after the one it is promoted from: dev → uat → prod (product.md 5)."""
    ordered: list[str] = []

    def add(name: str) -> None:
        before = desired.environments[name].migrations.promoted_from
        if before is not None and before in environments:
            add(before)
        if name not in ordered:
            ordered.append(name)

    for name in environments:
        add(name)
    return ordered


def run_settings(desired: Desired, spec: EnvironmentSpec, order: Order) -> RunSettings:
    """Timeouts as the environment gives them to ``migrate_user``; 0 is "no limit", as in Postgres."""
    from neonctl.migrations.session import RunSettings

    limits = spec.roles.get("migrate_user")
    lock = limits.lock_timeout_seconds if limits else None
    statement = limits.statement_timeout_seconds if limits else None
    return RunSettings(
        lock_timeout_s=_LOCK_TIMEOUT_S if lock is None else lock,
        statement_timeout_s=_STATEMENT_TIMEOUT_S if statement is None else statement,
        out_of_order=order.out_of_order,
        undo_record=desired.platform.migrations.undo_record,
    )


def migrate_environment(
    environment: str,
    databases: Sequence[str],
    *,
    desired: Desired,
    files: Mapping[str, MigrationFolder],
    services: Services,
    progress: Progress,
    provenance: Callable[[], Provenance],
    order: Order,
    before: Callable[[Intent], None],
    after: Callable[[Outcome], None],
) -> Run:
    """Run what is pending in these databases, as ``{db}_migrate_user`` over the direct host.

    ``provenance`` is asked only when there is something to run, and ``before`` is told what: it may refuse by
    raising. ``after`` is told of each database once it is through, from that database's thread, whether it failed
    or not. Raises what ``gate.refuse`` and ``runner.migrate`` raise.
    """
    spec = desired.environments[environment]
    with logged_in(databases, spec, services) as connections:
        looks = by_key(lambda name: _look(connections[name], name, files[name], order), databases)
        waiting = {name: look for name, look in looks.items() if look.pending}
        if not waiting:
            return Run(environment)
        passage = _gate(environment, waiting, connections, desired, services, order)
        # A preview is a copy: what somebody altered by hand is on record where it was altered.
        altered: Mapping[str, tuple[str, ...]] = {}
        if spec.kind != "preview":
            altered = _altered(waiting, connections)
        before(Intent(environment, {name: each.pending for name, each in waiting.items()}, passage.problems, altered))
        origin = _origin(provenance(), waiting, passage)
        _record_break_glass(passage, connections, origin, order)
        _record_drift(altered, connections, origin)
        results = _run(
            environment,
            waiting,
            connections,
            files,
            settings=run_settings(desired, spec, order),
            provenance=origin,
            order=order,
            progress=progress,
            after=after,
        )
    return Run(environment, results, passage.problems)


def _look(connection: psycopg.Connection[TupleRow], database: str, files: MigrationFolder, order: Order) -> Look:
    history = read_history(connection)
    pending = compare(files, history, database=database, out_of_order=order.out_of_order)
    return Look(pending.up_to(order.target), history)


def _gate(
    environment: str,
    waiting: Mapping[str, Look],
    connections: Connections,
    desired: Desired,
    services: Services,
    order: Order,
) -> Passage:
    from neonctl.migrations.evidence import read_evidence
    from neonctl.migrations.runner import require_ready
    from neonctl.pipelines.gate import Record, Waiting, look, refuse

    for each in waiting.values():
        require_ready(each.pending)
    evidence = by_key(lambda name: read_evidence(connections[name]), waiting)
    passage = look(
        environment,
        [Waiting(name, each.pending, Record(each.history, evidence[name])) for name, each in waiting.items()],
        desired=desired,
        services=services,
        require_rehearsal=order.require_rehearsal,
        now=datetime.now(UTC),
    )
    if order.break_glass is None:
        refuse(environment, passage)
    return passage


def _origin(provenance: Provenance, waiting: Mapping[str, Look], passage: Passage) -> Callable[[str], Provenance]:
    """The same origin for each database, with the proofs of its own files."""

    def of(database: str) -> Provenance:
        proofs = passage.proof_ids[database]
        files = waiting[database].pending.versioned
        found = {file.version: proofs.get((file.sha256, file.undo.sha256)) for file in files}
        return replace(provenance, proof_ids={version: proof for version, proof in found.items() if proof})

    return of


def _run(
    environment: str,
    waiting: Mapping[str, Look],
    connections: Connections,
    files: Mapping[str, MigrationFolder],
    *,
    settings: RunSettings,
    provenance: Callable[[str], Provenance],
    order: Order,
    progress: Progress,
    after: Callable[[Outcome], None],
) -> Mapping[str, MigrationResult]:
    from neonctl.migrations.runner import migrate

    failed = threading.Event()

    def one(database: str) -> MigrationResult:
        applied: list[str] = []

        def tell(event: MigrationEvent) -> None:
            if event.kind == "applied" and event.script:
                applied.append(event.script)
            progress(shown(environment, event))

        state: Literal["done", "failed", "stopped"] = "failed"
        try:
            result = migrate(
                connections[database],
                database=database,
                files=files[database],
                progress=tell,
                settings=settings,
                provenance=provenance(database),
                target=order.target,
                stop=failed.is_set,
                judged=waiting[database].pending,
            )
            state = "stopped" if result.stopped else "done"
        except BaseException as error:
            failed.set()  # the others finish the file they are at, and begin no other
            if isinstance(error, KeyboardInterrupt):
                state = "stopped"
            raise
        finally:
            after(Outcome(environment, database, state, tuple(applied)))
        return result

    return by_key(one, waiting)


def _record_break_glass(
    passage: Passage, connections: Connections, provenance: Callable[[str], Provenance], order: Order
) -> None:
    """Into each database's evidence, before anything runs there."""
    from neonctl.migrations.evidence import NewEntry, record

    for database, problems in passage.problems.items():
        details = {"reason": order.break_glass, "passed_over": list(problems)}
        record(connections[database], NewEntry("break-glass", provenance(database), details=details))


def _altered(waiting: Mapping[str, Look], connections: Connections) -> Mapping[str, tuple[str, ...]]:
    """What differs from the catalogue as it was recorded last, in the databases where something does."""
    from neonctl.migrations.drift import drifted

    found = by_key(lambda name: tuple(map(str, drifted(connections[name], name))), waiting)
    return {name: lines for name, lines in found.items() if lines}


def _record_drift(
    altered: Mapping[str, tuple[str, ...]], connections: Connections, provenance: Callable[[str], Provenance]
) -> None:
    """The listing after this run has it all: without an entry of its own nobody would see it again."""
    from neonctl.migrations.evidence import NewEntry, record

    for database, lines in altered.items():
        record(connections[database], NewEntry("drift", provenance(database), details={"differences": list(lines)}))


def shown(environment: str, event: MigrationEvent) -> Event:
    """A runner's event as the terminal shows it."""
    subject = "migration " + " ".join(part for part in (event.database, event.script) if part)
    if event.kind == "waiting":
        return Event(environment, subject, "waiting")
    return Event(environment, subject, "done" if event.kind in {"applied", "undone"} else "started")
