"""Over a real socket, with every logger at DEBUG: neither key nor password is seen anywhere."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neonctl.errors import NeonctlError
from neonctl.neon.client import NeonClient
from neonctl.neon.transport import Patience
from neonctl.secret import Secret

KEY = "napi_canary0key"
PASSWORD = "npg_canary0pass"
ECHO = {
    "message": f"the key {KEY} and postgresql://u:{PASSWORD}@h are refused",
    "code": KEY,
    "request_id": KEY,
}


class Handler(BaseHTTPRequestHandler):
    """Answers with a password, or as the path of the role says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        _, _, mode = self.path.removesuffix("/reveal_password").rpartition("/")
        body = json.dumps({"password": PASSWORD} if mode == "200" else ECHO).encode()
        if mode == "cut":
            self.close_connection = True
            return
        if mode == "garbled":
            body = f'{{"password": "{PASSWORD}"'.encode()
        if mode == "short":
            self.close_connection = True
        self.send_response(int(mode) if mode.isdigit() else 200)
        self.send_header("Content-Length", str(len(body) + 10 * (mode == "short")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v2"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def talking(server, time):
    with NeonClient(
        api_host=server,
        api_key=Secret(KEY),
        patience=Patience(busy=1, failing=1, silent=1),
        clock=time.clock,
        sleep=time.sleep,
    ) as client:
        yield client


def canaries(text: str) -> set[str]:
    return {canary for canary in (KEY, PASSWORD) if canary in text}


def test_a_password_that_is_read_is_logged_nowhere(talking, caplog):
    caplog.set_level(logging.DEBUG)
    password = talking.reveal_password("p-1", "br-1", "200")
    assert password == Secret(PASSWORD)
    assert "HTTP Request: GET" in caplog.text  # httpx did log
    assert canaries(caplog.text + repr(password) + repr([vars(r) for r in caplog.records])) == set()


@pytest.mark.parametrize(
    "mode",
    ["400", "401", "403", "404", "409", "412", "422", "423", "429", "500", "503", "cut", "short", "garbled"],
)
def test_no_failure_tells_a_credential(mode, talking, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NeonctlError) as caught:
        talking.reveal_password("p-1", "br-1", mode)
    error = caught.value
    told = [caplog.text, *traceback.format_exception(error), repr(error.details), str(error.hint)]
    link: BaseException | None = error
    while link is not None:
        told += [str(link), repr(link), *getattr(link, "__notes__", [])]
        link = link.__cause__ or link.__context__
    assert canaries("\n".join(told)) == set()


def test_nothing_listening_is_told_as_such(time):
    with (
        NeonClient(
            api_host="http://127.0.0.1:9/api/v2", api_key=Secret(KEY), clock=time.clock, sleep=time.sleep
        ) as client,
        pytest.raises(NeonctlError) as caught,
    ):
        client.get_project("p-1")
    assert caught.value.code == "NEON_UNREACHABLE"
    assert "no answer from http://127.0.0.1:9/api/v2" in caught.value.message


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(monkeypatch, server, time):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with NeonClient(api_host=server, api_key=Secret(KEY), clock=time.clock, sleep=time.sleep) as client:
        assert client.reveal_password("p-1", "br-1", "200") == Secret(PASSWORD)
