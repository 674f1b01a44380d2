"""JSON Schema of the YAML, for editors and ``check-jsonschema``: what shapes are right, not what the rules say."""

from __future__ import annotations

import json
from typing import Any, Literal, cast

from pydantic import BaseModel

from neonctl.desired.model import EnvironmentSpec, PlatformSpec

SchemaFile = Literal["platform", "environment"]
DRAFT = "http://json-schema.org/draft-07/schema#"  # what editors' YAML servers understand


def json_schema(file: SchemaFile) -> dict[str, Any]:
    """The schema of ``platform.yaml`` or of ``environments/*.yaml``. Draft 7."""
    if file == "platform":
        return _schema(PlatformSpec, "neonctl: config/platform.yaml")
    return _schema(EnvironmentSpec, "neonctl: config/environments/NAME.yaml")


def schema_files() -> dict[str, str]:
    """File name below ``schema/`` → its exact text, as ``neonctl schema`` prints it."""
    files: tuple[SchemaFile, ...] = ("platform", "environment")
    return {f"{file}.schema.json": json.dumps(json_schema(file), indent=2) + "\n" for file in files}


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = cast("dict[str, Any]", _closed(model.model_json_schema()))
    return {"$schema": DRAFT, "title": title, **schema}


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
