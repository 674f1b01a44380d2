"""GitHub's comments of issues over HTTP, with the paging and the permissions that a caller may stumble over."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_canary0123456789abcdefghijklmnopqrs"


@dataclass
class Comments:
    """Every comment, and the calls that were made. ``status``: what each call is answered with, if not what it asks."""

    address: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    calls: list[str] = field(default_factory=list[str])
    status: int | None = None

    def write(self, body: str, *, kind: str = "User") -> None:
        """Somebody writes a comment."""
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": {"type": kind}})

    @property
    def bodies(self) -> list[str]:
        """What stands there."""
        return [each["body"] for each in self.comments]


@contextmanager
def github() -> Iterator[Comments]:
    """It runs on 127.0.0.1 until the block ends."""
    state = Comments()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            state.calls.append(f"{self.command} {self.path}")
            length = int(self.headers.get("Content-Length") or 0)
            given = json.loads(self.rfile.read(length) or b"null")
            status, answer = self._result(given)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _result(self, given: Any) -> tuple[int, Any]:
            if state.status is not None:
                return state.status, {"message": f"no: {self.headers['Authorization']}"}
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return 401, {"message": "Bad credentials"}
            parts, issues = urlsplit(self.path), "/repos/bank/platform/issues/"
            if self.command == "GET" and parts.path == f"{issues}42/comments":
                asked = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
                start = (asked["page"] - 1) * asked["per_page"]
                return 200, state.comments[start : start + asked["per_page"]]
            if self.command == "POST" and parts.path == f"{issues}42/comments":
                state.write(given["body"], kind="Bot")
                return 201, state.comments[-1]
            one = re.fullmatch(f"{issues}comments/([0-9]+)", parts.path)
            if self.command == "PATCH" and one:
                state.comments[int(one[1]) - 1]["body"] = given["body"]
                return 200, state.comments[int(one[1]) - 1]
            return 404, {"message": "Not Found"}

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield state
        server.shutdown()
        thread.join()
