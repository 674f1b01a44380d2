"""KMS aliases: names for keys. Those under ``alias/aws/`` belong to AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neonctl.local.aws.kms_keys import USER_ALIAS, find, key_arn
from neonctl.local.aws.paging import page
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3

    from neonctl.local.aws.call import Answer, Call


def create_alias(call: Call) -> Answer:
    """CreateAlias."""
    name, row = _user_alias(call), find(call, "TargetKeyId")
    if call.db.execute("SELECT 1 FROM kms_alias WHERE name = ?", (name,)).fetchone() is not None:
        raise AwsError("AlreadyExistsException", f"An alias with the name {_arn(call, row, name)} already exists")
    call.db.execute("INSERT INTO kms_alias VALUES (?, ?, ?, ?)", (name, row["key_id"], call.now, call.now))
    return None


def delete_alias(call: Call) -> Answer:
    """DeleteAlias."""
    name = _user_alias(call)
    if call.db.execute("DELETE FROM kms_alias WHERE name = ?", (name,)).rowcount == 0:
        raise AwsError("NotFoundException", f"Alias {call.arn('kms', name)} is not found.")
    return None


def _user_alias(call: Call) -> str:
    name = call.params.text("AliasName")
    if name.startswith("alias/aws/"):
        raise AwsError("NotAuthorizedException", "Aliases that begin with alias/aws/ are reserved.")
    if not USER_ALIAS.fullmatch(name):
        raise AwsError("InvalidAliasNameException", f"{name} is not an alias name.")
    return name


def _arn(call: Call, key: sqlite3.Row, name: str) -> str:
    """An alias is of its key's account and region."""
    return key_arn(call, key).rpartition("key/")[0] + name


def list_aliases(call: Call) -> Answer:
    """ListAliases, of one key when it is named, in pages."""
    rows: list[sqlite3.Row] = call.db.execute(
        "SELECT kms_alias.*, kms_key.arn FROM kms_alias JOIN kms_key USING (key_id)"
    ).fetchall()
    if "KeyId" in call.params:
        key_id = find(call)["key_id"]
        rows = [row for row in rows if row["key_id"] == key_id]
    taken, token = page(
        rows,
        key=lambda row: (row["name"],),
        limit=call.params.bounded("Limit", 50, 1, 100),
        token=call.params.find("Marker"),
        refusal="InvalidMarkerException",
    )
    aliases = [
        {
            "AliasName": row["name"],
            "AliasArn": _arn(call, row, row["name"]),
            "TargetKeyId": row["key_id"],
            "CreationDate": row["created_at"],
            "LastUpdatedDate": row["updated_at"],
        }
        for row in taken
    ]
    return {"Aliases": aliases, "Truncated": token is not None, **({"NextMarker": token} if token else {})}
