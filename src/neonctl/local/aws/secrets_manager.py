"""Secrets Manager: the operations that make, change and delete a secret or read its value."""

from __future__ import annotations

import base64
import re
import secrets
import string
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from neonctl.local.aws import kms_keys, secret_listing, secret_rows, staging
from neonctl.local.aws.random_password import random_password
from neonctl.local.aws.tags import add_tags, remove_tags
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from neonctl.local.aws.call import Answer, Call, Operation

_DAY_S = 86400.0
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_SUFFIX_ALPHABET = string.ascii_letters + string.digits


def _create(call: Call) -> Answer:
    """Idempotent by ClientRequestToken; otherwise a name is taken until its deletion is over."""
    params, name = call.params, call.params.text("Name")
    if not _NAME.fullmatch(name):
        raise AwsError(
            "InvalidParameterException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        )
    value, token = secret_rows.value_in(params), secret_rows.token_in(params)
    existing = secret_rows.lookup(call, name)
    if existing is not None:
        return _created_before(call, existing, value, token)
    _check_key(call)
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(6))
    arn = call.arn("secretsmanager", f"secret:{name}-{suffix}")
    call.db.execute(
        "INSERT INTO secret (name, arn, description, kms_key_id, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?)",
        (name, arn, params.find("Description"), params.find("KmsKeyId") or None, call.now, call.now),
    )
    row = secret_rows.lookup(call, name)
    assert row is not None
    _add_tags(call, name)
    if value is None:
        return secret_rows.identity(row)
    secret_rows.add_version(call, row["id"], token, value, [staging.CURRENT])
    return {**secret_rows.identity(row), "VersionId": token}


def _created_before(call: Call, existing: sqlite3.Row, value: secret_rows.Value | None, token: str) -> Answer:
    if existing["deleted_at"] is not None:
        raise AwsError(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )
    version = secret_rows.version(call, existing["id"], token)
    if version is not None and value is not None and secret_rows.content(call, version) == value:
        return {**secret_rows.identity(existing), "VersionId": token}
    raise AwsError(
        "ResourceExistsException",
        f"The operation failed because the secret {existing['name']} already exists.",
    )


def _get_value(call: Call) -> Answer:
    row = secret_rows.find(call)
    version = _wanted_version(call, row)
    secret_rows.accessed(call, row["id"], version["version_id"])
    return shown_value(call, row, version)


def _wanted_version(call: Call, row: sqlite3.Row) -> sqlite3.Row:
    version_id, stage = call.params.find("VersionId"), call.params.find("VersionStage")
    if version_id is None:
        stage = stage or staging.CURRENT
        holder = staging.holder_of(call.db, row["id"], stage)
        version = None if holder is None else secret_rows.version(call, row["id"], holder)
        if version is None:
            raise secret_rows.missing(f"secret value for staging label: {stage}")
        return version
    version = secret_rows.version(call, row["id"], version_id)
    if version is None:
        raise secret_rows.missing(f"secret value for VersionId: {version_id}")
    if stage is not None and staging.holder_of(call.db, row["id"], stage) != version_id:
        raise AwsError(
            "InvalidRequestException",
            "You provided a VersionStage that is not associated to the provided VersionId.",
        )
    return version


def shown_value(call: Call, row: sqlite3.Row, version: sqlite3.Row) -> dict[str, Any]:
    """A version as GetSecretValue answers it."""
    value = secret_rows.content(call, version)
    text = value.content.decode() if value.kind == "SecretString" else base64.b64encode(value.content).decode()
    return {
        **secret_rows.identity(row),
        "VersionId": version["version_id"],
        value.kind: text,
        "VersionStages": staging.stages_of(call.db, row["id"], version["version_id"]),
        "CreatedDate": version["created_at"],
    }


def _batch_get(call: Call) -> Answer:
    """Per secret the AWSCURRENT value or an error; one missing secret does not fail the others."""
    rows, errors, token = secret_listing.batch(call)
    values: list[dict[str, Any]] = []
    for row in rows:
        holder = staging.holder_of(call.db, row["id"], staging.CURRENT)
        version = None if holder is None else secret_rows.version(call, row["id"], holder)
        if row["deleted_at"] is not None:
            errors.append(_batch_error(row["name"], "InvalidRequestException", "The secret is marked for deletion."))
        elif version is None:
            missing = secret_rows.missing(f"secret value for staging label: {staging.CURRENT}")
            errors.append(_batch_error(row["name"], missing.code, missing.message))
        else:
            secret_rows.accessed(call, row["id"], version["version_id"])
            values.append(shown_value(call, row, version))
    return {"SecretValues": values, "Errors": errors, **({"NextToken": token} if token else {})}


def _batch_error(secret_id: str, code: str, message: str) -> dict[str, str]:
    return {"SecretId": secret_id, "ErrorCode": code, "Message": message}


def _put_value(call: Call) -> Answer:
    """Without VersionStages AWSCURRENT moves at once. Same token and value: nothing happens."""
    row = secret_rows.find(call)
    value, token = secret_rows.value_in(call.params), secret_rows.token_in(call.params)
    if value is None:
        raise AwsError("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
    existing = secret_rows.version(call, row["id"], token)
    if existing is None:
        stages = call.params.texts("VersionStages") or [staging.CURRENT]
        secret_rows.add_version(call, row["id"], token, value, stages)
    elif secret_rows.content(call, existing) != value:
        raise secret_rows.token_in_use(row, token)
    return {
        **secret_rows.identity(row),
        "VersionId": token,
        "VersionStages": staging.stages_of(call.db, row["id"], token),
    }


def _update(call: Call) -> Answer:
    """A token that is in use is an error here even for the same value (unlike PutSecretValue)."""
    row, params = secret_rows.find(call), call.params
    value = secret_rows.value_in(params)
    _check_key(call)
    if "Description" in params:
        call.db.execute("UPDATE secret SET description = ? WHERE id = ?", (params.find("Description"), row["id"]))
    if "KmsKeyId" in params:
        call.db.execute("UPDATE secret SET kms_key_id = ? WHERE id = ?", (params.find("KmsKeyId") or None, row["id"]))
    secret_rows.changed(call, row["id"])
    if value is None:
        return secret_rows.identity(row)
    token = secret_rows.token_in(params)
    if secret_rows.version(call, row["id"], token) is not None:
        raise secret_rows.token_in_use(row, token)
    secret_rows.add_version(call, row["id"], token, value, [staging.CURRENT])
    return {**secret_rows.identity(row), "VersionId": token}


def _update_stage(call: Call) -> Answer:
    row, params = secret_rows.find(call), call.params
    remove_from, move_to = params.find("RemoveFromVersionId"), params.find("MoveToVersionId")
    for version_id in (remove_from, move_to):
        if version_id is not None and secret_rows.version(call, row["id"], version_id) is None:
            raise secret_rows.missing(f"secret version: {version_id}")
    if remove_from is None and move_to is None:
        raise AwsError("InvalidParameterException", "You must provide RemoveFromVersionId, MoveToVersionId or both.")
    staging.move(call.db, row["id"], params.text("VersionStage"), remove_from=remove_from, move_to=move_to)
    secret_rows.changed(call, row["id"])
    return secret_rows.identity(row)


def _delete(call: Call) -> Answer:
    """Scheduled with a window of 7 to 30 days, or at once and then without error when it is absent."""
    params = call.params
    window, force = params.number("RecoveryWindowInDays"), params.flag("ForceDeleteWithoutRecovery")
    if force and window is not None:
        raise AwsError(
            "InvalidParameterException",
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        )
    if window is not None and not 7 <= window <= 30:
        raise AwsError(
            "InvalidParameterException",
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        )
    if force:
        return _delete_at_once(call)
    row = secret_rows.find(call, deleted="allow")
    if row["deleted_at"] is not None:
        raise AwsError(
            "InvalidRequestException",
            "You tried to perform the operation on a secret that's currently marked deleted.",
        )
    purge_at = call.now + (30 if window is None else window) * _DAY_S
    call.db.execute("UPDATE secret SET deleted_at = ?, purge_at = ? WHERE id = ?", (call.now, purge_at, row["id"]))
    return {**secret_rows.identity(row), "DeletionDate": purge_at}


def _delete_at_once(call: Call) -> Answer:
    secret_id = call.params.text("SecretId")
    row = secret_rows.lookup(call, secret_id)
    if row is None:
        arn = secret_id if secret_id.startswith("arn:") else call.arn("secretsmanager", f"secret:{secret_id}")
        return {"ARN": arn, "Name": secret_id, "DeletionDate": call.now}
    call.db.execute("DELETE FROM secret WHERE id = ?", (row["id"],))
    return {**secret_rows.identity(row), "DeletionDate": call.now}


def _restore(call: Call) -> Answer:
    row = secret_rows.find(call, deleted="allow")
    call.db.execute("UPDATE secret SET deleted_at = NULL, purge_at = NULL WHERE id = ?", (row["id"],))
    return secret_rows.identity(row)


def _tag(call: Call) -> Answer:
    _add_tags(call, secret_rows.find(call)["name"])
    return None


def _untag(call: Call) -> Answer:
    remove_tags(call.db, "secret", secret_rows.find(call)["name"], call.params.texts("TagKeys"))
    return None


def _rotate(call: Call) -> Answer:
    """There is no Lambda here, and AWS refuses a rotation without one."""
    secret_rows.find(call)
    if "RotationLambdaARN" in call.params:
        raise AwsError(
            "InvalidRequestException",
            "The embedded platform runs no Lambda functions; rotate with `neonctl rotate`.",
        )
    raise AwsError("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")


def _add_tags(call: Call, name: str) -> None:
    add_tags(
        call.db,
        "secret",
        name,
        call.params.pairs("Tags"),
        refusal="InvalidParameterException",
        too_many="InvalidParameterException",
    )


def _check_key(call: Call) -> None:
    key_id = call.params.find("KmsKeyId")
    if key_id and not kms_keys.usable_for_encryption(call, key_id):
        raise AwsError(
            "EncryptionFailure",
            "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that "
            f"the KMS key {key_id} is available, enabled, and not in an invalid state.",
        )


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "BatchGetSecretValue": _batch_get,
        "CreateSecret": _create,
        "DeleteSecret": _delete,
        "DescribeSecret": secret_listing.describe,
        "GetRandomPassword": random_password,
        "GetSecretValue": _get_value,
        "ListSecretVersionIds": secret_listing.list_versions,
        "ListSecrets": secret_listing.list_secrets,
        "PutSecretValue": _put_value,
        "RestoreSecret": _restore,
        "RotateSecret": _rotate,
        "TagResource": _tag,
        "UntagResource": _untag,
        "UpdateSecret": _update,
        "UpdateSecretVersionStage": _update_stage,
    }
)
