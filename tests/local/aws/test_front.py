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
    ("service", "name"), [("secretsmanager", "UnrecognizedClientException"), ("sts", "InvalidClientTokenId")]
)
def test_an_unknown_key_id_is_refused(local: Any, service: str, name: str) -> None:
    client = local.client(service, aws_access_key_id="someone")
    with pytest.raises(ClientError) as caught:
        client.list_secrets() if service == "secretsmanager" else client.get_caller_identity()
    assert code(caught)[0] == name


@pytest.mark.parametrize(
    ("service", "name"), [("secretsmanager", "InvalidSignatureException"), ("sts", "SignatureDoesNotMatch")]
)
@pytest.mark.parametrize("wrong", [{"aws_secret_access_key": "wrong"}, {"region_name": "us-east-1"}])
def test_a_wrong_signature_or_region_is_refused(local: Any, service: str, name: str, wrong: dict[str, str]) -> None:
    client = local.client(service, **wrong)
    with pytest.raises(ClientError) as caught:
        client.list_secrets() if service == "secretsmanager" else client.get_caller_identity()
    assert code(caught)[0] == name


def test_an_unsigned_call_is_refused(local: Any) -> None:
    client = local.client("ssm", config=Config(signature_version=UNSIGNED, retries=ONE_TRY))
    with pytest.raises(ClientError) as caught:
        client.describe_parameters()
    assert code(caught) == ("MissingAuthenticationTokenException", 400)


def test_without_a_known_secret_key_only_the_id_counts(serve: Any) -> None:
    from neonctl.local.aws.keyring import Credential

    endpoint = serve(credential=Credential("neon-key"))
    client = endpoint.client("sts", aws_access_key_id="neon-key", aws_secret_access_key="anything")
    assert client.get_caller_identity()["Account"]


def test_a_header_that_is_no_signature_is_refused(local: Any) -> None:
    request = urllib.request.Request(
        local.url,
        data=b"{}",
        headers={"X-Amz-Target": "secretsmanager.ListSecrets", "Authorization": "Bearer local"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    with caught.value as answer:
        assert json.load(answer)["__type"] == "IncompleteSignatureException"


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
