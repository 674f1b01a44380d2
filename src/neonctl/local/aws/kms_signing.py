"""KMS: public keys, signatures and their verification."""

from __future__ import annotations

import base64
from types import MappingProxyType
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from neonctl.local.aws.call import invalid
from neonctl.local.aws.kms_keys import ALGORITHM_OF, find, key_arn, place, state
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from neonctl.local.aws.call import Answer, Call

_LARGEST_RAW_MESSAGE = 4096
_HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType(
    {"ECDSA_SHA_256": hashes.SHA256(), "ECDSA_SHA_384": hashes.SHA384(), "ECDSA_SHA_512": hashes.SHA512()}
)


def get_public_key(call: Call) -> Answer:
    """GetPublicKey, as a DER-encoded SubjectPublicKeyInfo."""
    row = _signing_key(call)
    der = (
        _private_key(call, row)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return {
        "KeyId": key_arn(call, row),
        "PublicKey": base64.b64encode(der).decode(),
        "CustomerMasterKeySpec": row["spec"],
        "KeySpec": row["spec"],
        "KeyUsage": row["usage"],
        "SigningAlgorithms": [ALGORITHM_OF[row["spec"]]],
    }


def sign(call: Call) -> Answer:
    """A DER-encoded ECDSA signature, as KMS gives it (JWS wants r and s side by side: the client's work)."""
    row = _signing_key(call)
    algorithm, digest = _digest(call, row)
    signature = _private_key(call, row).sign(digest, ec.ECDSA(utils.Prehashed(_HASHES[algorithm])))
    return {
        "KeyId": key_arn(call, row),
        "Signature": base64.b64encode(signature).decode(),
        "SigningAlgorithm": algorithm,
    }


def verify(call: Call) -> Answer:
    """KMS never answers "not valid": a wrong signature is KMSInvalidSignatureException."""
    row = _signing_key(call)
    algorithm, digest = _digest(call, row)
    signature = call.params.blob("Signature") or b""
    try:
        _private_key(call, row).public_key().verify(signature, digest, ec.ECDSA(utils.Prehashed(_HASHES[algorithm])))
    except InvalidSignature:
        raise AwsError("KMSInvalidSignatureException", "The signature is not valid for this message and key.") from None
    return {
        "KeyId": key_arn(call, row),
        "SignatureValid": True,
        "SigningAlgorithm": algorithm,
    }


def _digest(call: Call, row: sqlite3.Row) -> tuple[str, bytes]:
    algorithm, message = call.params.text("SigningAlgorithm"), call.params.blob("Message") or b""
    if algorithm != ALGORITHM_OF[row["spec"]]:
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


def _signing_key(call: Call) -> sqlite3.Row:
    row = find(call)
    arn = key_arn(call, row)
    if state(row) == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{arn} is pending deletion.")
    if state(row) == "Disabled":
        raise AwsError("DisabledException", f"{arn} is disabled.")
    if row["usage"] != "SIGN_VERIFY":
        raise AwsError(
            "InvalidKeyUsageException",
            f"{arn} key usage is {row['usage']} which is not valid for this operation.",
        )
    return row


def _private_key(call: Call, row: sqlite3.Row) -> ec.EllipticCurvePrivateKey:
    der = call.sealer.open(place(row["key_id"]), row["sealed"])
    key = serialization.load_der_private_key(der, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
