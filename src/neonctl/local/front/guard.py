"""Neon's rule about passwords, kept as Neon keeps it: when a transaction that set one wants to commit.

Neon's computes tell the control plane each password at commit, and the control plane refuses what is not plain
text (facts.md 5). Here the guard stands between client and server while such a transaction lasts. Before the
commit it asks the server which verifiers the transaction wrote, and looks for the plain text among what the
client has said. What was committed is reported; what is refused is rolled back.

Limits: a password that the server makes up by itself is let through unreported, and a client that reads answers
with Flush before it sends Sync is served unguarded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neonctl.local.front import wire
from neonctl.local.front.sql_text import Statement, statements
from neonctl.local.front.verifier import is_weak, matches
from neonctl.secret import Secret

if TYPE_CHECKING:
    from neonctl.local.front.relay import Relay

_CHANGED = "SELECT role, verifier FROM pg_catalog.neonctl_changed_passwords()"
_REFUSED = 'Received HTTP code 400 from control plane: {{"message":"{}"}}'
_PLAIN_ONLY = _REFUSED.format("Neon only supports being given plaintext passwords.")
_TOO_WEAK = _REFUSED.format("Password is too weak. It needs at least 12 characters and 60 bits of entropy.")

_QUERY, _PARSE, _SYNC, _FLUSH, _CALL, _TERMINATE = (wire.kind(letter) for letter in "QPSHFX")
_READY, _ERROR, _ROW, _COMPLETE = (wire.kind(letter) for letter in "ZEDC")
_UNASKED = frozenset(wire.kind(letter) for letter in "AS")  # notifications and parameter changes
_COPY = frozenset(wire.kind(letter) for letter in "dcf")


@dataclass(frozen=True)
class Sighting:
    """A plain password that a committed transaction gave to a role."""

    role: str
    password: Secret


@dataclass
class _Answer:
    """How a request ended: its error, and its last CommandComplete where that was held back."""

    error: wire.Message | None = None
    held: wire.Message | None = None


class Guard:
    """Runs one connection's statements from the first suspicious one to the end of its transaction."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._sightings: list[Sighting] = []

    async def run(self) -> None:
        """Until no transaction is open and the client waits."""
        relay = self._relay
        await relay.settled()
        if relay.unsynced and (await self._send([wire.build("S")])).error is not None:
            # The messages before failed, so that the server would have skipped those up to Sync.
            while (await relay.next_client()).kind != _SYNC:
                pass
            relay.to_client(wire.ready(relay.status))
        while not (relay.idle() and relay.status == "I"):
            await self._serve(await relay.next_client())
            if relay.status == "I":
                self._sightings.clear()
        relay.release()

    async def _serve(self, first: wire.Message) -> None:
        relay = self._relay
        if first.kind in _COPY or first.kind == _TERMINATE:
            relay.to_server(first.raw)
        elif first.kind == _QUERY:
            await self._simple(first)
        elif first.kind == _CALL:
            await self._send([first.raw])
            relay.to_client(wire.ready(relay.status))
        else:
            unit = [first]
            while unit[-1].kind not in {_SYNC, _FLUSH}:
                unit.append(await relay.next_client())
            if unit[-1].kind == _FLUSH:
                await self._unguarded(unit)
            else:
                await self._extended(unit)

    async def _unguarded(self, unit: list[wire.Message]) -> None:
        while unit[-1].kind != _SYNC:
            self._relay.to_server(b"".join(message.raw for message in unit))
            unit = [await self._pass_until_client()]
        await self._send([unit[-1].raw])
        self._relay.to_client(wire.ready(self._relay.status))

    async def _pass_until_client(self) -> wire.Message:
        client = asyncio.ensure_future(self._relay.next_client())
        while not client.done():
            server = asyncio.ensure_future(self._relay.next_server())
            await asyncio.wait({client, server}, return_when=asyncio.FIRST_COMPLETED)
            if server.done():
                self._relay.to_client(server.result().raw)
            else:
                server.cancel()
        return client.result()

    # Simple queries

    async def _simple(self, message: wire.Message) -> None:
        self._relay.suspicion.examine(message)
        text = message.body.rstrip(b"\0").decode(errors="surrogateescape")
        for kind, piece in _pieces(text):
            if not await self._piece(kind, wire.query(piece), wrap=_wrappable(piece)):
                break
        self._relay.to_client(wire.ready(self._relay.status))

    async def _piece(self, kind: str, raw: bytes, *, wrap: bool) -> bool:
        relay = self._relay
        if kind == "commit" and relay.status == "T":
            return await self._commit([raw])
        if kind == "other" and wrap and relay.status == "I":
            return await self._autocommit([raw])
        return (await self._send([raw])).error is None

    # The extended protocol

    async def _extended(self, unit: list[wire.Message]) -> None:
        relay = self._relay
        suspicious, commit, begins = False, None, False
        for index, message in enumerate(unit):
            if message.kind in {_PARSE, wire.kind("B")}:
                suspicious |= relay.suspicion.examine(message)
                if commit is None and relay.suspicion.note_commit(message):
                    commit = index
                if message.kind == _PARSE:
                    begins |= _begins(wire.parse_fields(message)[1])
        raw = [message.raw for message in unit]
        if commit is not None:
            await self._up_to_commit(raw[:commit], raw[commit:])
        elif relay.status == "I" and suspicious and not begins:
            await self._autocommit(raw)
        else:
            await self._send(raw)
        relay.to_client(wire.ready(relay.status))

    async def _up_to_commit(self, before: list[bytes], rest: list[bytes]) -> None:
        if before and (await self._send([*before, wire.build("S")])).error is not None:
            return
        if self._relay.status == "T":
            await self._commit(rest)
        else:
            await self._send(rest)

    # Committing

    async def _autocommit(self, raw: list[bytes]) -> bool:
        """Run a request in a transaction of its own, which the client doesn't see."""
        await self._ask("BEGIN")
        answer = await self._send(raw, hold=True)
        refusal = answer.error if answer.error is not None else await self._refusal()
        if refusal is None:
            refusal = (await self._ask("COMMIT"))[1]
        else:
            await self._ask("ROLLBACK")
        if refusal is not None:
            if refusal is not answer.error:
                self._relay.to_client(refusal.raw)
            return False
        if answer.held is not None:
            self._relay.to_client(answer.held.raw)
        self._report()
        return True

    async def _commit(self, raw: list[bytes]) -> bool:
        refusal = await self._refusal()
        if refusal is not None:
            await self._ask("ROLLBACK")
            self._relay.to_client(refusal.raw)
            return False
        answer = await self._send(raw, hold=True)
        if answer.held is not None:
            self._relay.to_client(answer.held.raw)
            if answer.held.body.startswith(b"COMMIT"):
                self._report()
        return answer.error is None

    async def _refusal(self) -> wire.Message | None:
        """Why the open transaction must not commit; None, and ``_sightings`` filled, when it may."""
        changed, error = await self._ask(_CHANGED)
        if error is not None:
            return error
        self._sightings.clear()
        for role, verifier in changed:
            candidates = self._relay.suspicion.candidates(role)
            if any(verifier in candidate for candidate in candidates):
                return _error(_PLAIN_ONLY)
            password = await asyncio.to_thread(_plain, candidates, verifier, role)
            if password is not None and is_weak(password):
                return _error(_TOO_WEAK)
            if password is not None:
                self._sightings.append(Sighting(role, Secret(password)))
        return None

    def _report(self) -> None:
        sightings, self._sightings = self._sightings, []
        for sighting in sightings:
            self._relay.report(sighting)

    # Talking with the server

    async def _send(self, raw: list[bytes], *, hold: bool = False) -> _Answer:
        """Send a request, pass its answer on but for ReadyForQuery, and with ``hold`` the last CommandComplete."""
        relay, answer = self._relay, _Answer()
        relay.to_server(b"".join(raw))
        while (message := await relay.next_server()).kind != _READY:
            if answer.held is not None and message.kind not in _UNASKED:
                relay.to_client(answer.held.raw)
                answer.held = None
            if message.kind == _ERROR:
                answer.error = message
            if hold and message.kind == _COMPLETE:
                answer.held = message
            else:
                relay.to_client(message.raw)
        return answer

    async def _ask(self, text: str) -> tuple[list[list[str]], wire.Message | None]:
        """A query of our own, which the client doesn't see: its rows, or its error."""
        relay = self._relay
        rows: list[list[str]] = []
        error = None
        relay.to_server(wire.query(text))
        while (message := await relay.next_server()).kind != _READY:
            if message.kind == _ROW:
                rows.append(wire.row(message))
            elif message.kind == _ERROR:
                error = message
            elif message.kind in _UNASKED:
                relay.to_client(message.raw)
        return rows, error


def _plain(candidates: list[str], verifier: str, role: str) -> str | None:
    return next((candidate for candidate in candidates if matches(candidate, verifier, role)), None)


def _error(text: str) -> wire.Message:
    return wire.Message(_ERROR, wire.error("XX000", text))


def _kind(statement: Statement) -> str:
    match statement.words:
        case ("commit", "prepared", *_):
            return "other"
        case ("commit" | "end", *_):
            return "commit"
        case ("begin" | "start" | "rollback" | "abort", *_):
            return "control"
        case _:
            return "other"


def _pieces(text: str) -> list[tuple[str, str]]:
    """The text in pieces that can be sent one by one: transaction commands, and runs of anything else."""
    found: list[tuple[str, str]] = []
    kinds = [(_kind(statement), statement.text) for statement in statements(text)]
    if all(kind == "other" for kind, _ in kinds):
        return [("other", text)]
    for kind, piece in kinds:
        if kind == "other" and found and found[-1][0] == "other":
            found[-1] = ("other", found[-1][1] + piece)
        else:
            found.append((kind, piece))
    return found


def _begins(text: str) -> bool:
    return any(_kind(statement) == "control" for statement in statements(text))


def _wrappable(text: str) -> bool:
    # A procedure or a DO block that commits by itself cannot run inside a transaction of ours.
    firsts = {statement.words[0] for statement in statements(text)}
    low = text.lower()
    return "call" not in firsts and not ("do" in firsts and ("commit" in low or "rollback" in low))
