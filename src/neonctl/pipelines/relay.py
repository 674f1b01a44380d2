"""The outbox of an environment's bank_core to the bus that its AWS account has for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from neonctl.banking.outbox import SOURCE, Event
from neonctl.banking.relay import MAX_ATTEMPTS, Relayed, relay
from neonctl.vault.events import OutgoingEvent

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.desired.model import Desired
    from neonctl.provision.services import Services
    from neonctl.vault.events import EventBus

DEFAULT_BUS: Final = "bank-core"


def event_bus(environment: str, *, desired: Desired, services: Services) -> EventBus:
    """The bus that the parameter names, else ``bank-core``; proven to be there. The embedded platform makes it.

    Raises ``ServiceError`` EVENT_BUS_MISSING.
    """
    spec = desired.environments[environment]
    aws = services.aws(spec.aws)
    parameter = f"/bank/{spec.stage}/eventbridge/{DEFAULT_BUS}/arn"
    bus = aws.event_bus(aws.parameters().read([parameter]).get(parameter, DEFAULT_BUS))
    if services.settings.local:
        bus.create()
    bus.check()
    return bus


def relay_events(
    conn: psycopg.Connection[TupleRow],
    bus: EventBus,
    *,
    max_attempts: int = MAX_ATTEMPTS,
    on_event: Callable[[Event, str | None], object] | None = None,
    record: Callable[[Relayed], object] | None = None,
) -> Relayed:
    """Publish what waits in the outbox. ``record`` is called in each transaction that marks rows.

    Raises ``RetryableError`` OUTBOX_RELAY_BUSY, ``AwsError``.
    """

    def publish(events: Sequence[Event]) -> Sequence[str | None]:
        return bus.publish([_outgoing(event) for event in events])

    return relay(conn, publish, max_attempts=max_attempts, on_event=on_event, record=record)


def _outgoing(event: Event) -> OutgoingEvent:
    return OutgoingEvent(
        source=SOURCE,
        detail_type=event.event_type,
        detail=json.dumps(event.detail, ensure_ascii=False, separators=(",", ":")),
        time=event.created_at,
        group=event.event_no if event.pack is None else event.pack,
    )
