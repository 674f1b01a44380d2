"""events relay | list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.bank import Desk, Environment, document
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.banking.outbox import Event
    from neonctl.cli.session import Session


_MOST = 2**63 - 1  # what the database numbers rows with


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group(app, "events", "The transactional outbox, and its way to EventBridge.")
    command(group, "relay")(events_relay)
    command(group, "list")(events_list)


def events_relay(
    session: Session,
    env: Environment,
    max_attempts: Annotated[
        int, typer.Option("--max-attempts", min=1, max=1000, help="An event refused so often is a dead letter")
    ] = 10,
    revive: Annotated[
        list[int] | None,
        typer.Option("--revive", min=1, max=_MOST, metavar="EVENT_NO", help="Try a dead letter anew; repeatable"),
    ] = None,
) -> int:
    """Publish what waits in the outbox: at least once, in order per account. Exit 1 when events were refused."""
    from neonctl.banking.outbox import revive as revived
    from neonctl.pipelines.relay import event_bus, relay_events

    desk = Desk(session, env, "events relay")

    def heard(event: Event, wrong: str | None) -> None:
        log_event(desk, event, wrong)

    bus = event_bus(env, desired=desk.desired, services=desk.services)
    with desk.changing("events.relay", f"{env}/bank_core", {"bus": bus.name}) as change:
        again = (
            change.commit(lambda: revived(change.conn, revive), lambda it: {"revived": it, "event_nos": revive})
            if revive
            else 0
        )
        done = relay_events(
            change.conn,
            bus,
            max_attempts=max_attempts,
            on_event=heard,
            record=lambda marked: change.record(document(marked)),
        )
        change.noted.update({key: str(value) for key, value in document(done).items()})
    result = {"bus": bus.name, "revived": again, **document(done)}
    text = f"{done.published} events published to {bus.name}"
    if done.failed or done.dead:
        text += f"; {done.failed} refused and put off, {done.dead} given up: `neonctl events list --state dead`"
    session.emit(result, text)
    return 1 if done.failed or done.dead else 0


def events_list(
    session: Session,
    env: Environment,
    state: Annotated[
        Literal["pending", "published", "dead", "all"], typer.Option("--state", help="Which events")
    ] = "pending",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many")] = 100,
) -> int:
    """List the outbox: what waits, what was published, what was given up."""
    from neonctl.banking.outbox import list_outbox
    from neonctl.cli.table import table

    with Desk(session, env, "events list").reading() as conn:
        found = list_outbox(conn, state, limit=limit)
    events = [document(each) for each in found]
    columns = ("event_no", "event_type", "state", "attempts", "created_at", "last_error")
    rows = [[str(each[column] if each[column] is not None else "-") for column in columns] for each in events]
    header = [column.replace("_", " ") for column in columns]
    session.emit({"events": events}, table(header, rows) if rows else "no events")
    return 0


def log_event(desk: Desk, event: Event, wrong: str | None) -> None:
    """One line for an event, under the trace id of what it tells of."""
    name = event.event_type.rpartition(".")[2] + ("_published" if wrong is None else "_publish_failed")
    facts = {"event_id": event.event_id, "event_no": event.event_no, "upstream_trace_id": event.trace_id}
    desk.log(name, **facts, **({} if wrong is None else {"error": wrong}))
