"""Secrets Manager: describing, listing and filtering. Nothing here opens a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neonctl.local.aws import secret_rows, staging
from neonctl.local.aws.paging import page
from neonctl.local.aws.tags import listed, tags_of
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from neonctl.local.aws.call import Answer, Call, Params

_BAD_TOKEN = "InvalidNextTokenException"  # noqa: S105 (the name of an error)
_SORTS = ("created-date", "last-accessed-date", "last-changed-date", "name")


def describe(call: Call) -> Answer:
    """DescribeSecret, which also shows secrets that are scheduled for deletion."""
    row = secret_rows.find(call, deleted="allow")
    shown = _shown(call, row, deleted_date=row["purge_at"])
    shown["VersionIdsToStages"] = staging.versions_to_stages(call.db, row["id"])
    return shown


def list_secrets(call: Call) -> Answer:
    """ListSecrets: filtered, sorted (newest first unless asked otherwise), in pages."""
    params = call.params
    rows = _filtered(call, with_deleted=params.flag("IncludePlannedDeletion"))
    sort_by, order = params.find("SortBy") or "created-date", params.find("SortOrder") or "desc"
    if sort_by not in _SORTS or order not in {"asc", "desc"}:
        raise AwsError("InvalidParameterException", "SortBy or SortOrder is not valid.")
    taken, token = page(
        rows,
        key=_sort_key(sort_by),
        limit=params.bounded("MaxResults", 100, 1, 100),
        token=params.find("NextToken"),
        refusal=_BAD_TOKEN,
        descending=order == "desc",
    )
    entries: list[dict[str, Any]] = []
    for row in taken:
        entry = _shown(call, row, deleted_date=row["deleted_at"])
        entry["SecretVersionsToStages"] = staging.versions_to_stages(call.db, row["id"])
        entries.append(entry)
    return {"SecretList": entries, **({"NextToken": token} if token else {})}


def list_versions(call: Call) -> Answer:
    """ListSecretVersionIds: versions without labels are deprecated and shown on request only."""
    row, params = secret_rows.find(call, deleted="allow"), call.params
    stages = staging.versions_to_stages(call.db, row["id"])
    versions: list[sqlite3.Row] = call.db.execute(
        "SELECT version_id, created_at, accessed_on FROM secret_version WHERE secret_id = ?", (row["id"],)
    ).fetchall()
    if not params.flag("IncludeDeprecated"):
        versions = [version for version in versions if version["version_id"] in stages]
    taken, token = page(
        versions,
        key=lambda version: (version["created_at"], version["version_id"]),
        limit=params.bounded("MaxResults", 100, 1, 100),
        token=params.find("NextToken"),
        refusal=_BAD_TOKEN,
        descending=True,
    )
    listing: list[dict[str, Any]] = []
    for version in taken:
        entry = {"VersionId": version["version_id"], "CreatedDate": version["created_at"]}
        entry["KmsKeyIds"] = [row["kms_key_id"] or "DefaultEncryptionKey"]
        if version["accessed_on"] is not None:
            entry["LastAccessedDate"] = version["accessed_on"]
        if version["version_id"] in stages:
            entry["VersionStages"] = stages[version["version_id"]]
        listing.append(entry)
    return {**secret_rows.identity(row), "Versions": listing, **({"NextToken": token} if token else {})}


def batch(call: Call) -> tuple[list[sqlite3.Row], list[dict[str, str]], str | None]:
    """The secrets that BatchGetSecretValue is about, errors for those not found, and the next token."""
    params = call.params
    wanted = params.texts("SecretIdList")
    if bool(wanted) == ("Filters" in params):
        raise AwsError("InvalidParameterException", "You must include Filters or SecretIdList, but not both.")
    if wanted:
        if len(wanted) > 20:
            raise AwsError("InvalidParameterException", "SecretIdList has at most 20 members.")
        found = {secret_id: secret_rows.lookup(call, secret_id) for secret_id in wanted}
        errors = [
            {
                "SecretId": secret_id,
                "ErrorCode": "ResourceNotFoundException",
                "Message": "Secrets Manager can't find the specified secret.",
            }
            for secret_id, row in found.items()
            if row is None
        ]
        return [row for row in found.values() if row is not None], errors, None
    rows, token = page(
        _filtered(call, with_deleted=False),
        key=_sort_key("created-date"),
        limit=params.bounded("MaxResults", 20, 1, 20),
        token=params.find("NextToken"),
        refusal=_BAD_TOKEN,
        descending=True,
    )
    return rows, [], token


def _shown(call: Call, row: sqlite3.Row, *, deleted_date: float | None) -> dict[str, Any]:
    tags = tags_of(call.db, "secret", row["name"])
    optional = {
        "Description": row["description"],
        "KmsKeyId": row["kms_key_id"],
        "LastAccessedDate": row["accessed_on"],
        "DeletedDate": deleted_date,
    }
    return {
        **secret_rows.identity(row),
        "CreatedDate": row["created_at"],
        "LastChangedDate": row["changed_at"],
        **{name: value for name, value in optional.items() if value is not None},
        **({"Tags": listed(tags)} if tags else {}),
    }


def _filtered(call: Call, *, with_deleted: bool) -> list[sqlite3.Row]:
    rows: list[sqlite3.Row] = call.db.execute(
        "SELECT * FROM secret" if with_deleted else "SELECT * FROM secret WHERE deleted_at IS NULL"
    ).fetchall()
    for wanted in call.params.items("Filters"):
        rows = [row for row in rows if _matches(call, row, wanted)]
    return rows


def _matches(call: Call, row: sqlite3.Row, wanted: Params) -> bool:
    """One filter: any of its values matches; a value with a leading ``!`` must not."""
    key, values = wanted.text("Key"), wanted.texts("Values")
    tags = tags_of(call.db, "secret", row["name"])
    description = [row["description"] or ""]
    attributes = {
        "name": [row["name"]],
        "description": description,
        "tag-key": list(tags),
        "tag-value": list(tags.values()),
        "primary-region": [row["arn"].split(":")[3]],
        "owning-service": list[str](),
        "all": [row["name"], *description, *tags, *tags.values()],
    }
    if key not in attributes:
        raise AwsError("InvalidParameterException", f"{key} is not a filter.")
    return any(
        not _has(key, attributes[key], value[1:]) if value.startswith("!") else _has(key, attributes[key], value)
        for value in values
    )


def _has(key: str, attributes: list[str], wanted: str) -> bool:
    if key == "all":
        words = wanted.lower().split()
        return any(word in attribute.lower() for attribute in attributes for word in words)
    if key == "description":
        return any(attribute.lower().startswith(wanted.lower()) for attribute in attributes)
    return any(attribute.startswith(wanted) for attribute in attributes)


def _sort_key(sort_by: str) -> Callable[[sqlite3.Row], tuple[float | str, ...]]:
    columns = {
        "created-date": "created_at",
        "last-accessed-date": "accessed_on",
        "last-changed-date": "changed_at",
        "name": "name",
    }
    column = columns[sort_by]
    # A secret never read has no date of access: it sorts as the oldest.
    return lambda row: (row[column] if row[column] is not None else 0.0, row["id"])
