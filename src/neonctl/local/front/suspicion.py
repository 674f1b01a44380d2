"""Which of a client's messages may set a password, and what the password may have been.

The check is made in steps, so that other traffic pays next to nothing: ``flagged`` searches a whole chunk of bytes,
``examine`` looks at a single message, and SQL is taken apart only once a password was set, by ``candidates``. Wrong
alarms do no harm: the guard asks the server what changed.
"""

from __future__ import annotations

import re
from collections import deque

from neonctl.local.front import wire
from neonctl.local.front.sql_text import Literal, literals

_ROLE_DDL = re.compile(rb"\b(create|alter)\s+(role|user|group)\b")
_HASH = b"scram-sha-256$"
_COMMIT = re.compile(rb"\s*(commit|end)\b[^;]*;?\s*", re.IGNORECASE)
_REMEMBERED = 256
_KEPT_TEXT = 1 << 14  # characters; of a longer text only the literals are kept
_QUERY, _PARSE, _BIND = (wire.kind(letter) for letter in "QPB")


def flagged(data: bytes) -> bool:
    """Whether bytes from a client deserve a closer look."""
    low = data.lower()
    return b"password" in low or b"set_config" in low or _HASH in low


class Suspicion:
    """What one connection has said that may be, or may set, a password."""

    def __init__(self) -> None:
        self._said: deque[str | list[Literal]] = deque(maxlen=_REMEMBERED)  # SQL text, or what was in it
        self._setters: set[bytes] = set()  # prepared statements that set passwords
        self._carriers: set[bytes] = set()  # prepared statements whose parameters may become passwords
        self._commits: set[bytes] = set()

    @property
    def watching(self) -> bool:
        """Whether Bind messages matter although they contain no telling word."""
        return bool(self._setters or self._carriers)

    def examine(self, message: wire.Message) -> bool:
        """Remember what a Query, Parse or Bind contains; True when it may set a password."""
        if message.kind == _BIND:
            return self._bind(message)
        low = message.body.lower()  # without the length, whose last byte may look like a letter
        setter = b"password" in low and _ROLE_DDL.search(low) is not None
        carrier = setter or b"set_config" in low
        if message.kind == _PARSE:
            name, text = wire.parse_fields(message)
            _mark(self._setters, name, belongs=setter)
            _mark(self._carriers, name, belongs=carrier)
        else:
            text = message.body.rstrip(b"\0").decode(errors="surrogateescape")
        if carrier:
            self._said.append(text if len(text) <= _KEPT_TEXT else _short(literals(text)))
        return setter

    def note_commit(self, message: wire.Message) -> bool:
        """Whether a Parse or Bind is about COMMIT; prepared ones are remembered."""
        if message.kind == _BIND:
            return wire.bound_statement(message) in self._commits
        if message.kind != _PARSE:
            return False
        name, text = wire.parse_fields(message)
        commits = _COMMIT.fullmatch(text.encode(errors="surrogateescape")) is not None
        _mark(self._commits, name, belongs=commits)
        return commits

    def _bind(self, message: wire.Message) -> bool:
        name = wire.bound_statement(message)
        hashed = _HASH in message.raw.lower()
        if hashed or name in self._carriers:
            self._said.append(_short([Literal(value, None) for value in wire.bound_values(message)]))
        return hashed or name in self._setters

    def candidates(self, role: str) -> list[str]:
        """What may be this role's password, likeliest first, without repetition."""
        values = [value for said in self._said for value in (_short(literals(said)) if isinstance(said, str) else said)]
        newest = values[: -_REMEMBERED - 1 : -1]
        newest.sort(key=lambda literal: literal.role != role)
        return list(dict.fromkeys(literal.value for literal in newest))


def _short(values: list[Literal]) -> list[Literal]:
    """Those that may be a password."""
    return [value for value in values if value.value and len(value.value) < 1024][-_REMEMBERED:]


def _mark(names: set[bytes], name: bytes, *, belongs: bool) -> None:
    if belongs:
        names.add(name)
    else:
        names.discard(name)
