"""The endpoints on a real port, and moto beside them, both asked through an unchanged boto3."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from moto import mock_aws

from neonctl.local.aws.app import make_app
from neonctl.local.aws.store import AwsStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

REGION = "ap-southeast-2"
KEY_ID = "local"
SECRET_KEY = "a-secret-access-key"


class Loop:
    """An event loop on a thread of its own, for the length of the session."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _start(app: web.Application) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1]


class Endpoint:
    """A place to send calls to; ``client`` is boto3's own."""

    def __init__(self, session: boto3.Session, url: str | None) -> None:
        self.url = url
        self._session = session
        self._clients: list[Any] = []

    def client(self, service: str, **options: Any) -> Any:
        settings: dict[str, Any] = {
            "region_name": REGION,
            "aws_access_key_id": KEY_ID,
            "aws_secret_access_key": SECRET_KEY,
            "endpoint_url": self.url,
            "config": Config(retries={"total_max_attempts": 1}, max_pool_connections=20),
            **options,
        }
        client = self._session.client(service, **settings)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.stop()


@pytest.fixture(scope="session")
def boto_session() -> boto3.Session:
    return boto3.Session()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def clock() -> list[float]:
    """Seconds to add to the real time; change ``clock[0]`` to travel."""
    return [0.0]


@pytest.fixture
def store(tmp_path: Path, clock: list[float]) -> Iterator[AwsStore]:
    store = AwsStore(tmp_path / "aws.db", tmp_path / "aws.key", clock=lambda: time.time() + clock[0])
    yield store
    store.close()


@pytest.fixture
def serve(loop: Loop, boto_session: boto3.Session, store: AwsStore) -> Iterator[Callable[..., Endpoint]]:
    """Serve ``store`` on a new port: ``serve(faults=…)`` gives an Endpoint."""
    started: list[tuple[web.AppRunner, Endpoint]] = []

    def start(**options: Any) -> Endpoint:
        app = make_app(store, **options)
        runner, port = loop.run(_start(app))
        endpoint = Endpoint(boto_session, f"http://127.0.0.1:{port}")
        started.append((runner, endpoint))
        return endpoint

    yield start
    for runner, endpoint in started:
        endpoint.close()
        loop.run(runner.cleanup())


@pytest.fixture
def endpoint_at(boto_session: boto3.Session) -> Iterator[Callable[[str], Endpoint]]:
    """An Endpoint for a URL that something else serves."""
    made: list[Endpoint] = []

    def at(url: str) -> Endpoint:
        made.append(Endpoint(boto_session, url))
        return made[-1]

    yield at
    for endpoint in made:
        endpoint.close()


@pytest.fixture
def local(serve: Callable[..., Endpoint]) -> Endpoint:
    return serve()


@contextmanager
def moto_endpoint(session: boto3.Session) -> Iterator[Endpoint]:
    with mock_aws():
        endpoint = Endpoint(session, None)
        yield endpoint
        endpoint.close()


@pytest.fixture
def moto(boto_session: boto3.Session) -> Iterator[Endpoint]:
    with moto_endpoint(boto_session) as endpoint:
        yield endpoint


@pytest.fixture(params=["local", "moto"])
def both(request: pytest.FixtureRequest) -> Endpoint:
    """Our endpoints and moto: what both must do alike."""
    return request.getfixturevalue(request.param)


@contextmanager
def _refused(client: Any, name: str, text: str = "") -> Iterator[None]:
    with pytest.raises(getattr(client.exceptions, name)) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == name
    assert text in caught.value.response["Error"]["Message"]


@pytest.fixture
def refused() -> Callable[..., Any]:
    """``with refused(client, "ResourceExistsException", "part of the message")``: boto3's modelled class."""
    return _refused
