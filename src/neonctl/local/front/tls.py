"""The server's side of TLS on bytes in memory: fewer layers per message than asyncio's own transport."""

from __future__ import annotations

import contextlib
import ssl

_RECORD = 16 * 1024


class ServerTls:
    """Feed it what arrives with ``receive``, send what ``send`` and ``pending`` return.

    Raises ssl.SSLError when the handshake fails or a record is forged.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.established = False
        self.ended = False  # the peer said that it sends no more

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the network, return the plain text that they complete."""
        self._in.write(data)
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
            if self._in.pending == 0:
                return b""
            first = self._tls.read(_RECORD)
            if self._in.pending == 0 and self._tls.pending() == 0:
                return first
            return first + self._read_on()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            self.ended = True
            return b""

    def _read_on(self) -> bytes:
        parts: list[bytes] = []
        try:
            while part := self._tls.read(_RECORD):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(parts)

    def send(self, data: bytes) -> bytes:
        """Return the bytes to put on the network for this plain text."""
        self._tls.write(data)
        return self._out.read()

    def pending(self) -> bytes:
        """Bytes of the handshake that are to be sent."""
        return self._out.read()

    def goodbye(self) -> bytes:
        """The notice that nothing more will be sent; without it clients report a cut connection."""
        if self.established:
            with contextlib.suppress(ssl.SSLError):  # it would wait for the peer's notice
                self._tls.unwrap()
        return self._out.read()
