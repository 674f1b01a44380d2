"""From the outbox to whoever publishes: at least once, in order per account, dead letters after bounded retries.

A row is marked only after all its events were accepted. Killed in between, it is published again: the same
``event_id`` says so. Rows that concern one account are under way at once only within one call. When one of them is
refused there, those after it are published once more, after it: what arrives last of an account is in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
TOGETHER: Final = 10  # events of one call, as EventBridge takes them
_ROWS: Final = 200

Row = list[Event]  # the events of one row of the outbox
Pack = list[Row]  # rows that travel in one call

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


def waves(events: Sequence[Event]) -> list[list[Pack]]:
    """Rows in packs, packs in waves: no two packs of a wave concern the same account, and each comes after all that it
    must follow. A row joins the pack before it when nothing else is between them, and both fit into one call.
    """
    found: list[list[Pack]] = []
    last: dict[str, Pack] = {}  # each account's, so far
    place: dict[int, int] = {}  # the wave of a pack
    for _, group in groupby(events, key=attrgetter("event_no")):
        row: Row = list(group)
        accounts = _accounts(row)
        before = [last[account] for account in accounts if account in last]
        newest = max((place[id(pack)] for pack in before), default=-1)
        latest = {id(pack): pack for pack in before if place[id(pack)] == newest}
        pack = next(iter(latest.values())) if len(latest) == 1 else None
        if pack is None or not _fits(pack, row):
            fresh: Pack = []
            pack = fresh
            place[id(pack)] = newest + 1
            if newest + 1 == len(found):
                found.append([])
            found[newest + 1].append(pack)
        pack.append(row)
        last.update(dict.fromkeys(accounts, pack))
    return found


def _fits(pack: Pack, row: Row) -> bool:
    """What was refused before goes alone: then nothing can arrive before it a second time."""
    if any(event.attempts for each in (*pack, row) for event in each):
        return False
    return sum(map(len, pack)) + len(row) <= TOGETHER


def _accounts(row: Row) -> frozenset[str]:
    return frozenset[str]().union(*(event.accounts for event in row))


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

    def send(self, wave: Sequence[Pack]) -> None:
        """Publish the rows of a wave that nothing holds back."""
        if self.failure is not None:
            return
        free = [row for pack in wave for row in self._free(pack)]
        events = [event for row in free for event in row]
        if not events:
            return
        try:
            wrong = dict(zip([(event.event_no, event.n) for event in events], self._publish(events), strict=True))
        except Exception as error:
            self.failure = error  # raised when what was accepted before is marked
            return
        for row in free:
            self._judge(row, [wrong[event.event_no, event.n] for event in row])

    def _free(self, pack: Pack) -> list[Row]:
        """Rows that follow nothing that was refused or waits itself; with the pack that they travel in."""
        free: list[Row] = []
        for row in pack:
            accounts = _accounts(row)
            if accounts & self._held:
                self._held |= accounts
            else:
                free.append([replace(event, pack=pack[0][0].event_no) for event in row])
        return free

    def _judge(self, row: Row, said: Sequence[str | None]) -> None:
        if self._on_event is not None:
            for event, wrong in zip(row, said, strict=True):
                self._on_event(event, wrong)
        accounts, refused = _accounts(row), next((each for each in said if each is not None), None)
        if accounts & self._held:  # it travelled with what was refused, and goes again after that
            self._held |= accounts
        elif refused is None:
            self._accepted.append(row[0].event_no)
            self.result += Relayed(published=len(row))
        else:
            self._refused[row[0].event_no] = refused
            self._held |= accounts

    def mark(self) -> None:
        """Write down what became of each row."""
        if self._accepted:
            mark_published(self._conn, self._accepted)
        for event_no, error in self._refused.items():
            dead = mark_failed(self._conn, event_no, error, max_attempts=self._max_attempts, backoff=self._backoff)
            self.result += Relayed(failed=0 if dead else 1, dead=1 if dead else 0)
