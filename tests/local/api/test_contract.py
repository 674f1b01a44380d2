"""Neon's OpenAPI document decides: routes exist in it, answers follow it, what it refuses is refused.

Answers are checked in all tests of this folder, as the client of ``conftest.py`` validates each one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from neonctl.local.api.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = "application/json"


@pytest.fixture
def document(contract: Any) -> Any:
    if contract is None:
        pytest.skip("NEONCTL_OPENAPI does not name Neon's OpenAPI document")
    return contract


def flattened(contract: Any, schema: Any) -> dict[str, Any]:
    """The schema with references and ``allOf`` resolved at its top."""
    schema = dict(contract.resolve(schema))
    for part in schema.pop("allOf", []):
        for name, value in flattened(contract, part).items():
            if name == "properties":
                schema["properties"] = {**schema.get("properties", {}), **value}
            elif name == "required":
                schema["required"] = [*schema.get("required", []), *value]
            else:
                schema.setdefault(name, value)
    return schema


def wrong_values(contract: Any, schema: Any) -> Iterator[Any]:
    """Values that the schema does not allow, one fault each."""
    schema = flattened(contract, schema)
    kind = schema.get("type", "object" if "properties" in schema else None)
    if not schema.get("nullable"):
        yield None
    match kind:
        case "string":
            yield 17
            if schema.get("minLength"):
                yield ""
            if "maxLength" in schema:
                yield "x" * (schema["maxLength"] + 1)
            if "pattern" in schema or "enum" in schema or schema.get("format") == "date-time":
                yield "Not This!"
        case "integer" | "number":
            yield "text"
            if kind == "integer":
                yield 61.5
            if "minimum" in schema:
                yield schema["minimum"] - 1
            if "maximum" in schema:
                yield schema["maximum"] + 1
        case "boolean":
            yield "yes"
        case "array":
            yield {}
            for item in wrong_values(contract, schema["items"]):
                yield [item]
        case _:
            yield "text"
            yield from wrong_objects(contract, schema)


def wrong_objects(contract: Any, schema: Any) -> Iterator[Any]:
    """Objects with one property missing or wrong."""
    required = {name: right_value(contract, schema["properties"][name]) for name in schema.get("required", [])}
    for name in required:
        yield {other: value for other, value in required.items() if other != name}
    for name, inner in schema.get("properties", {}).items():
        for value in wrong_values(contract, inner):
            yield {**required, name: value}
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        yield {"key": 17}
        if "maxProperties" in schema:
            yield {f"key{number}": "value" for number in range(schema["maxProperties"] + 1)}


def right_value(contract: Any, schema: Any) -> Any:
    """Some value that the schema allows, for required properties."""
    schema = flattened(contract, schema)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type", "object"):
        case "string":
            return "some-value"
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            return []
        case _:
            names = schema.get("required", [])
            return {name: right_value(contract, schema["properties"][name]) for name in names}


def filled(path: str, bank: Any) -> str:
    """The path template with things that exist."""
    known = {
        "project_id": bank["project"]["id"],
        "branch_id": bank["branch"]["id"],
        "endpoint_id": bank["endpoints"][0]["id"],
        "database_name": "bank_core",
        "role_name": "bank_owner",
        "operation_id": bank["operations"][0]["id"],
        "org_id": bank["project"]["org_id"],
    }
    return path.format(**known)


def test_every_route_stands_in_the_document(document: Any) -> None:
    missing = [route for route in ROUTES if route.method.lower() not in document.document["paths"].get(route.path, {})]
    assert missing == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda r: f"{r.method} {r.path}")
def test_bodies_that_the_document_refuses_are_refused(neon: Any, bank: Any, document: Any, route: Any) -> None:
    operation = document.document["paths"][route.path][route.method.lower()]
    schema = operation["requestBody"]["content"][JSON]["schema"]
    accepted: list[Any] = []
    sent = 0
    for body in wrong_values(document, schema):
        assert document.problems(schema, body), body
        answer = neon.http.request(route.method, filled(route.path, bank), content=json.dumps(body))
        sent += 1
        if answer.status_code not in (400, 422):
            accepted.append((body, answer.status_code))
    assert sent > 3
    assert accepted == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.query], ids=lambda r: f"{r.method} {r.path}")
def test_queries_that_the_document_refuses_are_refused(neon: Any, bank: Any, document: Any, route: Any) -> None:
    operation = document.document["paths"][route.path][route.method.lower()]
    parameters = [document.resolve(item) for item in operation["parameters"]]
    queried = {item["name"]: item for item in parameters if item["in"] == "query"}
    assert set(route.query) == set(queried)
    for name, parameter in queried.items():
        for value in wrong_values(document, parameter["schema"]):
            if value is None or (isinstance(value, int) and parameter["schema"].get("type") == "string"):
                continue  # cannot be said in a query string
            answer = neon.http.request(route.method, filled(route.path, bank), params={name: value})
            assert answer.status_code in (400, 422), (name, value, answer.status_code)


def test_a_required_query_parameter_is_required(neon: Any, bank: Any, document: Any) -> None:
    path = filled("/projects/{project_id}/connection_uri", bank)
    neon.get(path, expect=400, role_name="bank_owner")
    neon.get(path, expect=400, database_name="bank_core")


def test_every_route_answers_as_the_document_says(neon: Any, document: Any) -> None:
    """One life of a project through each route; the client validates the answers."""
    project = neon.new_project("tour", branch={"name": "main", "annotations": {"a": "b"}})
    root = f"/projects/{project['project']['id']}"
    branch = f"{root}/branches/{project['branch']['id']}"
    body = {"branch": {"name": "child"}, "endpoints": [{"type": "read_write"}]}
    child = neon.done("POST", f"{root}/branches", body, expect=201)
    twig = f"{root}/branches/{child['branch']['id']}"
    reader = {"endpoint": {"branch_id": child["branch"]["id"], "type": "read_only"}}
    extra = neon.done("POST", f"{root}/endpoints", reader, expect=201)["endpoint"]["id"]
    for step in ("start", "suspend", "restart"):
        neon.done("POST", f"{root}/endpoints/{extra}/{step}")
    neon.done("PATCH", f"{root}/endpoints/{extra}", {"endpoint": {"suspend_timeout_seconds": 60}})
    neon.done("POST", f"{twig}/roles", {"role": {"name": "r"}}, expect=201)
    neon.done("POST", f"{twig}/roles/r/reset_password")
    neon.done("POST", f"{twig}/databases", {"database": {"name": "d", "owner_name": "r"}}, expect=201)
    neon.done("PATCH", f"{twig}/databases/d", {"database": {"name": "e"}})
    neon.call("PATCH", twig, {"branch": {"name": "renamed"}})
    neon.call("PATCH", root, {"project": {"history_retention_seconds": 3600}})
    for path in (
        *("/auth", "/users/me", "/users/me/organizations", f"/organizations/{neon.platform.org_id}"),
        *("/regions", "/api_keys", f"/projects?org_id={neon.platform.org_id}", root, f"{root}/operations"),
        *(
            f"{root}/operations/{project['operations'][0]['id']}",
            f"{root}/branches",
            f"{root}/branches/count",
        ),
        *(branch, f"{branch}/endpoints", f"{root}/endpoints", f"{root}/endpoints/{extra}"),
        *(f"{twig}/databases", f"{twig}/databases/e", f"{twig}/roles", f"{twig}/roles/r"),
        f"{twig}/roles/r/reveal_password",
    ):
        neon.call("GET", path)
    neon.uri(project["project"]["id"], "r", "e", branch_id=child["branch"]["id"])
    neon.done("DELETE", f"{twig}/databases/e")
    neon.done("DELETE", f"{twig}/roles/r")
    neon.done("DELETE", f"{root}/endpoints/{extra}")
    neon.done("POST", f"{twig}/restore", {"source_branch_id": project["branch"]["id"]})
    neon.call("POST", f"{branch}/set_as_default")
    neon.done("DELETE", twig)
    neon.call("DELETE", root)
    assert {(route.method, route.path) for route in ROUTES} <= document.covered
