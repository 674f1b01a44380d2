"""A key in KMS that signs: the private half never leaves AWS."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from neonctl.vault.failures import call

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_ALGORITHM: Final = "ECDSA_SHA_256"


class SigningKey:
    """One P-256 key of one account and region, by id, ARN or alias.

    Every method raises ``AwsError`` (``vault.failures``) when AWS refuses or does not answer.
    """

    def __init__(self, client: KMSClient, key_id: str) -> None:
        self._client = client
        self.key_id = key_id

    def public_der(self) -> bytes:
        """The public half, SubjectPublicKeyInfo: it tells of which curve the key is."""
        return call("kms:GetPublicKey", self.key_id, self._client.get_public_key, KeyId=self.key_id)["PublicKey"]

    def sign(self, message: bytes) -> bytes:
        """The signature over SHA-256 of ``message``, DER-encoded as KMS gives it. Only the digest is sent."""
        digest = hashlib.sha256(message).digest()
        answer = call(
            "kms:Sign",
            self.key_id,
            self._client.sign,
            KeyId=self.key_id,
            Message=digest,
            MessageType="DIGEST",
            SigningAlgorithm=_ALGORITHM,
        )
        return answer["Signature"]
