"""EventBridge: events put on a bus, ten a call, each accepted or refused by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from neonctl.errors import ServiceError
from neonctl.vault.failures import AwsError, call

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

MOST_ENTRIES = 10  # of one PutEvents
MOST_BYTES = 256 * 1024  # of one PutEvents, all entries together
PARALLEL = 8


@dataclass(frozen=True)
class OutgoingEvent:
    """One event. ``detail``: a JSON object as text. ``group``: those of one group are sent one after another."""

    source: str
    detail_type: str
    detail: str
    time: datetime
    group: object = None

    @property
    def size(self) -> int:
        """Bytes, as AWS counts them."""
        return 14 + sum(len(text.encode()) for text in (self.source, self.detail_type, self.detail))


class EventBus:
    """One bus of an AWS account. Safe to use from several threads."""

    def __init__(self, client: EventBridgeClient, name: str) -> None:
        self._client = client
        self.name = name

    def check(self) -> None:
        """Prove that the bus is there: AWS accepts events for one that is not, and drops them.

        Raises ``ServiceError`` EVENT_BUS_MISSING, or ``AwsError``.
        """
        try:
            call("events:DescribeEventBus", self.name, self._client.describe_event_bus, Name=self.name)
        except AwsError as error:
            if error.code != "AWS_NOT_FOUND":
                raise
        else:
            return
        raise ServiceError(
            "EVENT_BUS_MISSING",
            f"there is no event bus {self.name}: events would be dropped",
            hint="make the bus, or correct the parameter that names it",
        )

    def create(self) -> None:
        """Make the bus unless it is there."""
        try:
            call("events:CreateEventBus", self.name, self._client.create_event_bus, Name=self.name)
        except AwsError as error:
            if error.aws_code != "ResourceAlreadyExistsException":
                raise

    def publish(self, events: Sequence[OutgoingEvent]) -> list[str | None]:
        """Put all events; of each what was wrong with it, None when it was accepted.

        Raises ``AwsError`` when a call as a whole failed: some of the events may then have been accepted.
        """
        wrong: list[str | None] = [None] * len(events)
        fitting: list[int] = []
        for index, event in enumerate(events):
            if event.size > MOST_BYTES:
                wrong[index] = f"TooLarge: {event.size} bytes, at most {MOST_BYTES} fit into a call"
            else:
                fitting.append(index)
        lanes = list(_lanes(events, fitting))

        def run(lane: Sequence[Sequence[int]]) -> None:
            for batch in lane:
                for index, said in zip(batch, self._put([events[index] for index in batch]), strict=True):
                    wrong[index] = said

        if len(lanes) == 1:
            run(lanes[0])
        elif lanes:
            with ThreadPoolExecutor(max_workers=min(PARALLEL, len(lanes))) as pool:
                list(pool.map(run, lanes))
        return wrong

    def _put(self, events: Sequence[OutgoingEvent]) -> list[str | None]:
        entries: list[PutEventsRequestEntryTypeDef] = [
            {
                "Source": event.source,
                "DetailType": event.detail_type,
                "Detail": event.detail,
                "Time": event.time,
                "EventBusName": self.name,
            }
            for event in events
        ]
        answer = call("events:PutEvents", self.name, self._client.put_events, Entries=entries)
        codes = [(entry.get("ErrorCode"), entry.get("ErrorMessage", "")) for entry in answer["Entries"]]
        return [f"{code}: {message}" if code else None for code, message in codes]


def _lanes(events: Sequence[OutgoingEvent], indexes: Sequence[int]) -> Iterator[list[list[int]]]:
    """Batches that fit a call. A group that needs several gets a lane: one after another, lanes side by side."""
    batch: list[int] = []
    size = 0
    position = 0
    while position < len(indexes):
        end = position + 1
        while end < len(indexes) and _together(events[indexes[position]], events[indexes[end]]):
            end += 1
        group = list(indexes[position:end])
        weight = sum(events[index].size for index in group)
        if len(group) > MOST_ENTRIES or weight > MOST_BYTES:
            yield _split(events, group)
        elif len(batch) + len(group) > MOST_ENTRIES or size + weight > MOST_BYTES:
            yield [batch]
            batch, size = group, weight
        else:
            batch, size = batch + group, size + weight
        position = end
    if batch:
        yield [batch]


def _together(one: OutgoingEvent, other: OutgoingEvent) -> bool:
    return one.group is not None and one.group == other.group


def _split(events: Sequence[OutgoingEvent], group: Sequence[int]) -> list[list[int]]:
    lane: list[list[int]] = [[]]
    size = 0
    for index in group:
        if len(lane[-1]) == MOST_ENTRIES or size + events[index].size > MOST_BYTES:
            lane.append([])
            size = 0
        lane[-1].append(index)
        size += events[index].size
    return lane
