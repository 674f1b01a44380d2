"""SSM Parameter Store: writing, deleting, tagging and labelling parameters."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from neonctl.local.aws import kms_keys, parameter_listing, parameter_rows
from neonctl.local.aws.call import invalid
from neonctl.local.aws.tags import add_tags, listed, remove_tags, tags_of
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from neonctl.local.aws.call import Answer, Call, Operation

_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")
_LABEL = re.compile(r"(?!aws|ssm)[A-Za-z_.\-][A-Za-z0-9_.\-]{0,99}", re.IGNORECASE)
_DEEPEST = 15
_STANDARD_BYTES = 4096
_ADVANCED_BYTES = 8192
_MOST_VERSIONS = 100
_MOST_LABELS = 10
_TYPES = frozenset({"String", "StringList", "SecureString"})


def _put(call: Call) -> Answer:
    params, name = call.params, call.params.text("Name").strip()
    _check_name(name)
    row = parameter_rows.lookup(call, name)
    _check_overwrite(call, row)
    kind = params.find("Type") or (row["type"] if row is not None else None)
    if kind is None:
        raise invalid("A parameter type is required when you create a parameter.")
    if kind not in _TYPES:
        raise AwsError("UnsupportedParameterType", f"{kind} is not a type of parameter.")
    if row is not None and kind != row["type"]:
        raise AwsError(
            "HierarchyTypeMismatchException", f"The type of {name} can't change from {row['type']} to {kind}."
        )
    tier, value = _tier(call, row), params.text("Value")
    _check_value(call, value, tier)
    version = 1 if row is None else int(row["latest"]) + 1
    call.db.execute(
        "INSERT INTO parameter VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET latest = excluded.latest",
        (name, parameter_rows.arn(call, name), kind, version),
    )
    call.db.execute(
        "INSERT INTO parameter_version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            version,
            parameter_rows.seal(call, name, version, value),
            _key(call, kind),
            params.find("Description"),
            params.find("AllowedPattern") or None,
            tier,
            params.find("DataType") or "text",
            call.now,
            call.caller.arn,
        ),
    )
    _forget_oldest(call, name)
    _add_tags(call, name)
    return {"Version": version, "Tier": tier}


def _check_name(name: str) -> None:
    first = name.lstrip("/").lower()
    if first.startswith(("aws", "ssm")):
        raise invalid('Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).')
    if not _NAME.fullmatch(name) or name.endswith("/") or "//" in name:
        raise invalid(
            "Parameter name must only use letters, numbers and the symbols . (period), - (hyphen), "
            "_ (underscore); paths are delineated by forward slashes."
        )
    if "/" in name and not name.startswith("/"):
        raise invalid("Parameter name must be a fully qualified name.")
    if name.count("/") > _DEEPEST:
        raise AwsError("HierarchyLevelLimitExceededException", f"A parameter name has at most {_DEEPEST} levels.")


def _check_overwrite(call: Call, row: sqlite3.Row | None) -> None:
    overwrite = call.params.flag("Overwrite")
    if overwrite and call.params.items("Tags"):
        raise invalid(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, "
            "please remove overwrite flag. To update tags for an existing parameter, please use "
            "AddTagsToResource or RemoveTagsFromResource."
        )
    if row is not None and not overwrite:
        raise AwsError(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        )


def _tier(call: Call, row: sqlite3.Row | None) -> str:
    asked = call.params.find("Tier")
    before = row["tier"] if row is not None else "Standard"
    if asked == "Intelligent-Tiering":
        large = len((call.params.find("Value") or "").encode()) > _STANDARD_BYTES
        return "Advanced" if large else before
    if asked not in {None, "Standard", "Advanced"}:
        raise invalid(f"{asked} is not a tier.")
    if asked == "Standard" and before == "Advanced":
        raise invalid(
            "You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier."
        )
    return asked or before


def _check_value(call: Call, value: str, tier: str) -> None:
    limit = _ADVANCED_BYTES if tier == "Advanced" else _STANDARD_BYTES
    if len(value.encode()) > limit:
        raise invalid(
            f"{tier} tier parameters support a maximum parameter value of {limit} characters."
            + (" The advanced-parameter tier takes larger ones." if tier == "Standard" else "")
        )
    if "{{" in value and "}}" in value:
        raise invalid('Parameter value can\'t nest another parameter. Do not use "{{}}" in the value')
    pattern = call.params.find("AllowedPattern")
    if not pattern:
        return
    try:
        matches = re.search(pattern, value) is not None
    except re.error:
        raise AwsError("InvalidAllowedPatternException", "AllowedPattern is not a regular expression.") from None
    if not matches:
        raise AwsError(
            "ParameterPatternMismatchException",
            f"Parameter value, cannot be validated against allowedPattern: {pattern}",
        )


def _key(call: Call, kind: str) -> str | None:
    given = call.params.find("KeyId")
    if kind != "SecureString":
        if given:
            raise invalid("KeyId is for parameters of the type SecureString only.")
        return None
    if given and not kms_keys.usable_for_encryption(call, given):
        raise AwsError("InvalidKeyId", f"The KMS key {given} does not exist or is not enabled.")
    return given or "alias/aws/ssm"


def _forget_oldest(call: Call, name: str) -> None:
    """A hundred versions are kept; the oldest goes, unless it carries a label."""
    versions = sorted(int(row["version"]) for row in parameter_rows.history(call, name))
    if len(versions) <= _MOST_VERSIONS:
        return
    if parameter_rows.labels(call, name, versions[0]):
        raise AwsError(
            "ParameterMaxVersionLimitExceeded",
            f"You attempted to create a new version of {name}, but the oldest version has a label and "
            "can't be deleted. Move the label to another version and try again.",
        )
    call.db.execute("DELETE FROM parameter_version WHERE name = ? AND version = ?", (name, versions[0]))


def _delete(call: Call) -> Answer:
    name = call.params.text("Name")
    if not _remove(call, name):
        raise parameter_rows.not_found(name)
    return {}


def _delete_many(call: Call) -> Answer:
    names = parameter_listing.ten_names(call)
    gone = {name: _remove(call, name) for name in names}
    return {
        "DeletedParameters": [name for name, removed in gone.items() if removed],
        "InvalidParameters": [name for name, removed in gone.items() if not removed],
    }


def _remove(call: Call, name: str) -> bool:
    name = parameter_rows.Reference.parse(call, name).name
    return call.db.execute("DELETE FROM parameter WHERE name = ?", (name,)).rowcount > 0


def _label(call: Call) -> Answer:
    """Labels move between versions; those that break the rules are reported, not refused."""
    name, wanted = call.params.text("Name"), call.params.texts("Labels")
    version = call.params.number("ParameterVersion")
    row, _ = parameter_rows.find(call, name if version is None else f"{name}:{version}")
    good = [label for label in wanted if _LABEL.fullmatch(label)]
    for label in good:
        call.db.execute(
            "INSERT INTO parameter_label VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version",
            (row["name"], label, row["version"]),
        )
    if len(parameter_rows.labels(call, row["name"], row["version"])) > _MOST_LABELS:
        raise AwsError("ParameterVersionLabelLimitExceeded", f"A parameter version has at most {_MOST_LABELS} labels.")
    return {
        "InvalidLabels": [label for label in wanted if label not in good],
        "ParameterVersion": row["version"],
    }


def _tagged(call: Call) -> str:
    if call.params.text("ResourceType") != "Parameter":
        raise AwsError("InvalidResourceType", "The embedded platform tags parameters only.")
    name = parameter_rows.Reference.parse(call, call.params.text("ResourceId")).name
    if parameter_rows.lookup(call, name) is None:
        raise AwsError("InvalidResourceId", f"There is no parameter {name}.")
    return name


def _add_tags(call: Call, name: str) -> None:
    tags = call.params.pairs("Tags")
    add_tags(call.db, "parameter", name, tags, refusal="ValidationException", too_many="TooManyTagsError")


def _add_tags_to(call: Call) -> Answer:
    _add_tags(call, _tagged(call))
    return {}


def _list_tags(call: Call) -> Answer:
    return {"TagList": listed(tags_of(call.db, "parameter", _tagged(call)))}


def _remove_tags(call: Call) -> Answer:
    remove_tags(call.db, "parameter", _tagged(call), call.params.texts("TagKeys"))
    return {}


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "AddTagsToResource": _add_tags_to,
        "DeleteParameter": _delete,
        "DeleteParameters": _delete_many,
        "DescribeParameters": parameter_listing.describe,
        "GetParameter": parameter_listing.get_one,
        "GetParameterHistory": parameter_listing.get_history,
        "GetParameters": parameter_listing.get_many,
        "GetParametersByPath": parameter_listing.get_by_path,
        "LabelParameterVersion": _label,
        "ListTagsForResource": _list_tags,
        "PutParameter": _put,
        "RemoveTagsFromResource": _remove_tags,
    }
)
