"""KMS keys as rows: finding, making, describing, enabling and deleting them.

Symmetric keys can be made, named and described, because secrets and parameters refer to them; encrypting with
them is not offered (what is stored here is sealed by the store's own key).
"""

from __future__ import annotations

import re
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from neonctl.local.aws.call import invalid
from neonctl.local.aws.paging import page
from neonctl.local.aws.tags import add_tags, listed, tags_of
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from neonctl.local.aws.call import Answer, Call

_DAY_S = 86400.0
SYMMETRIC = "SYMMETRIC_DEFAULT"
USER_ALIAS = re.compile(r"alias/(?!aws/)[A-Za-z0-9/_-]{1,250}")

_CURVES: Mapping[str, ec.EllipticCurve] = MappingProxyType(
    {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}
)
ALGORITHM_OF: Mapping[str, str] = MappingProxyType(
    {"ECC_NIST_P256": "ECDSA_SHA_256", "ECC_NIST_P384": "ECDSA_SHA_384", "ECC_NIST_P521": "ECDSA_SHA_512"}
)
"""The one signing algorithm of each spec."""


def usable_for_encryption(call: Call, key_id: str) -> bool:
    """Whether a secret or a SecureString may name this key (id, ARN or alias).

    An alias that nobody has made gets a key now, unlike in AWS: the YAML that names a key of the bank's accounts
    has to work on a machine where nobody could make it.
    """
    row = lookup(call, key_id)
    alias = _alias_in(key_id)
    if row is None and alias is not None and USER_ALIAS.fullmatch(alias):
        row = _made_for(call, alias)
    return row is not None and row["spec"] == SYMMETRIC and state(row) == "Enabled"


def _made_for(call: Call, alias: str) -> sqlite3.Row:
    row = insert(call, SYMMETRIC, "ENCRYPT_DECRYPT", f"Made at the first use of {alias}", None)
    call.db.execute("INSERT INTO kms_alias VALUES (?, ?, ?, ?)", (alias, row["key_id"], call.now, call.now))
    return row


def insert(call: Call, spec: str, usage: str, description: str, private: bytes | None) -> sqlite3.Row:
    """A new key of the caller's account and region; ``private`` is stored sealed."""
    key_id = str(uuid.uuid4())
    sealed = None if private is None else call.sealer.seal(place(key_id), private)
    call.db.execute(
        "INSERT INTO kms_key (key_id, arn, spec, usage, description, manager, created_at, sealed)"
        " VALUES (?, ?, ?, ?, ?, 'CUSTOMER', ?, ?)",
        (key_id, call.arn("kms", f"key/{key_id}"), spec, usage, description, call.now, sealed),
    )
    row = lookup(call, key_id)
    assert row is not None
    return row


def key_arn(call: Call, row: sqlite3.Row) -> str:
    """The ARN of a key; AWS's own keys are of the account and region that asks."""
    return row["arn"] or call.arn("kms", f"key/{row['key_id']}")


def lookup(call: Call, key_id: str) -> sqlite3.Row | None:
    """By key id, key ARN, alias or alias ARN.

    An alias is found by its name whichever account and region its ARN says: the accounts of a bank each have
    their own under one name, and here they share it.
    """
    alias = _alias_in(key_id)
    if alias is not None:
        sql = "SELECT kms_key.* FROM kms_alias JOIN kms_key USING (key_id) WHERE name = ?"
        by_alias: sqlite3.Row | None = call.db.execute(sql, (alias,)).fetchone()
        return by_alias
    bare = key_id.rpartition(":")[2].removeprefix("key/")
    row: sqlite3.Row | None = call.db.execute("SELECT * FROM kms_key WHERE key_id = ?", (bare,)).fetchone()
    if row is not None and key_id.startswith("arn:") and key_id != key_arn(call, row):
        return None
    return row


def _alias_in(key_id: str) -> str | None:
    resource = key_id.rpartition(":")[2] if key_id.startswith("arn:") else key_id
    return resource if resource.startswith("alias/") else None


def find(call: Call, parameter: str = "KeyId") -> sqlite3.Row:
    """The key that a parameter names. Raises AwsError(NotFoundException)."""
    key_id = call.params.text(parameter)
    row = lookup(call, key_id)
    if row is not None:
        return row
    if "alias/" in key_id:
        name = key_id if key_id.startswith("arn:") else call.arn("kms", key_id)
        raise AwsError("NotFoundException", f"Alias {name} is not found.")
    name = key_id if key_id.startswith("arn:") else call.arn("kms", f"key/{key_id}")
    raise AwsError("NotFoundException", f"Key '{name}' does not exist")


def state(row: sqlite3.Row) -> str:
    """KMS's word for whether a key can be used."""
    if row["deletion_at"] is not None:
        return "PendingDeletion"
    return "Enabled" if row["enabled"] else "Disabled"


def place(key_id: str) -> str:
    """Where a private key is sealed."""
    return f"kms:{key_id}"


def create_key(call: Call) -> Answer:
    """CreateKey: a symmetric key, or one to sign with."""
    params = call.params
    spec = params.find("KeySpec") or params.find("CustomerMasterKeySpec") or SYMMETRIC
    usage = params.find("KeyUsage") or "ENCRYPT_DECRYPT"
    if spec != SYMMETRIC and spec not in _CURVES:
        raise AwsError("UnsupportedOperationException", f"The embedded platform makes no keys of the spec {spec}.")
    if usage != ("ENCRYPT_DECRYPT" if spec == SYMMETRIC else "SIGN_VERIFY"):
        raise invalid(
            f"The operation failed because the KeyUsage value of the KMS key {usage} is not valid for {spec}."
        )
    private = None
    if spec in _CURVES:
        private = ec.generate_private_key(_CURVES[spec]).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    row = insert(call, spec, usage, params.find("Description") or "", private)
    tags = {tag.text("TagKey"): tag.find("TagValue") or "" for tag in params.items("Tags")}
    add_tags(call.db, "key", row["key_id"], tags, refusal="TagException", too_many="TagException")
    return {"KeyMetadata": _metadata(call, row)}


def _metadata(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    arn = key_arn(call, row)
    shown: dict[str, Any] = {
        "AWSAccountId": arn.split(":")[4],
        "KeyId": row["key_id"],
        "Arn": arn,
        "CreationDate": row["created_at"],
        "Enabled": state(row) == "Enabled",
        "Description": row["description"],
        "KeyUsage": row["usage"],
        "KeyState": state(row),
        "Origin": "AWS_KMS",
        "KeyManager": row["manager"],
        "CustomerMasterKeySpec": row["spec"],
        "KeySpec": row["spec"],
        "MultiRegion": False,
    }
    if row["deletion_at"] is not None:
        shown["DeletionDate"] = row["deletion_at"]
    if row["spec"] == SYMMETRIC:
        shown["EncryptionAlgorithms"] = [SYMMETRIC]
    else:
        shown["SigningAlgorithms"] = [ALGORITHM_OF[row["spec"]]]
    return shown


def describe_key(call: Call) -> Answer:
    """DescribeKey."""
    return {"KeyMetadata": _metadata(call, find(call))}


def list_keys(call: Call) -> Answer:
    """ListKeys, in pages."""
    rows: list[sqlite3.Row] = call.db.execute("SELECT key_id, arn FROM kms_key").fetchall()
    taken, token = page(
        rows,
        key=lambda row: (row["key_id"],),
        limit=call.params.bounded("Limit", 100, 1, 1000),
        token=call.params.find("Marker"),
        refusal="InvalidMarkerException",
    )
    keys = [{"KeyId": row["key_id"], "KeyArn": key_arn(call, row)} for row in taken]
    return {"Keys": keys, "Truncated": token is not None, **({"NextMarker": token} if token else {})}


def enable_key(call: Call) -> Answer:
    """EnableKey."""
    return _switch(call, enabled=True)


def disable_key(call: Call) -> Answer:
    """DisableKey: signing, and secrets that are to be written with the key, fail from now on."""
    return _switch(call, enabled=False)


def _switch(call: Call, *, enabled: bool) -> Answer:
    row = _changeable(call)
    call.db.execute("UPDATE kms_key SET enabled = ? WHERE key_id = ?", (int(enabled), row["key_id"]))
    return None


def _changeable(call: Call) -> sqlite3.Row:
    row = find(call)
    if row["manager"] == "AWS":
        raise invalid("A key that AWS manages can't be changed.")
    if row["deletion_at"] is not None:
        raise AwsError("KMSInvalidStateException", f"{key_arn(call, row)} is pending deletion.")
    return row


def schedule_deletion(call: Call) -> Answer:
    """ScheduleKeyDeletion: 7 to 30 days (30)."""
    row = _changeable(call)
    days = call.params.bounded("PendingWindowInDays", 30, 7, 30)
    deletion_at = call.now + days * _DAY_S
    call.db.execute("UPDATE kms_key SET deletion_at = ? WHERE key_id = ?", (deletion_at, row["key_id"]))
    return {
        "KeyId": key_arn(call, row),
        "DeletionDate": deletion_at,
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": days,
    }


def list_tags(call: Call) -> Answer:
    """ListResourceTags."""
    tags = listed(tags_of(call.db, "key", find(call)["key_id"]))
    return {"Tags": [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags], "Truncated": False}
