"""Secrets and their versions as rows: finding, sealing, adding."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from neonctl.local.aws import staging
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from neonctl.local.aws.call import Call, Params

Kind = Literal["SecretString", "SecretBinary"]

_LARGEST = 65536
_KEPT_VERSIONS = 100
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Value:
    """What a caller wants stored. ``repr`` shows no content."""

    kind: Kind
    content: bytes

    def __repr__(self) -> str:
        return f"Value({self.kind}, {len(self.content)} bytes)"


def find(call: Call, *, deleted: Literal["refuse", "allow"] = "refuse") -> sqlite3.Row:
    """The secret that ``SecretId`` names: by name, ARN, or ARN without its random suffix.

    Raises AwsError(ResourceNotFoundException); AwsError(InvalidRequestException) for one that is scheduled
    for deletion, unless that is allowed.
    """
    row = lookup(call, call.params.text("SecretId"))
    if row is None:
        raise missing()
    if deleted == "refuse" and row["deleted_at"] is not None:
        raise AwsError(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    return row


def missing(what: str = "secret") -> AwsError:
    """AWS's "not found"."""
    return AwsError("ResourceNotFoundException", f"Secrets Manager can't find the specified {what}.")


def lookup(call: Call, secret_id: str) -> sqlite3.Row | None:
    """As ``find``, without refusals."""
    sql = "SELECT * FROM secret WHERE name = ?1"
    if secret_id.startswith("arn:"):
        # A whole ARN wins over one whose name ends like a suffix.
        sql = "SELECT * FROM secret WHERE arn = ?1 OR substr(arn, 1, length(arn) - 7) = ?1 ORDER BY arn = ?1 DESC"
    row: sqlite3.Row | None = call.db.execute(sql, (secret_id,)).fetchone()
    return row


def identity(row: sqlite3.Row) -> dict[str, Any]:
    """ARN and Name, which every answer carries."""
    return {"ARN": row["arn"], "Name": row["name"]}


def value_in(params: Params) -> Value | None:
    """SecretString or SecretBinary, or None. Raises AwsError(InvalidParameterException)."""
    string, binary = params.find("SecretString"), params.blob("SecretBinary")
    if string is not None and binary is not None:
        raise AwsError(
            "InvalidParameterException",
            "You can't specify both a binary secret value and a string secret value.",
        )
    if string is None and binary is None:
        return None
    value = (
        Value("SecretString", string.encode())
        if string is not None
        else Value("SecretBinary", binary if binary is not None else b"")
    )
    if not 1 <= len(value.content) <= _LARGEST:
        raise AwsError(
            "InvalidParameterException",
            f"The secret value must be between 1 and {_LARGEST} bytes, this one has {len(value.content)}.",
        )
    return value


def token_in(params: Params) -> str:
    """ClientRequestToken, which becomes the version's id. Raises AwsError(InvalidParameterException)."""
    token = params.find("ClientRequestToken") or str(uuid.uuid4())
    if not 32 <= len(token) <= 64:
        raise AwsError("InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
    return token


def version(call: Call, secret_id: int, version_id: str) -> sqlite3.Row | None:
    """One version's row."""
    row: sqlite3.Row | None = call.db.execute(
        "SELECT * FROM secret_version WHERE secret_id = ? AND version_id = ?", (secret_id, version_id)
    ).fetchone()
    return row


def content(call: Call, row: sqlite3.Row) -> Value:
    """The opened value of a version."""
    return Value(row["kind"], call.sealer.open(_place(row["secret_id"], row["version_id"]), row["sealed"]))


def token_in_use(secret: sqlite3.Row, token: str) -> AwsError:
    """The refusal of a version id that already holds another value."""
    return AwsError(
        "ResourceExistsException",
        f"You can't use ClientRequestToken {token} because that value is already in use for a version of "
        f"secret {secret['arn']}.",
    )


def add_version(call: Call, secret_id: int, version_id: str, value: Value, stages: Sequence[str]) -> None:
    """Store a new version and move ``stages`` to it; a secret's first version is AWSCURRENT in any case."""
    first = call.db.execute("SELECT 1 FROM secret_version WHERE secret_id = ?", (secret_id,)).fetchone() is None
    call.db.execute(
        "INSERT INTO secret_version (secret_id, version_id, kind, sealed, created_at) VALUES (?, ?, ?, ?, ?)",
        (
            secret_id,
            version_id,
            value.kind,
            call.sealer.seal(_place(secret_id, version_id), value.content),
            call.now,
        ),
    )
    staging.attach(call.db, secret_id, version_id, [*stages, staging.CURRENT] if first else stages)
    changed(call, secret_id)
    _forget_old_versions(call, secret_id)


def changed(call: Call, secret_id: int) -> None:
    """Note that the secret changed now."""
    call.db.execute("UPDATE secret SET changed_at = ? WHERE id = ?", (call.now, secret_id))


def accessed(call: Call, secret_id: int, version_id: str) -> None:
    """Note the day of access, as AWS does; a day's second read writes nothing."""
    day = call.now - call.now % _DAY_S
    for table, where in (("secret", "id = ?1"), ("secret_version", "secret_id = ?1 AND version_id = ?2")):
        due = f"{where} AND accessed_on IS NOT ?3"
        found = call.db.execute(f"SELECT 1 FROM {table} WHERE {due}", (secret_id, version_id, day)).fetchone()  # noqa: S608
        if found is not None:
            call.db.execute(f"UPDATE {table} SET accessed_on = ?3 WHERE {due}", (secret_id, version_id, day))  # noqa: S608


def _forget_old_versions(call: Call, secret_id: int) -> None:
    """AWS removes deprecated versions beyond a hundred, but none younger than a day."""
    call.db.execute(
        "DELETE FROM secret_version WHERE secret_id = ?1 AND created_at < ?2 AND version_id NOT IN"
        " (SELECT version_id FROM secret_stage WHERE secret_id = ?1) AND version_id NOT IN"
        " (SELECT version_id FROM secret_version WHERE secret_id = ?1 ORDER BY created_at DESC LIMIT ?3)",
        (secret_id, call.now - _DAY_S, _KEPT_VERSIONS),
    )


def _place(secret_id: int, version_id: str) -> str:
    return f"secret:{secret_id}:{version_id}"
