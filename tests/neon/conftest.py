"""A scripted Neon API: state enough to tell "done" from "not done", every answer in Neon's own shape."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import respx

from neonctl.neon.client import NeonClient
from neonctl.secret import Secret

HOST = "https://neon.test/api/v2"
KEY = "napi_canary0key"
PASSWORD = "npg_canary0pass"
_WHEN = "2026-11-20T00:00:00Z"


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
            self.slept.append(seconds)


def project_json(**fields: Any) -> dict[str, Any]:
    return {
        "id": "p-1",
        "name": "bank",
        "region_id": "aws-ap-southeast-2",
        "pg_version": 18,
        "store_passwords": True,
        "history_retention_seconds": 86400,
        "settings": {},
    } | fields


def branch_json(**fields: Any) -> dict[str, Any]:
    return {
        "id": "br-1",
        "name": "prod",
        "current_state": "ready",
        "created_at": "2026-11-20T00:00:00Z",
        "default": True,
        "protected": False,
    } | fields


def endpoint_json(**fields: Any) -> dict[str, Any]:
    return {
        "id": "ep-1",
        "branch_id": "br-1",
        "host": "ep-1.ap-southeast-2.aws.neon.tech",
        "type": "read_write",
        "current_state": "active",
        "autoscaling_limit_min_cu": 0.25,
        "autoscaling_limit_max_cu": 1,
        "suspend_timeout_seconds": 300,
        "disabled": False,
    } | fields


def operation_json(**fields: Any) -> dict[str, Any]:
    return {
        "id": "00000000-0000-0000-0000-000000000001",
        "project_id": "p-1",
        "action": "create_branch",
        "status": "running",
        "failures_count": 0,
        "created_at": _WHEN,
        "updated_at": _WHEN,
        "total_duration_ms": 1,
    } | fields


Answer = httpx.Response | Exception
Fault = Callable[[httpx.Request, Callable[[], httpx.Response]], httpx.Response]


@dataclass
class Neon:
    """What the scripted API holds. ``faults`` meet the changing calls in turn; None lets one through."""

    projects: list[dict[str, Any]] = field(default_factory=lambda: [project_json()])
    branches: list[dict[str, Any]] = field(default_factory=lambda: [branch_json()])
    annotations: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: list[dict[str, Any]] = field(default_factory=lambda: [endpoint_json()])
    roles: list[str] = field(default_factory=lambda: ["bank_owner"])
    databases: dict[str, str] = field(default_factory=dict)
    operations: list[dict[str, Any]] = field(default_factory=list)  # those that answers list, newest last
    uri: str = f"postgresql://bank_owner:{PASSWORD}@ep-1.aws.neon.tech/bank_core?sslmode=require"
    faults: list[Fault | None] = field(default_factory=list)
    seen: list[httpx.Request] = field(default_factory=list)
    polls_until_done: int = 2
    _polls: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, method: str) -> list[str]:
        """The paths that were called with a method."""
        return [r.url.path.removeprefix("/api/v2") for r in self.seen if r.method == method]

    def bodies(self, method: str) -> list[Any]:
        return [json.loads(r.content) for r in self.seen if r.method == method and r.content]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.seen.append(request)
            fault = self.faults.pop(0) if self.faults and request.method != "GET" else None
            if fault is not None:
                return fault(request, lambda: self._answer(request))
            return self._answer(request)

    # --- routes ---

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2")
        body = json.loads(request.content) if request.content else {}
        for method, pattern, handler in self._routes():
            match = re.fullmatch(pattern, path)
            if method == request.method and match:
                return handler(body, *match.groups())
        return refusal(404, f"no route for {request.method} {path}")

    def _routes(self) -> list[tuple[str, str, Callable[..., httpx.Response]]]:
        project, branch, endpoint = "/projects/p-1", "/projects/p-1/branches", "/projects/p-1/endpoints"
        return [
            ("GET", "/auth", lambda _: ok({"account_id": "org-1", "auth_method": "api_key_org"})),
            (
                "GET",
                "/projects",
                lambda _: ok({"projects": self.projects, "pagination": {}, "applications": {}}),
            ),
            ("POST", "/projects", self._create_project),
            ("GET", "/projects/([^/]+)", lambda _, i: self._one("project", self.projects, i)),
            ("PATCH", "/projects/([^/]+)", self._update_project),
            ("GET", branch, lambda _: ok({"branches": self.branches, "annotations": self.annotations})),
            ("POST", branch, self._create_branch),
            ("GET", f"{branch}/([^/]+)", self._get_branch),
            ("PATCH", f"{branch}/([^/]+)", self._update_branch),
            ("DELETE", f"{branch}/([^/]+)", lambda _, i: self._delete(self.branches, "branch", i)),
            ("POST", f"{branch}/([^/]+)/set_as_default", self._set_default),
            ("GET", endpoint, lambda _: ok({"endpoints": self.endpoints})),
            ("POST", endpoint, self._create_endpoint),
            ("GET", f"{endpoint}/([^/]+)", lambda _, i: self._one("endpoint", self.endpoints, i)),
            ("PATCH", f"{endpoint}/([^/]+)", self._update_endpoint),
            ("POST", f"{endpoint}/([^/]+)/start", self._start),
            ("DELETE", f"{endpoint}/([^/]+)", lambda _, i: self._delete(self.endpoints, "endpoint", i)),
            ("GET", f"{branch}/br-1/roles", lambda _: ok({"roles": [{"name": r} for r in self.roles]})),
            ("POST", f"{branch}/br-1/roles", self._create_role),
            ("DELETE", f"{branch}/br-1/roles/([^/]+)", self._delete_role),
            ("POST", f"{branch}/br-1/roles/([^/]+)/reset_password", self._reset),
            ("GET", f"{branch}/br-1/roles/([^/]+)/reveal_password", lambda _, r: ok({"password": PASSWORD})),
            ("GET", f"{branch}/br-1/databases", self._list_databases),
            ("POST", f"{branch}/br-1/databases", self._create_database),
            ("DELETE", f"{branch}/br-1/databases/([^/]+)", self._delete_database),
            ("GET", f"{project}/connection_uri", lambda _: ok({"uri": self.uri})),
            ("GET", f"{project}/operations", lambda _: ok({"operations": self.operations[::-1]})),
            ("GET", f"{project}/operations/([^/]+)", self._poll),
        ]

    def _one(self, name: str, among: list[dict[str, Any]], wanted: str) -> httpx.Response:
        found = [item for item in among if item["id"] == wanted]
        return ok({name: found[0]}) if found else refusal(404, f"{name} not found")

    def _started(self, action: str) -> list[dict[str, Any]]:
        number = len(self.operations) + 1
        operation = operation_json(id=f"00000000-0000-0000-0000-{number:012}", action=action)
        self.operations.append(operation)
        return [operation]

    def _poll(self, _: Any, wanted: str) -> httpx.Response:
        operation = next(o for o in self.operations if o["id"] == wanted)
        self._polls[wanted] = self._polls.get(wanted, 0) + 1
        if self._polls[wanted] >= self.polls_until_done and operation["status"] == "running":
            operation["status"] = "finished"
        return ok({"operation": dict(operation)})

    def _create_project(self, body: Any) -> httpx.Response:
        number = len(self.projects) + 1
        wanted = body["project"]
        item = project_json(id=f"p-{number}", name=wanted["name"], settings=wanted.get("settings", {}))
        self.projects.append(item)
        uri = {"connection_uri": self.uri}
        return ok({"project": item, "connection_uris": [uri], "operations": []}, 201)

    def _update_project(self, body: Any, wanted: str) -> httpx.Response:
        item = next(p for p in self.projects if p["id"] == wanted)
        item |= body["project"]
        return ok({"project": item, "operations": []})

    def _create_branch(self, body: Any) -> httpx.Response:
        wanted = body["branch"]
        if any(b["name"] == wanted["name"] for b in self.branches):
            return refusal(409, f'branch already exists; branch_name:"{wanted["name"]}"', "BRANCH_ALREADY_EXISTS")
        number = len(self.branches) + 1
        item = branch_json(id=f"br-{number}", default=False, **wanted)
        self.branches.append(item)
        if values := body.get("annotation_value"):
            self.annotations[item["id"]] = {"object": {"type": "branch", "id": item["id"]}, "value": values}
        operations = self._started("create_branch") + self._started("start_compute")
        said = item | {"current_state": "init"}
        return ok({"branch": said, "operations": operations, "connection_uris": [{"connection_uri": self.uri}]}, 201)

    def _get_branch(self, _: Any, wanted: str) -> httpx.Response:
        found = [item for item in self.branches if item["id"] == wanted]
        if not found:
            return refusal(404, "branch not found")
        body = {"branch": found[0]}
        return ok(body | ({"annotation": self.annotations[wanted]} if wanted in self.annotations else {}))

    def _update_branch(self, body: Any, wanted: str) -> httpx.Response:
        item = next(b for b in self.branches if b["id"] == wanted)
        if body["branch"].get("name") == item["name"]:
            return refusal(400, "cannot set branch to the same name")
        item |= body["branch"]
        return ok({"branch": item, "operations": []})

    def _set_default(self, _: Any, wanted: str) -> httpx.Response:
        for item in self.branches:
            item["default"] = item["id"] == wanted
        return ok({"branch": branch_json(), "operations": []})

    def _delete(self, among: list[dict[str, Any]], name: str, wanted: str) -> httpx.Response:
        found = [item for item in among if item["id"] == wanted]
        if not found:
            return httpx.Response(204)
        among.remove(found[0])
        return ok({name: found[0], "operations": self._started(f"delete_{name}")})

    def _create_endpoint(self, body: Any) -> httpx.Response:
        wanted = body["endpoint"]
        if any(e["branch_id"] == wanted["branch_id"] for e in self.endpoints):
            return refusal(409, "read-write endpoint already exists")
        item = endpoint_json(id=f"ep-{len(self.endpoints) + 1}", **wanted)
        self.endpoints.append(item)
        return ok({"endpoint": item, "operations": self._started("start_compute")}, 201)

    def _update_endpoint(self, body: Any, wanted: str) -> httpx.Response:
        item = next(e for e in self.endpoints if e["id"] == wanted)
        item |= body["endpoint"]
        return ok({"endpoint": item, "operations": self._started("apply_config")})

    def _start(self, _: Any, wanted: str) -> httpx.Response:
        item = next(e for e in self.endpoints if e["id"] == wanted)
        item["current_state"] = "active"
        return ok({"endpoint": item, "operations": self._started("start_compute")})

    def _create_role(self, body: Any) -> httpx.Response:
        name = body["role"]["name"]
        if name in self.roles:
            return refusal(409, "role already exists")
        self.roles.append(name)
        role = {"name": name, "password": PASSWORD}
        return ok({"role": role, "operations": self._started("apply_config")}, 201)

    def _delete_role(self, _: Any, name: str) -> httpx.Response:
        if name not in self.roles:
            return httpx.Response(204)
        self.roles.remove(name)
        return ok({"role": {"name": name}, "operations": self._started("apply_config")})

    def _reset(self, _: Any, name: str) -> httpx.Response:
        role = {"name": name, "password": PASSWORD}
        return ok({"role": role, "operations": self._started("apply_config")})

    def _list_databases(self, _: Any) -> httpx.Response:
        return ok({"databases": [{"name": n, "owner_name": o} for n, o in self.databases.items()]})

    def _create_database(self, body: Any) -> httpx.Response:
        wanted = body["database"]
        if wanted["name"] in self.databases:
            return refusal(409, "database already exists")
        self.databases[wanted["name"]] = wanted["owner_name"]
        return ok({"database": wanted, "operations": self._started("apply_config")}, 201)

    def _delete_database(self, _: Any, name: str) -> httpx.Response:
        if self.databases.pop(name, None) is None:
            return httpx.Response(204)
        return ok({"database": {"name": name}, "operations": self._started("apply_config")})


def ok(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def refusal(status: int, message: str, code: str = "", **headers: str) -> httpx.Response:
    body = {"request_id": "req-7", "code": code, "message": message}
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def neon() -> Neon:
    return Neon()


@pytest.fixture
def waits() -> list[str]:
    return []


@pytest.fixture
def client(neon: Neon, time: Time, waits: list[str]):
    with (
        respx.mock(assert_all_called=False) as router,
        NeonClient(
            api_host=HOST, api_key=Secret(KEY), on_wait=waits.append, clock=time.clock, sleep=time.sleep
        ) as client,
    ):
        router.route(host="neon.test").mock(side_effect=neon)
        yield client


@pytest.fixture
def fault():
    """Ways in which a changing call goes wrong."""
    return Faults


class Faults:
    @staticmethod
    def cut_before(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
        raise httpx.ReadError("cut", request=request)

    @staticmethod
    def cut_after(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
        work()
        raise httpx.ReadTimeout("cut", request=request)

    @staticmethod
    def not_sent(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)

    @staticmethod
    def failing_after(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
        work()
        return httpx.Response(524, text="<html>a timeout occurred</html>")

    @staticmethod
    def garbled_after(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
        work()
        return httpx.Response(200, text='{"branch": {')

    @staticmethod
    def refusing(status: int, message: str, code: str = "", **headers: str):
        def answer(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
            return refusal(status, message, code, **headers)

        return answer
