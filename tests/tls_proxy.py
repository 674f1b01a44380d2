"""TLS in front of a PostgreSQL that has none: answers SSLRequest, ends TLS, passes the rest on."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Generator

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@contextlib.contextmanager
def tls_proxy(context: ssl.SSLContext, target_port: int, *, drop_first: int = 0, after: bytes = b"") -> Generator[int]:
    """The port of a proxy for the length of the block. The first ``drop_first`` clients get ``after``, then nothing."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = _Proxy(context, target_port, drop_first, after)
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(proxy.serve, "127.0.0.1", 0), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Proxy:
    def __init__(self, context: ssl.SSLContext, target_port: int, drop_first: int, after: bytes) -> None:
        self._context = context
        self._target_port = target_port
        self._drop = drop_first
        self._after = after
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._pass_on(reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def close(self, server: asyncio.Server) -> None:
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._drop:
            self._drop -= 1
            writer.write(self._after)
            await writer.drain()
            return
        assert await reader.readexactly(8) == _SSL_REQUEST
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(self._context)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            await asyncio.wait(
                [asyncio.create_task(_copy(reader, to_writer)), asyncio.create_task(_copy(to_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            to_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
