"""One platform for all tests of the API; every answer is held against Neon's OpenAPI document."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from neonctl.local.platform import ensure_running, reset
from neonctl.local.state import Platform, set_faults, set_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WAIT_S = 30
Json = dict[str, Any]
_BASE = "/api/v2"
_VARIABLE = "NEONCTL_OPENAPI"


class Contract:
    """Finds the operation behind a request and validates against its schemas."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.covered: set[tuple[str, str]] = set()
        resource = Resource.from_contents(document, default_specification=DRAFT4)
        self._registry = Registry().with_resource("urn:neon", resource)
        patterns = [(self._pattern(path), path) for path in document["paths"]]
        self._paths = sorted(patterns, key=lambda item: item[1].count("{"))

    @staticmethod
    def _pattern(path: str) -> re.Pattern[str]:
        return re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$")

    def resolve(self, node: Any) -> Any:
        """Follow a ``$ref`` inside the document."""
        while "$ref" in node:
            found: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        """The path template and operation for a request."""
        for pattern, template in self._paths:
            if pattern.match(path) and method.lower() in self.document["paths"][template]:
                return template, self.document["paths"][template][method.lower()]
        return None

    def problems(self, schema: Any, instance: Any) -> list[str]:
        """What the schema has against the instance."""
        absolute = json.loads(json.dumps(schema).replace('"#/components/', '"urn:neon#/components/'))
        validator = OAS30Validator(absolute, registry=self._registry, format_checker=oas30_format_checker)
        return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(instance)]

    def check_response(self, response: httpx.Response) -> None:
        """Fail when the answer is not one that the document describes."""
        request = response.request
        path = request.url.path.removeprefix(_BASE)
        if path.startswith("/_local/"):
            return
        found = self.operation(request.method, path)
        if found is None:
            assert response.status_code in (404, 405), f"{request.method} {path} is not in the document"
            return
        template, operation = found
        responses = operation["responses"]
        described = self.resolve(responses.get(str(response.status_code), responses["default"]))
        known = str(response.status_code) in responses
        assert known or response.status_code >= 400, f"{request.method} {template}: {response.status_code}"
        self.covered.add((request.method, template))
        content = described.get("content", {}).get("application/json")
        if content is None:
            assert not response.content, f"{request.method} {template} has a body"
            return
        problems = self.problems(content["schema"], response.json())
        assert not problems, f"{request.method} {template} {response.status_code}: {problems}"


def load_contract(environ: Mapping[str, str]) -> Contract | None:
    """The document that the environment names; in CI its absence is a failure."""
    path = environ.get(_VARIABLE)
    if path:
        return Contract(json.loads(Path(path).read_text()))
    if environ.get("CI") == "true":
        pytest.fail(f"{_VARIABLE} must name Neon's OpenAPI document")
    return None


@dataclass
class Neon:
    """A thin client that knows nothing of the project's own: paths in, JSON out, statuses checked."""

    platform: Platform
    contract: Contract | None
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        def check(response: httpx.Response) -> None:
            response.read()
            if self.contract is not None:
                self.contract.check_response(response)

        self.http = httpx.Client(
            base_url=self.platform.api_url,
            headers={"Authorization": f"Bearer {self.platform.api_key.reveal()}"},
            event_hooks={"response": [check]},
            timeout=30,
        )

    def __enter__(self) -> Neon:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(self, method: str, path: str, body: Any = None, *, expect: int = 200, **query: Any) -> Json:
        answer = self.http.request(method, path, json=body, params=query or None)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    def get(self, path: str, *, expect: int = 200, **query: Any) -> Any:
        return self.call("GET", path, expect=expect, **query)

    def done(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Json:
        """The call, and then the end of its operations."""
        answer = self.call(method, path, body, expect=expect)
        self.wait(answer)
        return answer

    def wait(self, answer: Json, *, status: str = "finished") -> None:
        for operation in answer.get("operations", []):
            found = self.operation(operation)
            assert found["status"] == status, found

    def operation(self, operation: Json) -> Json:
        """The operation when it has ended."""
        path = f"/projects/{operation['project_id']}/operations/{operation['id']}"
        return _until(
            lambda: self.get(path)["operation"],
            lambda found: found["status"] in ("finished", "failed", "cancelled", "skipped"),
        )

    def until(self, look: Any, wanted: Any) -> Any:
        """Look until it is as wanted."""
        return _until(look, wanted)

    def connect(self, uri: str) -> psycopg.Connection[Any]:
        return psycopg.connect(uri, autocommit=True, prepare_threshold=None, connect_timeout=10)

    def idle(self, project_id: str) -> None:
        """Wait until nothing runs in the project."""
        _until(
            lambda: self.get(f"/projects/{project_id}/operations", limit=50)["operations"],
            lambda found: all(item["status"] not in ("scheduling", "running") for item in found),
        )

    def uri(self, project_id: str, role: str, database: str, **query: Any) -> str:
        return self.get(f"/projects/{project_id}/connection_uri", role_name=role, database_name=database, **query)[
            "uri"
        ]

    def new_project(self, name: str, **fields: Any) -> Json:
        body = {"name": name, "org_id": self.platform.org_id, "pg_version": 18, **fields}
        return self.done("POST", "/projects", {"project": body}, expect=201)


def _until(look: Any, wanted: Any) -> Any:
    """Look until it is as wanted, for half a minute at most."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        found = look()
        if wanted(found):
            return found
        assert time.monotonic() < deadline, f"not in time: {found}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def contract() -> Contract | None:
    return load_contract(os.environ)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platform")


@pytest.fixture(scope="session")
def platform(data_dir: Path) -> Iterator[Platform]:
    yield ensure_running(data_dir, progress=lambda _: None)
    reset(data_dir)


@pytest.fixture(scope="session")
def neon(platform: Platform, contract: Contract | None) -> Iterator[Neon]:
    with Neon(platform, contract) as client:
        yield client


@pytest.fixture(autouse=True)
def calm(platform: Platform) -> Iterator[None]:
    """No faults and the usual limits after each test."""
    yield
    set_faults(platform, [])
    set_limits(platform)


@pytest.fixture(scope="session")
def bank(neon: Neon) -> Json:
    """A project with an owner role and a database, shared by tests that leave it as it was."""
    branch = {"name": "prod", "role_name": "bank_owner", "database_name": "bank_core"}
    return neon.new_project("bank", region_id="aws-ap-southeast-2", branch=branch)
