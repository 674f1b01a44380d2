"""The embedded platform's AWS endpoints on a real port, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def serving(folder: Path, faults: Any = None, clock: Callable[[], float] = time.time) -> Iterator[str]:
    """Serve until the end of the block; gives the address. Skips where this part is not installed."""
    app_room = pytest.importorskip("neonctl.local.aws.app")
    store_room = pytest.importorskip("neonctl.local.aws.store")
    store = store_room.AwsStore(folder / "aws.db", folder / "aws.key", clock=clock)
    app = app_room.make_app(store, faults=faults)
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(app, started)), name="embedded-aws")
    thread.start()
    try:
        address, loop, stop = started.result(timeout=20)
        try:
            yield address
        finally:
            loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join(timeout=20)
        store.close()


async def _serve(app: web.Application, started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    try:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        stop = asyncio.Event()
        started.set_result((f"http://127.0.0.1:{port}", asyncio.get_running_loop(), stop))
        await stop.wait()
    except BaseException as error:
        if not started.done():
            started.set_exception(error)
        raise
    finally:
        await runner.cleanup()
