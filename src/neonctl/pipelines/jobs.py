"""What a scheduler must run, again and again: each job by itself, so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from neonctl.banking.audit import Act, audited, record
from neonctl.banking.holds import sweep_holds
from neonctl.banking.outbox import Event, prune_outbox
from neonctl.banking.resolution import reconcile
from neonctl.banking.resolution_record import reconciliation_due
from neonctl.banking.snapshots import snapshots_due, take_snapshot
from neonctl.banking.statement import Trace
from neonctl.errors import NeonctlError
from neonctl.pipelines.bank import DATABASE
from neonctl.pipelines.relay import event_bus, relay_events

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.banking.holds import ExpiredHold
    from neonctl.banking.resolution import ResolutionEvent
    from neonctl.banking.snapshots import TakenSnapshot
    from neonctl.desired.model import Desired
    from neonctl.provision.services import Services
    from neonctl.vault.events import EventBus

KEEP_PUBLISHED: Final = timedelta(days=7)


@dataclass(frozen=True)
class JobResult:
    """``nothing``: there was nothing to do."""

    job: str
    outcome: Literal["done", "nothing", "failed"]
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    error: NeonctlError | None = None


@dataclass(frozen=True)
class Heard:
    """Who hears what happens inside the jobs."""

    event: Callable[[Event, str | None], object]
    expired: Callable[[ExpiredHold], object]
    snapshot: Callable[[TakenSnapshot], object]
    reconciled: Callable[[ResolutionEvent], object]


def run_due_jobs(
    conn: psycopg.Connection[TupleRow],
    environment: str,
    *,
    desired: Desired,
    services: Services,
    trace: Trace,
    heard: Heard,
) -> list[JobResult]:
    """Snapshots that are due, the sweep of expired holds, the resolution's daily reconciliation, the relay, the pruning
    of what was published long ago.

    A failure of one is in its result. Raises only what ends all of them: a broken connection.
    """
    results: list[JobResult] = []

    def job(name: str, work: Callable[[], tuple[bool, Mapping[str, object]]]) -> None:
        try:
            worked, facts = work()
        except NeonctlError as error:
            results.append(JobResult(name, "failed", error=error))
            if conn.closed:
                raise
        else:
            results.append(JobResult(name, "done" if worked else "nothing", facts))

    target = f"{environment}/{DATABASE}"
    sweep, publish, prune = (Act(action, target, trace) for action in ("hold.sweep", "events.relay", "events.prune"))
    job("snapshots", lambda: _snapshots(conn, target, trace, heard))
    job("hold-sweep", lambda: _sweep(conn, sweep, heard))
    job("reconcile", lambda: _reconcile(conn, Act("obr.reconcile", target, trace), heard))
    job("relay", lambda: _relay(conn, publish, event_bus(environment, desired=desired, services=services), heard))
    job("prune", lambda: _prune(conn, prune))
    return results


def _snapshots(
    conn: psycopg.Connection[TupleRow], target: str, trace: Trace, heard: Heard
) -> tuple[bool, Mapping[str, object]]:
    """Each day by itself: one that cannot be taken stops no other, and is told when all have been tried."""
    taken: list[str] = []
    failure: NeonctlError | None = None
    for due in snapshots_due(conn):
        act = Act("snapshot.take", f"{target}/{due.jurisdiction}", trace, {"snapshot_date": str(due.snapshot_date)})
        take = partial(take_snapshot, conn, due.jurisdiction, due.snapshot_date, trace=trace)
        try:
            done = audited(conn, act, take, facts=lambda it: {"accounts": it.accounts, "replayed": it.replayed})
        except NeonctlError as error:
            if conn.closed:
                raise
            failure = failure or error
            continue
        heard.snapshot(done)
        taken.append(f"{due.jurisdiction} {due.snapshot_date}")
    if failure is not None:
        raise failure
    return bool(taken), {"taken": taken}


def _sweep(conn: psycopg.Connection[TupleRow], act: Act, heard: Heard) -> tuple[bool, Mapping[str, object]]:
    def noted(holds: Sequence[ExpiredHold]) -> None:
        record(conn, act, facts={"hold_ids": [str(hold.hold_id) for hold in holds]})

    swept = 0
    for batch in sweep_holds(conn, record=noted):
        swept += len(batch)
        for hold in batch:
            heard.expired(hold)
    return bool(swept), {"swept": swept}


def _reconcile(conn: psycopg.Connection[TupleRow], act: Act, heard: Heard) -> tuple[bool, Mapping[str, object]]:
    """Once a day, in every state that takes part: a partition that somebody made is found where none should be, too."""
    if not reconciliation_due(conn):
        return False, {}
    done = audited(
        conn, act, partial(reconcile, conn, trace=act.trace), facts=lambda it: {"differences": it.differences}
    )
    heard.reconciled(done)
    if done.differences:
        raise NeonctlError(
            "OBR_PARTITION_DIFFERS",
            f"{done.differences} accounts are not as the resolution left them",
            hint="`neonctl obr events -o json` names them, in the last event",
            details={"event_id": str(done.event_id)},
        )
    return True, {"accounts": done.accounts_partitioned}


def _relay(
    conn: psycopg.Connection[TupleRow], act: Act, bus: EventBus, heard: Heard
) -> tuple[bool, Mapping[str, object]]:
    done = relay_events(
        conn,
        bus,
        on_event=heard.event,
        record=lambda marked: record(conn, act, facts={"bus": bus.name, **vars(marked)}),
    )
    if done.failed or done.dead:
        raise NeonctlError(
            "EVENTS_REFUSED",
            f"{done.failed} events were refused and put off, {done.dead} given up; {done.published} were published",
            hint="`neonctl events list` shows why",
        )
    return bool(done.published), {"published": done.published}


def _prune(conn: psycopg.Connection[TupleRow], act: Act) -> tuple[bool, Mapping[str, object]]:
    pruned = prune_outbox(conn, keep=KEEP_PUBLISHED, record=lambda rows: record(conn, act, facts={"rows": rows}))
    return bool(pruned), {"pruned": pruned}
