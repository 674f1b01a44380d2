"""How AWS's refusals are told, and that no value is ever told with them."""

from __future__ import annotations

import io
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from botocore import exceptions as foreign
from botocore.exceptions import ClientError

from neonctl.errors import NeonctlError, RetryableError
from neonctl.vault import failures
from neonctl.vault.secrets import SecretStore

from . import embedded as embedded_aws
from .conftest import EMBEDDED_ACCOUNT, REGION, Endpoint, embedded_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from neonctl.vault.payload import Credential

CANARY = "CanaryCanary0123456789CanaryCana"


def refusal(code: str, status: int = 400, message: str = "no") -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "req-1"},  # type: ignore[typeddict-item]
        },
        "PutSecretValue",
    )


def fail(error: Exception, **arguments: Any) -> failures.AwsError:
    def raising(**_: Any) -> None:
        raise error

    with pytest.raises(failures.AwsError) as caught:
        failures.call("secretsmanager:PutSecretValue", "bank-neon/x", raising, **arguments)
    return caught.value


@pytest.mark.parametrize(
    ("aws_code", "status", "code", "retryable"),
    [
        ("AccessDeniedException", 400, "AWS_DENIED", False),
        ("AccessDenied", 403, "AWS_DENIED", False),
        ("EncryptionFailure", 400, "AWS_KEY_UNUSABLE", False),
        ("ExpiredTokenException", 400, "AWS_CREDENTIALS_REFUSED", False),
        ("SignatureDoesNotMatch", 403, "AWS_CREDENTIALS_REFUSED", False),
        ("ThrottlingException", 400, "AWS_THROTTLED", True),
        ("Throttling", 400, "AWS_THROTTLED", True),
        ("LimitExceededException", 400, "AWS_LIMIT", False),
        ("ResourceNotFoundException", 400, "AWS_NOT_FOUND", False),
        ("ResourceExistsException", 400, "AWS_EXISTS", False),
        ("InternalServiceError", 500, "AWS_FAILED", True),
        ("ServiceUnavailable", 503, "AWS_FAILED", True),
        ("503", 503, "AWS_FAILED", True),
        ("InvalidParameterException", 400, "AWS_REFUSED", False),
        ("NeverHeardOf", 418, "AWS_REFUSED", False),
    ],
)
def test_codes(aws_code: str, status: int, code: str, retryable: bool) -> None:
    failure = fail(refusal(aws_code, status))
    assert (failure.code, failure.retryable, failure.exit_code) == (code, retryable, 5)
    assert failure.details == {
        "action": "secretsmanager:PutSecretValue",
        "target": "bank-neon/x",
        "aws_code": aws_code,
        "http_status": status,
        "request_id": "req-1",
    }
    assert failure.message == f"secretsmanager:PutSecretValue on bank-neon/x: {aws_code}: no (request req-1)"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (foreign.EndpointConnectionError(endpoint_url="https://a", error="x"), "AWS_UNREACHABLE"),
        (foreign.ConnectTimeoutError(endpoint_url="https://a"), "AWS_UNREACHABLE"),
        (foreign.ReadTimeoutError(endpoint_url="https://a"), "AWS_UNREACHABLE"),
        (foreign.ConnectionClosedError(endpoint_url="https://a"), "AWS_UNREACHABLE"),
        (foreign.SSLError(endpoint_url="https://a", error="x"), "AWS_UNREACHABLE"),
        (foreign.NoCredentialsError(), "AWS_NO_CREDENTIALS"),
        (foreign.UnauthorizedSSOTokenError(), "AWS_NO_CREDENTIALS"),
        (foreign.ParamValidationError(report=f"Invalid type: {CANARY}"), "AWS_BAD_REQUEST"),
        (foreign.NoRegionError(), "AWS_FAILED"),
    ],
)
def test_failures_without_an_answer(error: Exception, code: str) -> None:
    failure = fail(error)
    assert failure.code == code
    assert CANARY not in "".join(traceback.format_exception(failure))
    assert failure.__context__ is None


def test_our_own_mistakes_are_not_dressed_up() -> None:
    def mistaken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        failures.call("a:B", "t", mistaken)


def test_an_answer_that_repeats_the_value_is_not_quoted() -> None:
    failure = fail(refusal("ValidationException", message=f"bad {CANARY}"), SecretString=CANARY)
    assert CANARY not in f"{failure} {failure.details}"
    assert "ValidationException" in failure.message


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """The root logger at DEBUG, into memory."""
    memory, root = io.StringIO(), logging.getLogger()
    handler, before = logging.StreamHandler(memory), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield memory
    root.removeHandler(handler)
    root.setLevel(before)


def shown(error: BaseException) -> str:
    """Everything a report could print of an error and of what it carries along."""
    parts: list[str] = []
    rest: list[BaseException | None] = [error]
    while rest:
        each = rest.pop()
        if each is not None:
            parts += [
                str(each),
                repr(each),
                repr(each.args),
                repr(each.__dict__),
                repr(vars(each).get("__notes__")),
            ]
            rest += [each.__cause__, each.__context__]
    return "\n".join([*parts, *traceback.format_exception(error)])


def test_no_value_in_logs_or_errors_at_debug(
    aws_endpoint: Endpoint,
    everything_logged: io.StringIO,
    name: str,
    credential: Callable[[str], Credential],
    token: Callable[[], str],
) -> None:
    store, secret, first = aws_endpoint.access.secrets(), credential(CANARY), token()
    logging.getLogger("botocore").setLevel(logging.DEBUG)  # as a debugging switch might do
    logging.getLogger("neonctl.test").debug("the net is out")
    store.create(name, secret, token=first, kms_key_id=None, tags={})
    store.stage(name, secret, token=token())
    store.read(name)
    told: list[str] = []
    for act in (
        lambda: store.create(name, credential(CANARY + "x"), token=first, kms_key_id=None, tags={}),
        lambda: store.create(name, secret, token=token(), kms_key_id=None, tags={}),
        lambda: store.create(name, secret, token="short", kms_key_id=None, tags={}),
        lambda: store.create(name, secret, token=token(), kms_key_id=None, tags={"k": 1}),  # type: ignore[dict-item]
        lambda: store.stage(name, credential(CANARY + "y"), token=first),
        lambda: store.stage(f"{name}-missing", secret, token=token()),
        lambda: store.stage(name, secret, token="short"),
    ):
        with pytest.raises(NeonctlError) as caught:
            act()
        told.append(shown(caught.value))
    logged = everything_logged.getvalue()
    assert "the net is out" in logged
    for canary in (CANARY, credential(CANARY).uri.reveal()):
        assert canary not in logged
        assert all(canary not in text for text in told)


class Faults:
    """Cuts the connection after the work was done, the first time an operation comes."""

    def __init__(self, *operations: str) -> None:
        self.left = list(operations)

    async def __call__(self, request: object, service: str, operation: str) -> object:
        if operation not in self.left:
            return None
        self.left.remove(operation)
        return pytest.importorskip("neonctl.local.aws.faults").FaultDecision(cut="after")


def test_answers_lost_on_the_wire_are_made_good_by_the_sdk_and_us(
    tmp_path: Path,
    name: str,
    credential: Callable[[str], Credential],
    token: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("neonctl.local.aws.app")
    monkeypatch.setattr("botocore.retries.standard.time.sleep", lambda _: None)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    faults = Faults(
        "CreateSecret",
        "PutSecretValue",
        "UpdateSecretVersionStage",
        "UpdateSecretVersionStage",
        "DescribeSecret",
        "DeleteSecret",
        "RestoreSecret",
        "TagResource",
        "PutParameter",
    )
    from neonctl.vault.session import AwsAccess

    with embedded_aws.serving(tmp_path, faults) as address:
        access = AwsAccess(embedded_settings(address), account_id=EMBEDDED_ACCOUNT, region=REGION)
        store, first, second, third = access.secrets(), token(), token(), token()
        store.create(name, credential("1"), token=first, kms_key_id=None, tags={})
        store.stage(name, credential("2"), token=second)
        store.promote(name, second)
        assert store.read(name) == (second, credential("2"))
        store.delete(name, recovery_days=7)
        store.create(name, credential("3"), token=third, kms_key_id=None, tags={"a": "1"})
        assert store.read(name) == (third, credential("3"))
        assert dict(store.describe([name])[name].tags) == {"a": "1"}
        access.parameters().put("/bank/x", "1")
        assert access.parameters().read(["/bank/x"]) == {"/bank/x": "1"}
    assert faults.left == []


class StillDeleting:
    """AWS right after a deletion without recovery window: the name is taken, the secret not to be seen."""

    def __init__(self, client: Any, times: int) -> None:
        self._client = client
        self.times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def create_secret(self, **arguments: Any) -> Any:
        if self.times:
            self.times -= 1
            raise refusal("InvalidRequestException", message="already scheduled for deletion")
        return self._client.create_secret(**arguments)


def test_create_waits_for_a_deletion_to_end(
    client: Any, name: str, credential: Callable[[str], Credential], token: Callable[[], str]
) -> None:
    pauses: list[float] = []
    store, new = SecretStore(StillDeleting(client, 3), sleep=pauses.append), token()  # type: ignore[arg-type]
    assert store.create(name, credential("1"), token=new, kms_key_id=None, tags={}) == new
    assert pauses == [0.5, 1.0, 2.0]
    assert store.read(name) == (new, credential("1"))


def test_create_does_not_wait_for_ever(
    client: Any, name: str, credential: Callable[[str], Credential], token: Callable[[], str]
) -> None:
    pauses: list[float] = []
    store = SecretStore(StillDeleting(client, 99), sleep=pauses.append)  # type: ignore[arg-type]
    with pytest.raises(RetryableError) as caught:
        store.create(name, credential("1"), token=token(), kms_key_id=None, tags={})
    assert (caught.value.code, caught.value.exit_code) == ("SECRET_BEING_DELETED", 75)
    assert pauses == [0.5, 1.0, 2.0, 4.0]
