"""Roles of several accounts: what they are, when they end, and that none sees another's data."""

from __future__ import annotations

import base64
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from neonctl.local.aws.store import AwsStore

ONE, TWO = "111111111111", "222222222222"


def role(account: str, name: str = "neonctl") -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def assume(endpoint: Any, account: str, **more: Any) -> dict[str, Any]:
    given = {"RoleArn": role(account), "RoleSessionName": "tests", **more}
    answer: dict[str, Any] = endpoint.client("sts").assume_role(**given)
    return answer


def keys(answer: dict[str, Any]) -> dict[str, str]:
    """AssumeRole's answer as a client's options."""
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


@pytest.fixture
def clients(local: Any) -> tuple[Any, Any]:
    """Both accounts: a function that makes a client of a service, for each."""
    given = [keys(assume(local, account)) for account in (ONE, TWO)]
    first, second = [lambda service, options=options: local.client(service, **options) for options in given]
    return first, second


def refusal(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response: Any = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(("path", "hours"), [("", 1), ("service/bank/", 12)])
def test_a_role_is_who_sts_says(both: Any, path: str, hours: int) -> None:
    answer = assume(both, ONE, RoleArn=role(ONE, f"{path}neonctl"), DurationSeconds=hours * 3600)
    given = answer["Credentials"]
    assert given["AccessKeyId"].startswith("ASIA")
    assert abs(given["Expiration"] - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=1)
    identity = both.client("sts", **keys(answer)).get_caller_identity()
    assert identity["Account"] == ONE
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    if both.url is not None:  # moto invents a role id per answer, and keeps the path in the session's ARN
        assert identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
        assert identity["Arn"] == f"arn:aws:sts::{ONE}:assumed-role/neonctl/tests"


@pytest.mark.parametrize(
    "wrong",
    [
        {"RoleArn": "arn:aws:iam::111111111111:user/neonctl"},
        {"RoleArn": "arn:aws:iam::1111:role/../neonctl"},
        {"RoleSessionName": "two words"},
        {"DurationSeconds": 899},
        {"DurationSeconds": 43201},
        {"Policy": "{}"},
    ],
)
def test_bad_requests_are_refused(local: Any, wrong: dict[str, Any]) -> None:
    # botocore knows some of these rules itself; here the other side is asked.
    sts = local.client("sts", config=Config(parameter_validation=False))
    given = {"RoleArn": role(ONE), "RoleSessionName": "tests", **wrong}
    assert refusal(sts.assume_role, **given) == ("ValidationError", 400)


def test_a_role_may_become_another_for_an_hour_at_most(local: Any) -> None:
    sts = local.client("sts", **keys(assume(local, ONE)))
    given = {"RoleArn": role(TWO), "RoleSessionName": "tests"}
    assert refusal(sts.assume_role, **given, DurationSeconds=3601) == ("ValidationError", 400)
    assert f":{TWO}:" in sts.assume_role(**given)["AssumedRoleUser"]["Arn"]


def test_secrets_are_of_one_account(local: Any, clients: Any) -> None:
    one, two = (make("secretsmanager") for make in clients)
    made = one.create_secret(Name="bank", SecretString="one", Tags=[{"Key": "of", "Value": "one"}])
    assert made["ARN"].split(":")[4] == ONE
    for name in ("bank", made["ARN"]):
        assert refusal(two.get_secret_value, SecretId=name)[0] == "ResourceNotFoundException"
    assert two.list_secrets()["SecretList"] == []
    assert local.client("secretsmanager").list_secrets()["SecretList"] == []
    assert two.create_secret(Name="bank", SecretString="two")["ARN"].split(":")[4] == TWO
    assert "Tags" not in two.describe_secret(SecretId="bank")
    two.delete_secret(SecretId="bank", ForceDeleteWithoutRecovery=True)
    assert one.get_secret_value(SecretId="bank")["SecretString"] == "one"


def test_parameters_are_of_one_account(clients: Any) -> None:
    one, two = (make("ssm") for make in clients)
    for client, value in ((one, "one"), (two, "two")):
        assert client.put_parameter(Name="/bank/x", Value=value, Type="String")["Version"] == 1
    shown = two.get_parameter(Name="/bank/x")["Parameter"]
    assert (shown["Value"], shown["ARN"].split(":")[4]) == ("two", TWO)
    assert two.describe_parameters()["Parameters"][0]["LastModifiedUser"] == (
        f"arn:aws:sts::{TWO}:assumed-role/neonctl/tests"
    )
    two.delete_parameter(Name="/bank/x")
    assert [item["Value"] for item in one.get_parameters_by_path(Path="/bank")["Parameters"]] == ["one"]


def test_keys_and_aliases_are_of_one_account(clients: Any) -> None:
    one, two = (make("kms") for make in clients)
    made = one.create_key()["KeyMetadata"]
    assert (made["AWSAccountId"], made["Arn"].split(":")[4]) == (ONE, ONE)
    one.create_alias(AliasName="alias/bank", TargetKeyId=made["KeyId"])
    for name in (made["KeyId"], made["Arn"], "alias/bank"):
        assert refusal(two.describe_key, KeyId=name)[0] == "NotFoundException"
    own = [client.describe_key(KeyId="alias/aws/ssm")["KeyMetadata"]["KeyId"] for client in (one, two)]
    assert own[0] != own[1]
    refused = clients[1]("secretsmanager").create_secret
    assert refusal(refused, Name="s", SecretString="x", KmsKeyId="alias/bank")[0] == "EncryptionFailure"


def test_events_are_of_one_account(local: Any, clients: Any) -> None:
    one, two = (make("events") for make in clients)
    one.create_event_bus(Name="bank")
    assert [bus["Name"] for bus in two.list_event_buses()["EventBuses"]] == ["default"]
    one.put_events(Entries=[{"Source": "bank", "DetailType": "t", "Detail": "{}", "EventBusName": "bank"}])
    for account, count in ((ONE, 1), (TWO, 0)):
        url = f"{local.url}/_local/events?bus=bank&account={account}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.read().count(b'"detail_type"') == count


@pytest.mark.parametrize("account", ["1", "../111111111111", "11111111111a"])
def test_what_is_no_account_is_not_looked_for(local: Any, store: AwsStore, account: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(f"{local.url}/_local/events?account={account}", timeout=5)
    with pytest.raises(ValueError, match=account):
        store.run_sync(account, lambda _: None)


def test_credentials_end_as_aws_says_it(local: Any, clock: list[float]) -> None:
    given = keys(assume(local, ONE, DurationSeconds=900))
    sts, ssm = (local.client(service, **given) for service in ("sts", "ssm"))
    clock[0] = 890
    assert sts.get_caller_identity()["Account"] == ONE
    clock[0] = 901
    assert refusal(sts.get_caller_identity) == ("ExpiredToken", 403)
    assert refusal(ssm.describe_parameters) == ("ExpiredTokenException", 400)


def forged(kind: str, endpoint: Any) -> dict[str, str]:
    """Credentials that nobody gave out, each made from good ones."""
    good, other = keys(assume(endpoint, ONE)), keys(assume(endpoint, TWO))
    token = good["aws_session_token"]
    if kind == "altered":
        sealed = bytearray(base64.b64decode(token))
        sealed[-1] ^= 1
        return {**good, "aws_session_token": base64.b64encode(sealed).decode()}
    return {
        "invented": {**good, "aws_session_token": base64.b64encode(b"x" * 200).decode()},
        "short": {**good, "aws_session_token": "eA=="},
        "no base64": {**good, "aws_session_token": "not-base64!"},
        "missing": {name: value for name, value in good.items() if name != "aws_session_token"},
        "of another key": {**good, "aws_session_token": other["aws_session_token"]},
        "of a user": {"aws_session_token": token},
    }[kind]


@pytest.mark.parametrize(
    "kind", ["altered", "invented", "short", "no base64", "missing", "of another key", "of a user"]
)
def test_a_forged_token_is_refused(local: Any, kind: str) -> None:
    wrong = forged(kind, local)
    assert refusal(local.client("sts", **wrong).get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refusal(local.client("ssm", **wrong).describe_parameters) == ("UnrecognizedClientException", 400)


def test_a_signature_by_another_secret_is_refused(local: Any) -> None:
    wrong = {**keys(assume(local, ONE)), "aws_secret_access_key": "another"}
    assert refusal(local.client("sts", **wrong).get_caller_identity) == ("SignatureDoesNotMatch", 403)
    assert refusal(local.client("ssm", **wrong).describe_parameters) == ("InvalidSignatureException", 400)


def test_a_token_outlives_the_process_but_not_its_key(tmp_path: Any, local: Any) -> None:
    from neonctl.local.aws.keyring import Credential, Keyring
    from neonctl.local.aws.sealing import Sealer

    given = keys(assume(local, ONE))
    token = given["aws_session_token"]
    key = (tmp_path / "aws.key").read_bytes()
    again = Keyring(Sealer(key, "sts"), time.time, Credential(), account_id="000000000000")
    held = again.find(given["aws_access_key_id"], token)
    assert held is not None
    assert held.caller.account_id == ONE
    assert not again.is_over(held)
    for sealer in (Sealer(key, ONE), Sealer(uuid.uuid4().bytes * 2, "sts")):
        other = Keyring(sealer, time.time, Credential(), account_id="000000000000")
        assert other.find(given["aws_access_key_id"], token) is None
    assert given["aws_secret_access_key"] not in repr(held)


def test_an_account_file_under_another_name_does_not_open(tmp_path: Any) -> None:
    """Values are sealed for their account: swapping files is told, not served."""
    from neonctl.errors import NeonctlError

    folder = tmp_path / "accounts"
    store = AwsStore(folder, tmp_path / "key")
    store.run_sync(ONE, lambda _: None)
    store.close()
    (folder / f"{ONE}.db").rename(folder / f"{TWO}.db")
    with pytest.raises(NeonctlError) as caught:
        AwsStore(folder, tmp_path / "key")
    assert caught.value.code == "LOCAL_AWS_SEAL_BROKEN"
