"""JSON Schema of the YAML, for editors and ``check-jsonschema``: what shapes are right, not what the rules say."""

from __future__ import annotations

import json
from typing import Any, cast

from pydantic import BaseModel

from neonctl.desired.model import EnvironmentSpec, PlatformSpec

DRAFT = "http://json-schema.org/draft-07/schema#"  # what editors' YAML servers understand


def json_schema() -> dict[str, dict[str, Any]]:
    """The schema of each kind of file: ``platform`` and ``environment``. Draft 7."""
    return {
        "platform": _schema(PlatformSpec, "neonctl: config/platform.yaml"),
        "environment": _schema(EnvironmentSpec, "neonctl: config/environments/NAME.yaml"),
    }


def schema_files() -> dict[str, str]:
    """File name below ``schema/`` → its exact text."""
    return {
        f"{name}.schema.json": json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, schema in json_schema().items()
    }


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = cast("dict[str, Any]", _closed(model.model_json_schema()))
    return {**schema, "$schema": DRAFT, "title": title}


def _closed(node: Any) -> Any:
    """Draft 7 ignores what stands beside ``$ref``: such a reference goes into ``allOf``, titles are left out."""
    if isinstance(node, list):
        return [_closed(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("dict[str, Any]", node)
    result = {key: _closed(value) for key, value in fields.items() if not (key == "title" and isinstance(value, str))}
    if "$ref" in result and len(result) > 1:
        result["allOf"] = [{"$ref": result.pop("$ref")}]
    return result
