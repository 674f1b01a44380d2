"""What a scheduler must run, again and again: each job by itself, so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from neonctl.banking.holds import sweep_holds
from neonctl.banking.outbox import Event, prune_outbox
from neonctl.banking.snapshots import snapshots_due, take_snapshot
from neonctl.banking.statement import Trace
from neonctl.errors import NeonctlError
from neonctl.pipelines.relay import event_bus, relay_events

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.banking.holds import ExpiredHold
    from neonctl.banking.snapshots import TakenSnapshot
    from neonctl.desired.model import Desired
    from neonctl.provision.services import Services

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


def run_due_jobs(
    conn: psycopg.Connection[TupleRow],
    environment: str,
    *,
    desired: Desired,
    services: Services,
    trace: Trace,
    heard: Heard,
) -> list[JobResult]:
    """Snapshots that are due, the sweep of expired holds, the relay, the pruning of what was published long ago.

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

    job("snapshots", lambda: _snapshots(conn, trace, heard))
    job("hold-sweep", lambda: _sweep(conn, heard))
    job("relay", lambda: _relay(conn, environment, desired, services, heard))
    job("prune", lambda: _prune(conn))
    return results


def _snapshots(conn: psycopg.Connection[TupleRow], trace: Trace, heard: Heard) -> tuple[bool, Mapping[str, object]]:
    taken: list[str] = []
    for due in snapshots_due(conn):
        heard.snapshot(take_snapshot(conn, due.jurisdiction, due.snapshot_date, trace=trace))
        taken.append(f"{due.jurisdiction} {due.snapshot_date}")
    return bool(taken), {"taken": taken}


def _sweep(conn: psycopg.Connection[TupleRow], heard: Heard) -> tuple[bool, Mapping[str, object]]:
    swept = 0
    for batch in sweep_holds(conn):
        swept += len(batch)
        for hold in batch:
            heard.expired(hold)
    return bool(swept), {"swept": swept}


def _relay(
    conn: psycopg.Connection[TupleRow], environment: str, desired: Desired, services: Services, heard: Heard
) -> tuple[bool, Mapping[str, object]]:
    bus = event_bus(environment, desired=desired, services=services)
    done = relay_events(conn, bus, on_event=heard.event)
    if done.failed or done.dead:
        raise NeonctlError(
            "EVENTS_REFUSED",
            f"{done.failed} events were refused and put off, {done.dead} given up; {done.published} were published",
            hint="`neonctl events list` shows why",
        )
    return bool(done.published), {"published": done.published}


def _prune(conn: psycopg.Connection[TupleRow]) -> tuple[bool, Mapping[str, object]]:
    pruned = prune_outbox(conn, keep=KEEP_PUBLISHED)
    return bool(pruned), {"pruned": pruned}
