"""Neon's API by the bare HTTP client of the standard library over one kept connection: the floor of a call."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from neonctl.local.state import Platform

BASE = "/api/v2"
_PAUSE_S = 0.005  # asking without any would keep the platform from its work


class RawApi:
    """One connection to a platform's API; every call waits for its answer."""

    def __init__(self, platform: Platform) -> None:
        address = urlsplit(platform.api_url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        self._key = platform.api_key
        self.org_id = platform.org_id

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, method: str, path: str, body: object = None, **query: str) -> dict[str, Any]:
        """One call; anything but success is an error."""
        headers = {"Authorization": f"Bearer {self._key.reveal()}", "Content-Type": "application/json"}
        target = BASE + path + (f"?{urlencode(query)}" if query else "")
        self._connection.request(method, target, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text)

    def change(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A change, and its last operation waited for by asking all the time."""
        answer = self.call(method, path, body)
        for operation in answer.get("operations", [])[-1:]:
            status, where = operation["status"], f"/projects/{operation['project_id']}/operations/{operation['id']}"
            while status not in {"finished", "skipped"}:
                if status in {"failed", "cancelled"}:
                    raise RuntimeError(f"{method} {path}: its operation {status}")
                time.sleep(_PAUSE_S)
                status = self.call("GET", where)["operation"]["status"]
        return answer
