"""Who may call, what is refused before any work, and injected faults."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from neonctl.local.aws.faults import FaultDecision

if TYPE_CHECKING:
    from aiohttp import web

ONE_TRY = {"total_max_attempts": 1}


def code(caught: Any) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_caller_identity(both: Any) -> None:
    identity = both.client("sts").get_caller_identity()
    assert identity["Arn"].startswith("arn:aws:")
    assert identity["Account"] in identity["Arn"]
    assert len(identity["Account"]) == 12


@pytest.mark.parametrize(
    ("key_id", "account"),
    [
        ("test", "000000000000"),
        ("AKIAIOSFODNN7EXAMPLE", "000000000000"),
        ("333333333333", "333333333333"),
        ("33333333333", "000000000000"),
        ("3333333333333", "000000000000"),
    ],
)
@pytest.mark.parametrize("token", [None, "left over"])
def test_any_static_key_is_taken(local: Any, key_id: str, account: str, token: str | None) -> None:
    keys = {"aws_access_key_id": key_id, "aws_secret_access_key": "any", "aws_session_token": token}
    identity = local.client("sts", **keys).get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (account, f"arn:aws:iam::{account}:user/local")
    arn = local.client("secretsmanager", **keys).create_secret(Name="s", SecretString="x")["ARN"]
    assert arn.split(":")[4] == account


def test_any_region_is_taken_and_stands_in_arns(local: Any) -> None:
    regions = ("ap-southeast-2", "us-east-1")
    here, there = (local.client("secretsmanager", region_name=region) for region in regions)
    arns = [client.create_secret(Name=name, SecretString=name)["ARN"] for client, name in ((here, "a"), (there, "b"))]
    assert [arn.split(":")[3] for arn in arns] == list(regions)
    for client in (here, there):
        assert sorted(secret["ARN"] for secret in client.list_secrets()["SecretList"]) == sorted(arns)
        assert [client.get_secret_value(SecretId=arn)["SecretString"] for arn in arns] == ["a", "b"]
    filtered = here.list_secrets(Filters=[{"Key": "primary-region", "Values": ["us-east-1"]}])["SecretList"]
    assert [secret["Name"] for secret in filtered] == ["b"]


def raw(endpoint: Any, path: str, headers: dict[str, str], *, post: bool = True) -> tuple[int, str]:
    """A request as no AWS client sends it."""
    request = urllib.request.Request(f"{endpoint.url}{path}", data=b"{}" if post else None, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


SIGNED = {
    "X-Amz-Target": "secretsmanager.ListSecrets",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/secretsmanager/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
}
STRANGE = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example:80"},
    {"Host": "localhost:80@evil.example"},
    {"Host": "::1"},
    {"Host": "127.0.0.1:port"},
    {"Host": ""},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("strange", STRANGE, ids=str)
def test_what_a_web_page_may_send_is_refused(local: Any, strange: dict[str, str]) -> None:
    status, text = raw(local, "/", {**SIGNED, **strange})
    assert (status, json.loads(text)["__type"]) == (403, "AccessDeniedException")
    status, text = raw(local, "/", strange)
    assert status == 403
    assert "<Code>AccessDenied</Code>" in text
    for path in ("/_local/events", "/nothing"):
        assert raw(local, path, strange, post=False)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4566", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:65535"])
def test_every_name_of_this_machine_is_served(local: Any, host: str) -> None:
    assert raw(local, "/", {**SIGNED, "Host": host}) == (200, '{"SecretList": []}')
    assert raw(local, "/_local/events", {"Host": host}, post=False)[0] == 200


def test_an_unsigned_call_is_refused(local: Any) -> None:
    client = local.client("ssm", config=Config(signature_version=UNSIGNED, retries=ONE_TRY))
    with pytest.raises(ClientError) as caught:
        client.describe_parameters()
    assert code(caught) == ("MissingAuthenticationTokenException", 400)


@pytest.mark.parametrize("header", ["Bearer local", SIGNED["Authorization"][:-1], SIGNED["Authorization"] + ", more=1"])
def test_a_header_that_is_no_signature_is_refused(local: Any, header: str) -> None:
    status, text = raw(local, "/", {**SIGNED, "Authorization": header})
    assert (status, json.loads(text)["__type"]) == (400, "IncompleteSignatureException")


def test_what_is_not_offered_says_so(local: Any) -> None:
    with pytest.raises(ClientError, match="does not offer") as caught:
        local.client("secretsmanager").get_resource_policy(SecretId="x")
    assert code(caught) == ("UnknownOperationException", 400)
    with pytest.raises(ClientError, match="AssumeRole, GetCallerIdentity"):
        local.client("sts").get_session_token()


class Faults:
    """Gives the decisions in order, then none, and remembers the calls."""

    def __init__(self, *decisions: FaultDecision | None) -> None:
        self.decisions = list(decisions)
        self.calls: list[tuple[str, str]] = []

    async def __call__(self, request: web.Request, service: str, operation: str) -> FaultDecision | None:
        self.calls.append((service, operation))
        return self.decisions.pop(0) if self.decisions else None


@pytest.mark.parametrize(
    ("fault", "name", "status"),
    [
        ("throttled", "ThrottlingException", 400),
        ("internal", "InternalServiceError", 500),
        ("unavailable", "ServiceUnavailable", 503),
    ],
)
def test_an_injected_error_does_no_work(serve: Any, fault: Any, name: str, status: int) -> None:
    faults = Faults(FaultDecision(error=fault))
    client = serve(faults=faults).client("secretsmanager")
    with pytest.raises(ClientError) as caught:
        client.create_secret(Name="s", SecretString="x")
    assert code(caught) == (name, status)
    assert client.list_secrets()["SecretList"] == []
    assert faults.calls == [("secretsmanager", "CreateSecret"), ("secretsmanager", "ListSecrets")]


def test_sts_throttles_in_its_own_words(serve: Any) -> None:
    client = serve(faults=Faults(FaultDecision(error="throttled"))).client("sts")
    with pytest.raises(ClientError) as caught:
        client.get_caller_identity()
    assert code(caught) == ("Throttling", 400)


@pytest.mark.parametrize(("cut", "left"), [("before", 0), ("after", 1)])
def test_a_cut_connection_before_or_after_the_work(serve: Any, cut: Any, left: int) -> None:
    client = serve(faults=Faults(FaultDecision(delay_s=0.01, cut=cut))).client("secretsmanager")
    with pytest.raises(ConnectionClosedError):
        client.create_secret(Name="s", SecretString="x")
    assert len(client.list_secrets()["SecretList"]) == left


def test_boto3_retries_an_answer_that_was_lost_without_doing_the_work_twice(serve: Any) -> None:
    faults = Faults(FaultDecision(error="throttled"), FaultDecision(cut="after"))
    config = Config(retries={"mode": "standard", "total_max_attempts": 4})
    client = serve(faults=faults).client("secretsmanager", config=config)
    made = client.create_secret(Name="s", SecretString="x")
    assert [call[1] for call in faults.calls] == ["CreateSecret"] * 3
    assert client.describe_secret(SecretId="s")["VersionIdsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
