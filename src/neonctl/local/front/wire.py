"""Messages of PostgreSQL's frontend/backend protocol, as far as a compute's port reads or writes them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

PROTOCOL_3 = 3
CANCEL = 80877102
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
TLS_HANDSHAKE = 0x16  # first byte of a TLS record: direct negotiation, PostgreSQL 17 and newer
MAX_STARTUP = 10_000

StructError = struct.error

header: Callable[[bytes, int], tuple[int, int]] = struct.Struct(">BI").unpack_from  # type and length


@dataclass(frozen=True)
class Message:
    """One message after startup: its type byte and all of its bytes, header included."""

    kind: int
    raw: bytes

    @property
    def body(self) -> bytes:
        """The bytes after type and length."""
        return self.raw[5:]


def kind(letter: str) -> int:
    """The type byte of a letter of the manual."""
    return ord(letter)


def build(letter: str, body: bytes = b"") -> bytes:
    """A whole message."""
    return letter.encode() + struct.pack(">I", len(body) + 4) + body


def query(text: str) -> bytes:
    """A simple Query; a text that came as bytes goes out as the same bytes."""
    return build("Q", text.encode(errors="surrogateescape") + b"\0")


def error(code: str, text: str, *, severity: str = "ERROR") -> bytes:
    """An ErrorResponse."""
    fields = (("S", severity), ("V", severity), ("C", code), ("M", text))
    return build("E", b"".join(name.encode() + value.encode() + b"\0" for name, value in fields) + b"\0")


def ready(status: str) -> bytes:
    """ReadyForQuery: ``I`` idle, ``T`` in a transaction, ``E`` in a failed one."""
    return build("Z", status.encode())


def startup_parameters(packet: bytes) -> dict[str, str]:
    """The parameters of a StartupMessage, given with its length. Raises ValueError when it is malformed."""
    parts = packet[8:].split(b"\0")
    texts = [part.decode(errors="replace") for part in parts]
    parameters: dict[str, str] = {}
    for name, value in zip(texts[::2], texts[1::2], strict=False):
        if not name:
            return parameters
        parameters[name] = value
    raise ValueError("a startup message ends without its closing zero")


def startup(version: int, parameters: Iterable[tuple[str, str]]) -> bytes:
    """A StartupMessage of this protocol version."""
    body = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters) + b"\0"
    return struct.pack(">II", len(body) + 8, version) + body


def c_string(data: bytes, position: int) -> tuple[bytes, int]:
    """A zero-ended string at a position, and where it ends. Raises ValueError when it doesn't."""
    end = data.index(b"\0", position)
    return data[position:end], end + 1


def parse_fields(message: Message) -> tuple[bytes, str]:
    """Statement name and text of a Parse."""
    name, position = c_string(message.raw, 5)
    text, _ = c_string(message.raw, position)
    return name, text.decode(errors="surrogateescape")


def bound_statement(message: Message) -> bytes:
    """The statement name of a Bind."""
    _, position = c_string(message.raw, 5)
    return c_string(message.raw, position)[0]


def bound_values(message: Message) -> list[str]:
    """The parameters of a Bind that may be text, in order."""
    _, position = c_string(message.raw, 5)
    _, position = c_string(message.raw, position)
    formats = struct.unpack_from(">H", message.raw, position)[0]
    position += 2 + 2 * formats
    count = struct.unpack_from(">H", message.raw, position)[0]
    position += 2
    values: list[str] = []
    for _ in range(count):
        size = struct.unpack_from(">i", message.raw, position)[0]
        position += 4
        if size > 0:
            values.append(message.raw[position : position + size].decode(errors="surrogateescape"))
            position += size
    return values


def row(message: Message) -> list[str]:
    """The columns of a DataRow in text format; NULL as an empty text."""
    columns: list[str] = []
    count = struct.unpack_from(">H", message.raw, 5)[0]
    position = 7
    for _ in range(count):
        size = struct.unpack_from(">i", message.raw, position)[0]
        position += 4
        columns.append(message.raw[position : position + max(size, 0)].decode(errors="surrogateescape"))
        position += max(size, 0)
    return columns
