"""KMS: asymmetric signing keys, aliases, and the existence of symmetric keys that others name.

Symmetric keys can be made, named and described, because secrets and parameters refer to them; encrypting with
them is not offered (what is stored here is sealed by the store's own key).
"""

from __future__ import annotations

import base64
import re
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from neonctl.local.aws.call import invalid
from neonctl.local.aws.paging import page
from neonctl.local.aws.tags import add_tags, listed, tags_of
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from neonctl.local.aws.call import Answer, Call, Operation

_DAY_S = 86400.0
_ALIAS = re.compile(r"alias/[A-Za-z0-9/_-]{1,250}")
_SYMMETRIC = "SYMMETRIC_DEFAULT"
_LARGEST_RAW_MESSAGE = 4096

_CURVES: Mapping[str, ec.EllipticCurve] = MappingProxyType(
    {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}
)
_ALGORITHM_OF: Mapping[str, str] = MappingProxyType(
    {"ECC_NIST_P256": "ECDSA_SHA_256", "ECC_NIST_P384": "ECDSA_SHA_384", "ECC_NIST_P521": "ECDSA_SHA_512"}
)
_HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType(
    {"ECDSA_SHA_256": hashes.SHA256(), "ECDSA_SHA_384": hashes.SHA384(), "ECDSA_SHA_512": hashes.SHA512()}
)


def usable_for_encryption(call: Call, key_id: str) -> bool:
    """Whether a secret or a SecureString may name this key (id, ARN or alias)."""
    row = _lookup(call, key_id)
    return row is not None and row["spec"] == _SYMMETRIC and _state(row) == "Enabled"


def _lookup(call: Call, key_id: str) -> sqlite3.Row | None:
    """By key id, key ARN, alias or alias ARN."""
    resource = key_id.removeprefix(call.arn("kms", "")).removeprefix("key/")
    if resource.startswith("alias/"):
        sql = "SELECT kms_key.* FROM kms_alias JOIN kms_key USING (key_id) WHERE name = ?"
    else:
        sql = "SELECT * FROM kms_key WHERE key_id = ?"
    row: sqlite3.Row | None = call.db.execute(sql, (resource,)).fetchone()
    return row


def _find(call: Call, parameter: str = "KeyId") -> sqlite3.Row:
    key_id = call.params.text(parameter)
    row = _lookup(call, key_id)
    if row is None:
        name = key_id if key_id.startswith("arn:") else call.arn("kms", _resource(key_id))
        kind = "Alias" if "alias/" in key_id else "Key"
        raise AwsError(
            "NotFoundException",
            f"{kind} {name!r} does not exist" if kind == "Key" else f"Alias {name} is not found.",
        )
    return row


def _resource(key_id: str) -> str:
    return key_id if key_id.startswith("alias/") else f"key/{key_id}"


def _state(row: sqlite3.Row) -> str:
    if row["deletion_at"] is not None:
        return "PendingDeletion"
    return "Enabled" if row["enabled"] else "Disabled"


def _signing_key(call: Call) -> sqlite3.Row:
    row = _find(call)
    arn = call.arn("kms", f"key/{row['key_id']}")
    if _state(row) == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{arn} is pending deletion.")
    if _state(row) == "Disabled":
        raise AwsError("DisabledException", f"{arn} is disabled.")
    if row["usage"] != "SIGN_VERIFY":
        raise AwsError(
            "InvalidKeyUsageException",
            f"{arn} key usage is {row['usage']} which is not valid for this operation.",
        )
    return row


def _private_key(call: Call, row: sqlite3.Row) -> ec.EllipticCurvePrivateKey:
    der = call.sealer.open(_place(row["key_id"]), row["sealed"])
    key = serialization.load_der_private_key(der, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _place(key_id: str) -> str:
    return f"kms:{key_id}"


def _create_key(call: Call) -> Answer:
    params = call.params
    spec = params.find("KeySpec") or params.find("CustomerMasterKeySpec") or _SYMMETRIC
    usage = params.find("KeyUsage") or "ENCRYPT_DECRYPT"
    if spec != _SYMMETRIC and spec not in _CURVES:
        raise AwsError("UnsupportedOperationException", f"The embedded platform makes no keys of the spec {spec}.")
    if usage != ("ENCRYPT_DECRYPT" if spec == _SYMMETRIC else "SIGN_VERIFY"):
        raise invalid(
            f"The operation failed because the KeyUsage value of the KMS key {usage} is not valid for {spec}."
        )
    key_id = str(uuid.uuid4())
    sealed = None
    if spec in _CURVES:
        der = ec.generate_private_key(_CURVES[spec]).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        sealed = call.sealer.seal(_place(key_id), der)
    call.db.execute(
        "INSERT INTO kms_key (key_id, spec, usage, description, manager, created_at, sealed)"
        " VALUES (?, ?, ?, ?, 'CUSTOMER', ?, ?)",
        (key_id, spec, usage, params.find("Description") or "", call.now, sealed),
    )
    tags = {tag.text("TagKey"): tag.find("TagValue") or "" for tag in params.items("Tags")}
    add_tags(call.db, "key", key_id, tags, refusal="TagException", too_many="TagException")
    row = _lookup(call, key_id)
    assert row is not None
    return {"KeyMetadata": _metadata(call, row)}


def _metadata(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AWSAccountId": call.account_id,
        "KeyId": row["key_id"],
        "Arn": call.arn("kms", f"key/{row['key_id']}"),
        "CreationDate": row["created_at"],
        "Enabled": _state(row) == "Enabled",
        "Description": row["description"],
        "KeyUsage": row["usage"],
        "KeyState": _state(row),
        "Origin": "AWS_KMS",
        "KeyManager": row["manager"],
        "CustomerMasterKeySpec": row["spec"],
        "KeySpec": row["spec"],
        "MultiRegion": False,
    }
    if row["deletion_at"] is not None:
        shown["DeletionDate"] = row["deletion_at"]
    if row["spec"] == _SYMMETRIC:
        shown["EncryptionAlgorithms"] = [_SYMMETRIC]
    else:
        shown["SigningAlgorithms"] = [_ALGORITHM_OF[row["spec"]]]
    return shown


def _describe_key(call: Call) -> Answer:
    return {"KeyMetadata": _metadata(call, _find(call))}


def _list_keys(call: Call) -> Answer:
    rows: list[sqlite3.Row] = call.db.execute("SELECT key_id FROM kms_key").fetchall()
    taken, token = page(
        rows,
        key=lambda row: (row["key_id"],),
        limit=call.params.bounded("Limit", 100, 1, 1000),
        token=call.params.find("Marker"),
        refusal="InvalidMarkerException",
    )
    keys = [{"KeyId": row["key_id"], "KeyArn": call.arn("kms", f"key/{row['key_id']}")} for row in taken]
    return {"Keys": keys, "Truncated": token is not None, **({"NextMarker": token} if token else {})}


def _schedule_deletion(call: Call) -> Answer:
    row = _find(call)
    if row["manager"] == "AWS":
        raise invalid("A key that AWS manages can't be deleted.")
    if row["deletion_at"] is not None:
        raise AwsError("KMSInvalidStateException", f"{call.arn('kms', 'key/' + row['key_id'])} is pending deletion.")
    days = call.params.bounded("PendingWindowInDays", 30, 7, 30)
    deletion_at = call.now + days * _DAY_S
    call.db.execute("UPDATE kms_key SET deletion_at = ? WHERE key_id = ?", (deletion_at, row["key_id"]))
    return {
        "KeyId": call.arn("kms", f"key/{row['key_id']}"),
        "DeletionDate": deletion_at,
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": days,
    }


def _list_tags(call: Call) -> Answer:
    tags = listed(tags_of(call.db, "key", _find(call)["key_id"]))
    return {"Tags": [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags], "Truncated": False}


def _create_alias(call: Call) -> Answer:
    name, row = _user_alias(call), _find(call, "TargetKeyId")
    arn = call.arn("kms", name)
    if call.db.execute("SELECT 1 FROM kms_alias WHERE name = ?", (name,)).fetchone() is not None:
        raise AwsError("AlreadyExistsException", f"An alias with the name {arn} already exists")
    call.db.execute("INSERT INTO kms_alias VALUES (?, ?, ?, ?)", (name, row["key_id"], call.now, call.now))
    return None


def _delete_alias(call: Call) -> Answer:
    name = _user_alias(call)
    if call.db.execute("DELETE FROM kms_alias WHERE name = ?", (name,)).rowcount == 0:
        raise AwsError("NotFoundException", f"Alias {call.arn('kms', name)} is not found.")
    return None


def _user_alias(call: Call) -> str:
    name = call.params.text("AliasName")
    if name.startswith("alias/aws/"):
        raise AwsError("NotAuthorizedException", "Aliases that begin with alias/aws/ are reserved.")
    if not _ALIAS.fullmatch(name):
        raise AwsError("InvalidAliasNameException", f"{name} is not an alias name.")
    return name


def _list_aliases(call: Call) -> Answer:
    rows: list[sqlite3.Row] = call.db.execute("SELECT * FROM kms_alias").fetchall()
    if "KeyId" in call.params:
        key_id = _find(call)["key_id"]
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
            "AliasArn": call.arn("kms", row["name"]),
            "TargetKeyId": row["key_id"],
            "CreationDate": row["created_at"],
            "LastUpdatedDate": row["updated_at"],
        }
        for row in taken
    ]
    return {"Aliases": aliases, "Truncated": token is not None, **({"NextMarker": token} if token else {})}


def _get_public_key(call: Call) -> Answer:
    row = _signing_key(call)
    der = (
        _private_key(call, row)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return {
        "KeyId": call.arn("kms", f"key/{row['key_id']}"),
        "PublicKey": base64.b64encode(der).decode(),
        "CustomerMasterKeySpec": row["spec"],
        "KeySpec": row["spec"],
        "KeyUsage": row["usage"],
        "SigningAlgorithms": [_ALGORITHM_OF[row["spec"]]],
    }


def _sign(call: Call) -> Answer:
    """A DER-encoded ECDSA signature, as KMS gives it (JWS wants r and s side by side: the client's work)."""
    row = _signing_key(call)
    algorithm, digest = _digest(call, row)
    signature = _private_key(call, row).sign(digest, ec.ECDSA(utils.Prehashed(_HASHES[algorithm])))
    return {
        "KeyId": call.arn("kms", f"key/{row['key_id']}"),
        "Signature": base64.b64encode(signature).decode(),
        "SigningAlgorithm": algorithm,
    }


def _verify(call: Call) -> Answer:
    """KMS never answers "not valid": a wrong signature is KMSInvalidSignatureException."""
    row = _signing_key(call)
    algorithm, digest = _digest(call, row)
    signature = call.params.blob("Signature") or b""
    try:
        _private_key(call, row).public_key().verify(signature, digest, ec.ECDSA(utils.Prehashed(_HASHES[algorithm])))
    except InvalidSignature:
        raise AwsError("KMSInvalidSignatureException", "The signature is not valid for this message and key.") from None
    return {
        "KeyId": call.arn("kms", f"key/{row['key_id']}"),
        "SignatureValid": True,
        "SigningAlgorithm": algorithm,
    }


def _digest(call: Call, row: sqlite3.Row) -> tuple[str, bytes]:
    algorithm, message = call.params.text("SigningAlgorithm"), call.params.blob("Message") or b""
    if algorithm != _ALGORITHM_OF[row["spec"]]:
        raise AwsError(
            "InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec {row['spec']}."
        )
    form = call.params.find("MessageType") or "RAW"
    if form == "DIGEST":
        if len(message) != _HASHES[algorithm].digest_size:
            raise invalid(f"Digest is invalid length for algorithm {algorithm}.")
        return algorithm, message
    if form != "RAW" or not 1 <= len(message) <= _LARGEST_RAW_MESSAGE:
        raise invalid(f"Message must have 1 to {_LARGEST_RAW_MESSAGE} bytes and MessageType be RAW or DIGEST.")
    hasher = hashes.Hash(_HASHES[algorithm])
    hasher.update(message)
    return algorithm, hasher.finalize()


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "CreateAlias": _create_alias,
        "CreateKey": _create_key,
        "DeleteAlias": _delete_alias,
        "DescribeKey": _describe_key,
        "GetPublicKey": _get_public_key,
        "ListAliases": _list_aliases,
        "ListKeys": _list_keys,
        "ListResourceTags": _list_tags,
        "ScheduleKeyDeletion": _schedule_deletion,
        "Sign": _sign,
        "Verify": _verify,
    }
)
