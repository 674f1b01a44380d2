"""The configuration that the repository ships: sound, and what MOD-103 asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from neonctl.desired.load import load
from neonctl.desired.model import Desired
from neonctl.desired.schema import schema_files

ROOT = Path(__file__).parents[2]
YAML_FILES = sorted((ROOT / "config").rglob("*.yaml"))


@pytest.fixture(scope="module")
def shipped() -> Desired:
    return load(ROOT / "config")


def test_the_environments_and_databases_of_mod_103(shipped: Desired) -> None:
    assert sorted(shipped.environments) == ["dev", "prod", "uat"]
    assert shipped.preview is not None
    assert {name: spec.schemas for name, spec in shipped.platform.databases.items()} == {
        "bank_core": ("accounts", "postings", "treasury", "contexts", "assets", "core"),
        "bank_kyc": ("kyc", "party", "banking", "regulatory"),
        "bank_aml": ("aml",),
        "bank_payments": ("payments",),
        "bank_credit": ("credit",),
        "bank_app": ("app", "access"),
    }
    assert shipped.platform.project.region == "aws-ap-southeast-2"
    assert [name for name, spec in shipped.environments.items() if spec.cdc] == ["prod"]


def test_the_promotion_path_is_dev_uat_prod(shipped: Desired) -> None:
    path = {name: spec.migrations.promoted_from for name, spec in shipped.environments.items()}
    assert path == {"dev": None, "uat": "dev", "prod": "uat"}


def test_only_the_ledger_is_closed_to_its_application(shipped: Desired) -> None:
    granted = {
        name: spec.roles["app_user"].default_privileges.tables for name, spec in shipped.platform.databases.items()
    }
    assert granted.pop("bank_core") == ("SELECT",)
    assert set(granted.values()) == {("SELECT", "INSERT", "UPDATE", "DELETE")}


def test_reporting_sees_no_personal_information(shipped: Desired) -> None:
    kyc = shipped.platform.databases["bank_kyc"]
    assert kyc.roles["readonly"].default_privileges.tables == ()
    seen = {column for grant in kyc.column_grants if grant.role == "readonly" for column in grant.columns}
    assert not seen & {"legal_name", "date_of_birth", "document_number"}
    assert {"id", "party_type"} <= seen


@pytest.mark.parametrize("name", sorted(schema_files()))
def test_the_committed_json_schema_is_current(name: str) -> None:
    committed = (ROOT / "schema" / name).read_text(encoding="utf-8")
    assert committed == schema_files()[name], f"neonctl schema {name.split('.')[0]} > schema/{name}"
    Draft7Validator.check_schema(json.loads(committed))


@pytest.mark.parametrize("file", YAML_FILES, ids=lambda path: path.stem)
def test_editors_find_the_schema_and_it_fits(file: Path) -> None:
    first, _, rest = file.read_text(encoding="utf-8").partition("\n")
    marker = "# yaml-language-server: $schema="
    assert first.startswith(marker)
    schema: dict[str, Any] = json.loads((file.parent / first.removeprefix(marker)).read_text(encoding="utf-8"))
    data = yaml.safe_load(rest)
    assert list(Draft7Validator(schema).iter_errors(data)) == []
    assert list(Draft7Validator(schema).iter_errors({**data, "colour": "red"})) != []
