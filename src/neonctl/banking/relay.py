"""From the outbox to whoever publishes: at least once, in order per account, dead letters after bounded retries.

A row is marked only after all its events were accepted. Killed in between, it is published again: the same
``event_id`` says so. Two rows that concern one account are never under way at once, so that one that is refused cannot
be overtaken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.outbox import Event, mark_failed, mark_published, read_outbox
from neonctl.banking.statement import transaction

MAX_ATTEMPTS: Final = 10
BACKOFF: Final = timedelta(seconds=1)
_ROWS: Final = 200

#: Publishes events and says of each what was wrong with it, None for nothing. Raises when none of them got through.
Publish = Callable[[Sequence[Event]], Sequence[str | None]]


@dataclass(frozen=True)
class Relayed:
    """What a relay did: events published, rows put off, rows given up."""

    published: int = 0
    failed: int = 0
    dead: int = 0

    def __add__(self, other: Relayed) -> Relayed:
        return Relayed(self.published + other.published, self.failed + other.failed, self.dead + other.dead)


def relay(
    conn: psycopg.Connection[TupleRow],
    publish: Publish,
    *,
    max_attempts: int = MAX_ATTEMPTS,
    backoff: timedelta = BACKOFF,
    on_event: Callable[[Event, str | None], object] | None = None,
    record: Callable[[Relayed], object] | None = None,
) -> Relayed:
    """Publish what waits, until nothing is ready. ``on_event`` hears of each event, and what was wrong with it;
    ``record`` is called inside each transaction that marks rows.

    Raises ``RetryableError`` OUTBOX_RELAY_BUSY, and what ``publish`` raises; what was accepted before is marked.
    """
    total = Relayed()
    while True:
        with transaction(conn, "relaying events"):
            events = read_outbox(conn, limit=_ROWS)
            done = _Round(conn, publish, max_attempts, backoff, on_event)
            try:
                for wave in waves(events):
                    done.send(wave)
            finally:  # what was accepted stays accepted, whatever happened after it
                done.mark()
                if record is not None and done.result != Relayed():
                    record(done.result)
                total += done.result
                failure = done.failure
        if failure is not None:
            raise failure
        if not events:
            return total


def waves(events: Sequence[Event]) -> list[list[list[Event]]]:
    """Rows in waves: no two rows of a wave concern the same account, and each comes after all that it must follow."""
    depth: dict[str, int] = {}
    found: list[list[list[Event]]] = []
    for _, group in groupby(events, key=attrgetter("event_no")):
        row = list(group)
        accounts = frozenset[str]().union(*(event.accounts for event in row))
        place = max((depth.get(account, 0) for account in accounts), default=0)
        for account in accounts:
            depth[account] = place + 1
        if place == len(found):
            found.append([])
        found[place].append(row)
    return found


class _Round:
    """One reading of the outbox: what was sent, and what became of it."""

    def __init__(
        self,
        conn: psycopg.Connection[TupleRow],
        publish: Publish,
        max_attempts: int,
        backoff: timedelta,
        on_event: Callable[[Event, str | None], object] | None,
    ) -> None:
        self._conn = conn
        self._publish = publish
        self._max_attempts = max_attempts
        self._backoff = backoff
        self._on_event = on_event
        self._accepted: list[int] = []
        self._refused: dict[int, str] = {}
        self._held: set[str] = set()  # accounts with a row that was refused: the later ones wait
        self.result = Relayed()
        self.failure: Exception | None = None

    def send(self, wave: Sequence[Sequence[Event]]) -> None:
        """Publish the rows of a wave that nothing holds back."""
        if self.failure is not None:
            return
        free = [row for row in wave if not self._accounts(row) & self._held]
        events = [event for row in free for event in row]
        if not events:
            return
        try:
            wrong = dict(zip([(event.event_no, event.n) for event in events], self._publish(events), strict=True))
        except Exception as error:
            self.failure = error  # raised when what was accepted before is marked
            return
        for row in free:
            found = [(event, wrong[event.event_no, event.n]) for event in row]
            refused = next((said for _, said in found if said is not None), None)
            for event, said in found:
                if self._on_event is not None:
                    self._on_event(event, said)
            if refused is None:
                self._accepted.append(row[0].event_no)
                self.result += Relayed(published=len(row))
            else:
                self._refused[row[0].event_no] = refused
                self._held |= self._accounts(row)

    def mark(self) -> None:
        """Write down what became of each row."""
        if self._accepted:
            mark_published(self._conn, self._accepted)
        for event_no, error in self._refused.items():
            dead = mark_failed(self._conn, event_no, error, max_attempts=self._max_attempts, backoff=self._backoff)
            self.result += Relayed(failed=0 if dead else 1, dead=1 if dead else 0)

    @staticmethod
    def _accounts(row: Sequence[Event]) -> frozenset[str]:
        return frozenset[str]().union(*(event.accounts for event in row))
