"""The process behind the embedded platform: ``python -m neonctl.local.daemon --data-dir DIR``.

Opens the clusters, serves Neon's API and the AWS services on two ports of 127.0.0.1, and writes
``platform.json`` when all of it is ready. What a killed daemon left unfinished is taken up at the next start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from neonctl.errors import NeonctlError, RetryableError
from neonctl.local.api.actions import ClusterActions
from neonctl.local.api.app import BASE_PATH, make_app
from neonctl.local.api.clusters import Clusters
from neonctl.local.api.context import Api
from neonctl.local.api.documents import ORG_ID
from neonctl.local.api.expiry import delete_expired
from neonctl.local.api.limits import LimitsFile
from neonctl.local.api.store import Store
from neonctl.local.api.worker import Worker
from neonctl.local.aws.app import make_app as make_aws_app
from neonctl.local.aws.store import AwsStore
from neonctl.local.aws_faults import AwsFaults
from neonctl.local.engine import Engine, SeenPassword
from neonctl.local.faults import Faults
from neonctl.local.journal import Journal
from neonctl.local.layout import Layout
from neonctl.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

log = logging.getLogger("neonctl.local")
AWS_REGION: Final = "ap-southeast-2"
_SHUTDOWN_S: Final = 1.0
_LOCK_WAIT_S: Final = 1.0
_LOCK_PAUSE_S: Final = 0.01


class _AccessLogger(AbstractAccessLogger):
    """Method, path, status and time. No query, headers or bodies: they may hold secrets."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        self.logger.info("%s %s %s %.0f ms", request.method, request.path, response.status, time * 1000)


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; only its owner may read it."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)


def _lock(layout: Layout) -> int:
    """Hold the data directory for this process. Raises RetryableError when another daemon has it."""
    descriptor = os.open(layout.daemon_lock, os.O_CREAT | os.O_RDWR, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT_S  # whoever looks whether a daemon lives holds it for a moment
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise RetryableError("LOCAL_RUNNING", f"another platform runs in {layout.root}") from error
            time.sleep(_LOCK_PAUSE_S)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _key(layout: Layout) -> Secret:
    """The API key: made once, kept for the life of the data directory."""
    if not layout.api_key.exists():
        write_private(layout.api_key, "napi_local_" + secrets.token_urlsafe(32))
    return Secret(layout.api_key.read_text())


def _listen(wanted: int) -> socket.socket:
    """A listening socket on 127.0.0.1: on the port of last time, or on any when that is taken."""
    for port in (wanted, 0):
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(("127.0.0.1", port))
        except OSError:
            opened.close()
            continue
        return opened
    raise NeonctlError("LOCAL_NO_PORT", "no free port on 127.0.0.1")


def _sockets(layout: Layout) -> tuple[socket.socket, socket.socket]:
    """Sockets for the API and for AWS; their ports are remembered."""
    known: dict[str, Any] = json.loads(layout.ports.read_text()) if layout.ports.exists() else {}
    api, aws = _listen(int(known.get("api", 0))), _listen(int(known.get("aws", 0)))
    ports = {"api": api.getsockname()[1], "aws": aws.getsockname()[1]}
    if ports != known:
        write_private(layout.ports, json.dumps(ports))
    return api, aws


@contextlib.asynccontextmanager
async def _served(app: web.Application, opened: socket.socket) -> AsyncGenerator[str]:
    """Serve on the socket; gives the base URL."""
    runner = web.AppRunner(
        app,
        access_log_class=_AccessLogger,
        access_log=log,
        shutdown_timeout=_SHUTDOWN_S,
        handle_signals=False,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, opened).start()
        yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class _Parts:
    api: Api
    engine: Engine


@contextlib.asynccontextmanager
async def _parts(layout: Layout, faults: Faults) -> AsyncGenerator[_Parts]:
    """Store, clusters and worker, opened in order and closed in reverse."""
    store = Store(layout.api_database, layout.api_seal)
    known: list[Clusters] = []

    def on_password(seen: SeenPassword) -> None:
        for clusters in known:
            clusters.password_seen(seen)

    engine = Engine(layout.engine, on_password=on_password)
    try:
        await engine.open()
        try:
            clusters = Clusters(store, engine)
            known.append(clusters)
            actions = ClusterActions(store, clusters)
            await actions.open()
            worker = Worker(store, actions, faults)
            api = Api(store, clusters, worker, LimitsFile(layout.limits), engine.ca_file)
            worker.resume()
            expiry = asyncio.create_task(delete_expired(api), name="expiry")
            try:
                yield _Parts(api, engine)
            finally:
                expiry.cancel()
                await asyncio.gather(expiry, return_exceptions=True)
                await worker.close()
        finally:
            await engine.close()
    finally:
        store.close()


async def run(layout: Layout) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    faults, journal, key = Faults(layout.faults), Journal(), _key(layout)
    aws_store = AwsStore(layout.aws_database, layout.aws_seal)
    aws_app = make_aws_app(aws_store, faults=AwsFaults(faults, journal))
    try:
        async with _parts(layout, faults) as parts:
            app = make_app(parts.api, key=key, faults=faults, journal=journal)
            api_socket, aws_socket = _sockets(layout)
            async with _served(app, api_socket) as api_url, _served(aws_app, aws_socket) as aws_url:
                write_private(layout.state_file, json.dumps(_state(parts, key, api_url, aws_url)))
                log.info("ready: %s", api_url)
                await stop.wait()
                log.info("stopping")
                layout.state_file.unlink(missing_ok=True)
    finally:
        aws_store.close()


def _state(parts: _Parts, key: Secret, api_url: str, aws_url: str) -> dict[str, object]:
    pooler = parts.engine.pooler.version
    return {
        "pid": os.getpid(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "api_url": api_url + BASE_PATH,
        "api_key": key.reveal(),
        "org_id": ORG_ID,
        "aws_endpoint_url": aws_url,
        "aws_region": AWS_REGION,
        "ca_file": str(parts.engine.ca_file),
        "pooler": None if pooler is None else ".".join(str(part) for part in pooler),
        "version": version("neonctl"),
    }


def main() -> int:
    """Entry point. Exit codes as everywhere: 0 stopped, 75 another one runs, else the error's own."""
    parser = argparse.ArgumentParser(prog="neonctl.local.daemon")
    parser.add_argument("--data-dir", type=Path, required=True)
    layout = Layout(parser.parse_args().data_dir.resolve())
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = _lock(layout)
        try:
            layout.state_file.unlink(missing_ok=True)
            asyncio.run(run(layout))
        finally:
            os.close(descriptor)
    except NeonctlError as error:
        log.error("%s: %s", error.code, error.message)  # noqa: TRY400 - one line for people
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
