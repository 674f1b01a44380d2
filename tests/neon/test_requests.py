"""Every request that is sent is one that Neon's API document describes, without fields it calls deprecated."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator

from neonctl.neon.responses import Compute

_DOCUMENT = os.environ.get("NEONCTL_OPENAPI")
pytestmark = pytest.mark.skipif(not _DOCUMENT, reason="NEONCTL_OPENAPI does not name Neon's API document")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    assert _DOCUMENT
    return json.loads(Path(_DOCUMENT).read_text())


def resolved(document: dict[str, Any], schema: Any) -> Any:
    """The schema with references put in place (requests do not refer to themselves)."""
    if isinstance(schema, list):
        return [resolved(document, item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return resolved(document, target)
    return {key: resolved(document, value) for key, value in schema.items()}


def described(document: dict[str, Any], method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The operation of a path; one without parameters wins."""
    matching = [
        (template, item)
        for template, item in document["paths"].items()
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path) and method.lower() in item
    ]
    assert matching, f"{method} {path} is not in the document"
    template, item = min(matching, key=lambda found: found[0].count("{"))
    operation = resolved(document, item[method.lower()])
    operation["parameters"] = resolved(document, item.get("parameters", [])) + operation.get("parameters", [])
    return template, operation


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= properties(part)
    return found


def fields(schema: dict[str, Any], value: Any, at: str = ""):
    """Each field that is sent, with its schema (None: the document has no such field)."""
    if isinstance(value, list):
        for item in value:
            yield from fields(schema["items"], item, at)
    if not isinstance(value, dict) or "additionalProperties" in schema:
        return
    known = properties(schema)
    for name, inner in value.items():
        yield f"{at}.{name}", known.get(name)
        yield from fields(known.get(name) or {}, inner, f"{at}.{name}")


def everything(client, neon) -> None:
    """Call each method of the client once, with all there is to say."""
    size = Compute(0.5, 2, 600)
    neon.projects = []
    client.create_project(
        name="bank",
        region="aws-ap-southeast-2",
        postgres_version=18,
        branch_name="prod",
        owner_role="bank_owner",
        database="bank_core",
        logical_replication=True,
        history_retention_seconds=3600,
        min_cu=0.25,
        max_cu=2,
        suspend_timeout_seconds=300,
        annotations={"managed-by": "neonctl"},
    )
    client.find_projects("bank")
    client.update_project("p-1", history_retention_seconds=60, logical_replication=True)
    client.create_branch(
        "p-1",
        name="dev",
        source_id="br-1",
        init_source="schema-only",
        protected=True,
        expires_at=datetime(2026, 12, 1, tzinfo=UTC),
        annotations={"managed-by": "neonctl"},
        compute=size,
    )
    client.list_branches("p-1")
    client.update_branch("p-1", "br-2", name="dev-2", protected=False, expires_at=None)
    client.set_default_branch("p-1", "br-2")
    client.delete_branch("p-1", "br-2")
    client.create_endpoint("p-1", "br-9", size)
    client.list_endpoints("p-1")
    client.update_endpoint("p-1", "ep-2", size)
    client.start_endpoint("p-1", "ep-2")
    client.delete_endpoint("p-1", "ep-2")
    client.create_role("p-1", "br-1", "two")
    client.list_roles("p-1", "br-1")
    client.reset_password("p-1", "br-1", "two")
    client.reveal_password("p-1", "br-1", "two")
    client.create_database("p-1", "br-1", "bank_kyc", "two")
    client.list_databases("p-1", "br-1")
    client.connection("p-1", "br-1", database="bank_kyc", role="two", pooled=True)
    client.delete_database("p-1", "br-1", "bank_kyc")
    client.delete_role("p-1", "br-1", "two")


def test_every_request_is_one_that_the_document_describes(document, client, neon):
    everything(client, neon)
    for request in neon.seen:
        path = request.url.path.removeprefix("/api/v2")
        template, operation = described(document, request.method, path)
        known = {parameter["name"]: parameter for parameter in operation["parameters"] if parameter["in"] == "query"}
        sent = dict(request.url.params)
        assert set(sent) <= set(known), f"{request.method} {template}: unknown parameters"
        assert {name for name, p in known.items() if p.get("required")} <= set(sent), template
        if not request.content:
            assert not operation.get("requestBody", {}).get("required"), f"{template} wants a body"
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = json.loads(request.content)
        OAS30Validator(schema).validate(body)
        for name, field in fields(schema, body):
            assert field is not None, f"{request.method} {template}: {name} is not in the document"
            assert not field.get("deprecated"), f"{request.method} {template}: {name} is deprecated"


def test_every_changing_call_of_the_client_is_covered(client, neon):
    everything(client, neon)
    assert len({(r.method, re.sub(r"(p|br|ep)-\d|two|bank_kyc", "x", r.url.path)) for r in neon.seen}) >= 24
