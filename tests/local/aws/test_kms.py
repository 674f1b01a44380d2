"""KMS signing through boto3; signatures are checked with the public key, outside of KMS."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MESSAGE = b"frozen + available = balance"


@pytest.fixture
def client(both: Any) -> Any:
    return both.client("kms")


@pytest.fixture
def ours(local: Any) -> Any:
    return local.client("kms")


def new_key(client: Any, spec: str = "ECC_NIST_P256") -> str:
    return client.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY", Description="status")["KeyMetadata"]["KeyId"]


@pytest.mark.parametrize(
    ("spec", "algorithm", "digest"),
    [
        ("ECC_NIST_P256", "ECDSA_SHA_256", hashes.SHA256()),
        ("ECC_NIST_P384", "ECDSA_SHA_384", hashes.SHA384()),
        ("ECC_NIST_P521", "ECDSA_SHA_512", hashes.SHA512()),
    ],
)
def test_signatures_hold_with_the_public_key(
    client: Any, spec: str, algorithm: str, digest: hashes.HashAlgorithm
) -> None:
    key = new_key(client, spec)
    signed = client.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm)
    public = serialization.load_der_public_key(client.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signed["Signature"], MESSAGE, ec.ECDSA(digest))
    verified = client.verify(KeyId=key, Message=MESSAGE, Signature=signed["Signature"], SigningAlgorithm=algorithm)
    assert verified["SignatureValid"] is True
    assert signed["KeyId"].endswith(f":key/{key}")


def test_a_wrong_signature_is_an_error(ours: Any, refused: Any) -> None:
    key, other = new_key(ours), new_key(ours)
    signature = ours.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    with refused(ours, "KMSInvalidSignatureException"):
        ours.verify(KeyId=other, Message=MESSAGE, Signature=signature, SigningAlgorithm="ECDSA_SHA_256")
    with refused(ours, "KMSInvalidSignatureException"):
        ours.verify(KeyId=key, Message=MESSAGE + b"!", Signature=signature, SigningAlgorithm="ECDSA_SHA_256")


def test_aliases(client: Any, refused: Any) -> None:
    key = new_key(client)
    client.create_alias(AliasName="alias/status", TargetKeyId=key)
    assert client.describe_key(KeyId="alias/status")["KeyMetadata"]["KeyId"] == key
    with refused(client, "AlreadyExistsException"):
        client.create_alias(AliasName="alias/status", TargetKeyId=key)
    aliases = {alias["AliasName"]: alias.get("TargetKeyId") for alias in client.list_aliases()["Aliases"]}
    assert aliases["alias/status"] == key
    client.delete_alias(AliasName="alias/status")
    with refused(client, "NotFoundException"):
        client.describe_key(KeyId="alias/status")


def test_a_digest_signs_like_its_message(ours: Any) -> None:
    key = new_key(ours)
    digest = hashlib.sha256(MESSAGE).digest()
    signed = ours.sign(KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
    assert ours.verify(KeyId=key, Message=MESSAGE, Signature=signed["Signature"], SigningAlgorithm="ECDSA_SHA_256")[
        "SignatureValid"
    ]
    with pytest.raises(Exception, match="length"):
        ours.sign(KeyId=key, Message=b"short", MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")


def test_the_keys_that_aws_makes_are_there(ours: Any, refused: Any) -> None:
    shown = ours.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]
    assert (shown["KeyManager"], shown["KeyState"], shown["KeyUsage"]) == (
        "AWS",
        "Enabled",
        "ENCRYPT_DECRYPT",
    )
    assert ours.describe_key(KeyId=shown["Arn"])["KeyMetadata"]["KeyId"] == shown["KeyId"]
    with pytest.raises(Exception, match="reserved"):
        ours.create_alias(AliasName="alias/aws/mine", TargetKeyId=shown["KeyId"])
    with refused(ours, "InvalidKeyUsageException"):
        ours.sign(KeyId=shown["KeyId"], Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")


def test_misuse_is_refused(ours: Any, refused: Any, clock: list[float]) -> None:
    key = new_key(ours)
    with refused(ours, "InvalidKeyUsageException", "incompatible"):
        ours.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_384")
    with refused(ours, "UnsupportedOperationException"):
        ours.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    with refused(ours, "NotFoundException"):
        ours.sign(KeyId="absent", Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")
    assert ours.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)["KeyState"] == "PendingDeletion"
    with refused(ours, "KMSInvalidStateException"):
        ours.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")
    clock[0] = 8 * 86400.0
    with refused(ours, "NotFoundException"):
        ours.describe_key(KeyId=key)


def test_keys_list_in_pages(ours: Any) -> None:
    made = {new_key(ours) for _ in range(5)}
    pages = list(ours.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 3}))
    listed = [key["KeyId"] for page in pages for key in page["Keys"]]
    assert made < set(listed)
    assert len(listed) == len(set(listed)) == 7


def test_a_disabled_key_signs_nothing_and_takes_no_secret(local: Any, ours: Any, refused: Any) -> None:
    signing, symmetric = new_key(ours), ours.create_key()["KeyMetadata"]["KeyId"]
    for key in (signing, symmetric):
        ours.disable_key(KeyId=key)
    with refused(ours, "DisabledException"):
        ours.sign(KeyId=signing, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")
    secrets = local.client("secretsmanager")
    with refused(secrets, "EncryptionFailure"):
        secrets.create_secret(Name="s", SecretString="x", KmsKeyId=symmetric)
    ours.enable_key(KeyId=symmetric)
    secrets.create_secret(Name="s", SecretString="x", KmsKeyId=symmetric)
    with refused(secrets, "EncryptionFailure"):
        secrets.create_secret(Name="t", SecretString="x", KmsKeyId=signing)


@pytest.mark.parametrize("named", ["alias/bank-neon", "arn:aws:kms:ap-southeast-2:333333333333:alias/bank-neon"])
def test_an_unknown_alias_gets_its_key_at_the_first_use(local: Any, ours: Any, refused: Any, named: str) -> None:
    """Unlike in AWS. Only where something is to be encrypted: asking makes nothing."""
    with refused(ours, "NotFoundException"):
        ours.describe_key(KeyId=named)
    secrets, ssm = local.client("secretsmanager", aws_access_key_id="333333333333"), local.client("ssm")
    secrets.create_secret(Name="s", SecretString="x", KmsKeyId=named)
    assert secrets.describe_secret(SecretId="s")["KmsKeyId"] == named
    ssm.put_parameter(Name="/p", Value="x", Type="SecureString", KeyId=named)
    shown = ours.describe_key(KeyId="alias/bank-neon")["KeyMetadata"]
    assert (shown["KeyState"], shown["KeyUsage"], shown["KeyManager"]) == ("Enabled", "ENCRYPT_DECRYPT", "CUSTOMER")
    assert shown["AWSAccountId"] == shown["Arn"].split(":")[4] == "333333333333"
    assert len(ours.list_keys()["Keys"]) == 3


@pytest.mark.parametrize("named", ["alias/aws/mine", "alias/", "alias/with space", "no-alias"])
def test_other_unknown_keys_are_refused(local: Any, ours: Any, refused: Any, named: str) -> None:
    secrets, ssm = local.client("secretsmanager"), local.client("ssm")
    with refused(secrets, "EncryptionFailure"):
        secrets.create_secret(Name="s", SecretString="x", KmsKeyId=named)
    with refused(ssm, "InvalidKeyId"):
        ssm.put_parameter(Name="/p", Value="x", Type="SecureString", KeyId=named)
    assert len(ours.list_keys()["Keys"]) == 2
