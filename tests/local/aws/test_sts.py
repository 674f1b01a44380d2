"""Roles of several accounts: what they are, when they end, and what of theirs stands in ARNs."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from neonctl.local.aws.keyring import Keyring
from neonctl.local.aws.sealing import Sealer

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


def test_a_secret_is_seen_by_all_and_carries_its_makers_account(local: Any, clients: Any) -> None:
    one, two = (make("secretsmanager") for make in clients)
    made = one.create_secret(Name="bank", SecretString="one")
    assert made["ARN"].split(":")[4] == ONE
    for client in (one, two, local.client("secretsmanager")):
        for name in ("bank", made["ARN"], made["ARN"][:-7]):
            shown = client.get_secret_value(SecretId=name)
            assert (shown["SecretString"], shown["ARN"]) == ("one", made["ARN"])
        assert [secret["ARN"] for secret in client.list_secrets()["SecretList"]] == [made["ARN"]]
    assert refusal(two.create_secret, Name="bank", SecretString="two")[0] == "ResourceExistsException"
    two.put_secret_value(SecretId="bank", SecretString="two")
    assert one.describe_secret(SecretId="bank")["ARN"] == made["ARN"]


@pytest.mark.parametrize(("what", "to"), [(ONE, TWO), ("ap-southeast-2", "us-east-1")])
def test_an_arn_of_another_account_or_region_is_another_thing(local: Any, clients: Any, what: str, to: str) -> None:
    secrets, ssm, kms = (clients[0](service) for service in ("secretsmanager", "ssm", "kms"))
    secret = secrets.create_secret(Name="bank", SecretString="x")["ARN"]
    ssm.put_parameter(Name="/bank/x", Value="x", Type="String")
    parameter = ssm.get_parameter(Name="/bank/x")["Parameter"]["ARN"]
    key = kms.create_key()["KeyMetadata"]["Arn"]
    assert refusal(secrets.describe_secret, SecretId=secret.replace(what, to))[0] == "ResourceNotFoundException"
    assert refusal(ssm.get_parameter, Name=parameter.replace(what, to))[0] == "ParameterNotFound"
    assert refusal(kms.describe_key, KeyId=key.replace(what, to))[0] == "NotFoundException"


def test_a_parameter_is_seen_by_all_and_carries_its_makers_account(local: Any, clients: Any) -> None:
    one, two = (make("ssm") for make in clients)
    one.put_parameter(Name="/bank/x", Value="one", Type="String")
    two.put_parameter(Name="/bank/x", Value="two", Overwrite=True)
    other = local.client("ssm")
    arn = other.describe_parameters()["Parameters"][0]["ARN"]
    assert arn.split(":")[4] == ONE
    assert other.get_parameter(Name=f"{arn}:1")["Parameter"]["Value"] == "one"
    assert [item["Value"] for item in other.get_parameters_by_path(Path="/bank")["Parameters"]] == ["two"]
    users = [version["LastModifiedUser"] for version in other.get_parameter_history(Name="/bank/x")["Parameters"]]
    assert sorted(users) == [f"arn:aws:sts::{account}:assumed-role/neonctl/tests" for account in (ONE, TWO)]


def test_a_key_is_seen_by_all_and_carries_its_makers_account(clients: Any) -> None:
    one, two = (make("kms") for make in clients)
    made = one.create_key()["KeyMetadata"]
    assert (made["AWSAccountId"], made["Arn"].split(":")[4]) == (ONE, ONE)
    one.create_alias(AliasName="alias/bank", TargetKeyId=made["KeyId"])
    for name in (made["KeyId"], made["Arn"], "alias/bank", f"arn:aws:kms:ap-southeast-2:{TWO}:alias/bank"):
        assert two.describe_key(KeyId=name)["KeyMetadata"] == made
    aliases = {alias["AliasName"]: alias["AliasArn"].split(":")[4] for alias in two.list_aliases()["Aliases"]}
    assert aliases == {"alias/bank": ONE, "alias/aws/secretsmanager": TWO, "alias/aws/ssm": TWO}


def test_events_of_all_accounts_arrive_on_one_bus(local: Any, clients: Any) -> None:
    one, two = (make("events") for make in clients)
    arn = one.create_event_bus(Name="bank")["EventBusArn"]
    rule = two.put_rule(Name="all", EventBusName=arn, EventPattern="{}")["RuleArn"]
    assert rule == one.describe_rule(Name="all", EventBusName="bank")["Arn"]
    assert rule == arn.replace(":event-bus/bank", ":rule/bank/all")
    entry = {"Source": "bank", "DetailType": "t", "Detail": "{}"}
    for client, bus in ((one, arn), (two, arn.replace(ONE, TWO))):
        client.put_events(Entries=[{**entry, "EventBusName": bus}])
    with urllib.request.urlopen(f"{local.url}/_local/events?bus=bank", timeout=5) as answer:
        arrived = json.load(answer)["events"]
    assert [(event["account"], event["dropped"]) for event in arrived] == [(ONE, False), (TWO, False)]


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
    }[kind]


@pytest.mark.parametrize("kind", ["altered", "invented", "short", "no base64", "missing", "of another key"])
def test_a_forged_token_is_refused(local: Any, kind: str) -> None:
    wrong = forged(kind, local)
    assert refusal(local.client("sts", **wrong).get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refusal(local.client("ssm", **wrong).describe_parameters) == ("UnrecognizedClientException", 400)


def test_a_signature_by_another_secret_is_refused(local: Any) -> None:
    wrong = {**keys(assume(local, ONE)), "aws_secret_access_key": "another"}
    assert refusal(local.client("sts", **wrong).get_caller_identity) == ("SignatureDoesNotMatch", 403)
    assert refusal(local.client("ssm", **wrong).describe_parameters) == ("InvalidSignatureException", 400)


def test_a_token_outlives_the_process_but_not_its_key(tmp_path: Any, local: Any) -> None:
    given = keys(assume(local, ONE))
    token = given["aws_session_token"]
    again = Keyring(Sealer((tmp_path / "aws.key").read_bytes()), time.time)
    held = again.find(given["aws_access_key_id"], token)
    assert held is not None
    assert held.caller.account_id == ONE
    assert not again.is_over(held)
    assert given["aws_secret_access_key"] not in repr(held)
    other = Keyring(Sealer(uuid.uuid4().bytes * 2), time.time)
    assert other.find(given["aws_access_key_id"], token) is None
