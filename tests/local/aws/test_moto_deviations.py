"""Where moto differs from AWS's documentation. Each test shows moto's answer and ours, which is AWS's.

When one of these fails after an upgrade, moto has been put right: move the case to the common suite.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

NAME = "bank-neon/prod/bank_core/app_user"


@pytest.fixture
def theirs(moto: Any) -> Any:
    return moto.client("secretsmanager")


@pytest.fixture
def ours(local: Any) -> Any:
    return local.client("secretsmanager")


def promoted(client: Any) -> str:
    """A secret whose pending version was made current; returns what is read without naming a stage."""
    old = client.create_secret(Name=NAME, SecretString="old")["VersionId"]
    new = client.put_secret_value(SecretId=NAME, SecretString="new", VersionStages=["AWSPENDING"])["VersionId"]
    client.update_secret_version_stage(
        SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=new, RemoveFromVersionId=old
    )
    return client.get_secret_value(SecretId=NAME)["SecretString"]


def test_reading_after_a_promotion(theirs: Any, ours: Any) -> None:
    assert promoted(theirs) == "old"
    assert promoted(ours) == "new"


def outcome(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "accepted"


def test_a_pending_version_put_again_with_another_value(theirs: Any, ours: Any) -> None:
    def put_twice(client: Any) -> tuple[str, str]:
        client.create_secret(Name=NAME, SecretString="one")
        put = {"SecretId": NAME, "ClientRequestToken": str(uuid.uuid4()), "VersionStages": ["AWSPENDING"]}
        client.put_secret_value(SecretString="two", **put)
        code = outcome(client.put_secret_value, SecretString="three", **put)
        return code, client.get_secret_value(SecretId=NAME, VersionStage="AWSPENDING")["SecretString"]

    assert put_twice(theirs) == ("accepted", "three")
    assert put_twice(ours) == ("ResourceExistsException", "two")


def test_an_update_with_a_used_token(theirs: Any, ours: Any) -> None:
    """AWS's text for UpdateSecret: a token of an existing version is an error, even with the same value."""

    def update(client: Any) -> str:
        token = str(uuid.uuid4())
        client.create_secret(Name=NAME, SecretString="one", ClientRequestToken=token)
        return outcome(client.update_secret, SecretId=NAME, SecretString="one", ClientRequestToken=token)

    assert update(theirs) == "accepted"
    assert update(ours) == "ResourceExistsException"


def test_a_wrong_kms_signature(moto: Any, local: Any) -> None:
    """KMS never answers "not valid", it fails."""

    def verify(client: Any) -> str:
        key, other = (
            client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"] for _ in range(2)
        )
        call = {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
        signature = client.sign(KeyId=key, **call)["Signature"]
        return outcome(client.verify, KeyId=other, Signature=signature, **call)

    assert verify(moto.client("kms")) == "accepted"
    assert verify(local.client("kms")) == "KMSInvalidSignatureException"


def test_rotation_without_a_lambda(theirs: Any, ours: Any) -> None:
    def rotate(client: Any) -> tuple[str, str]:
        client.create_secret(Name=NAME, SecretString="one")
        return outcome(client.rotate_secret, SecretId=NAME), outcome(client.get_secret_value, SecretId=NAME)

    assert rotate(theirs) == ("accepted", "ResourceNotFoundException")
    assert rotate(ours) == ("InvalidRequestException", "accepted")


def test_the_size_of_a_secret(theirs: Any, ours: Any) -> None:
    large = {"Name": NAME, "SecretString": "x" * 65537}
    assert outcome(theirs.create_secret, **large) == "accepted"
    assert outcome(ours.create_secret, **large) == "InvalidParameterException"


def test_a_name_scheduled_for_deletion(theirs: Any, ours: Any) -> None:
    def create_again(client: Any) -> str:
        client.create_secret(Name=NAME, SecretString="one")
        client.delete_secret(SecretId=NAME)
        return outcome(client.create_secret, Name=NAME, SecretString="one")

    assert create_again(theirs) == "ResourceExistsException"
    assert create_again(ours) == "InvalidRequestException"


def test_versions_that_lost_their_labels(theirs: Any, ours: Any) -> None:
    def shown(client: Any) -> int:
        client.create_secret(Name=NAME, SecretString="0")
        for n in (1, 2):
            client.put_secret_value(SecretId=NAME, SecretString=str(n))
        return len(client.list_secret_version_ids(SecretId=NAME)["Versions"])

    assert shown(theirs) == 3
    assert shown(ours) == 2


def test_the_size_of_a_parameter(moto: Any, local: Any) -> None:
    large = {"Name": "/large", "Value": "x" * 4097, "Type": "String"}
    assert outcome(moto.client("ssm").put_parameter, **large) == "accepted"
    assert outcome(local.client("ssm").put_parameter, **large) == "ValidationException"
