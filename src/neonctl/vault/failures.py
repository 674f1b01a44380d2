"""The one place where AWS's errors become ours.

    AWS_NO_CREDENTIALS        boto3 found none
    AWS_CREDENTIALS_REFUSED   expired, unknown or wrongly signed
    AWS_DENIED                the policy does not allow the action (named in the message)
    AWS_KEY_UNUSABLE          the KMS key does not exist, is disabled or not for the caller
    AWS_THROTTLED             too many calls, after all retries            retryable
    AWS_LIMIT                 a quota of the account or of the secret
    AWS_NOT_FOUND / AWS_EXISTS
    AWS_UNREACHABLE           no answer: it may or may not have been done  retryable
    AWS_FAILED                AWS's own failure (5xx), or boto3's          retryable when 5xx
    AWS_REFUSED               any other refusal; details carry AWS's code
    AWS_BAD_REQUEST           AWS's own model refuses what we wanted to send

The foreign error is dropped, not chained: botocore's validation errors print the values they refuse, and a
cause would carry them into every traceback.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from neonctl.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_CODES: dict[str, tuple[str, ...]] = {
    "AWS_DENIED": (
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
    ),
    "AWS_KEY_UNUSABLE": (
        "DecryptionFailure",
        "DisabledException",
        "EncryptionFailure",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "NotFoundException",
    ),
    "AWS_CREDENTIALS_REFUSED": (
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    ),
    "AWS_THROTTLED": (
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
    ),
    "AWS_LIMIT": ("LimitExceededException", "ParameterLimitExceeded", "ParameterMaxVersionLimitExceeded"),
    "AWS_NOT_FOUND": ("ResourceNotFoundException", "ParameterNotFound"),
    "AWS_EXISTS": ("ResourceExistsException", "ParameterAlreadyExists"),
}
_HINTS = {
    "AWS_DENIED": "allow this action (and its KMS key) for the caller, or assume another role",
    "AWS_KEY_UNUSABLE": "check that the KMS key of the YAML exists, is enabled and may be used by the caller",
    "AWS_CREDENTIALS_REFUSED": "renew the AWS credentials, then run again",
    "AWS_THROTTLED": "wait a minute, then run again",
    "AWS_LIMIT": "raise the quota, or remove what is no longer needed",
    "AWS_UNREACHABLE": "check the network and AWS_ENDPOINT_URL, then run again: what was done is kept",
    "AWS_NOT_FOUND": "`neonctl apply` makes what an environment needs",
    "AWS_FAILED": "run again; if it stays, give AWS the request id",
}
NO_CREDENTIALS_HINT = (
    "give boto3 credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role), "
    "or use --local, which needs no account"
)


class AwsError(ServiceError):
    """AWS said no. ``aws_code`` is its own word for it, empty when there was no answer."""

    def __init__(self, code: str, message: str, *, hint: str | None, details: dict[str, object]) -> None:
        super().__init__(code, message, hint=hint, details=details)
        self.aws_code = str(details.get("aws_code", ""))


class AwsBusyError(AwsError):
    """AWS is slow, failing or out of reach: the same call may work later."""

    retryable = True


def call(action: str, target: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Make one AWS call. ``action`` as IAM names it (``ssm:PutParameter``), ``target`` for people.

    Raises ``AwsError`` with a code of this module; ``details``: action, target, AWS's code and request id.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004
    from botocore.parsers import ResponseParserError

    _quieten()
    try:
        return function(*args, **kwargs)
    except ClientError as error:
        # AWS's own words help people, but an answer to a request that carried a value could repeat it.
        failure = _refusal(action, target, error, quote="SecretString" not in kwargs)
    except (ConnectionError, HTTPClientError) as error:
        failure = _no_answer(action, target, error)
    except (BotoCoreError, ResponseParserError) as error:
        failure = _own_failure(action, target, error)
    raise failure  # outside of the handlers: nothing is chained


def _quieten() -> None:
    """Keep boto's loggers at WARNING or above: at DEBUG botocore prints requests with their secrets.

    Before every call, so that no switch thrown later brings them back (security.md 1).
    """
    for name in ("boto3", "botocore"):
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:  # NOTSET included: it would follow the root logger down
            logger.setLevel(logging.WARNING)


def _refusal(action: str, target: str, error: Any, *, quote: bool) -> AwsError:
    answer = cast("dict[str, Any]", error.response)
    about: dict[str, Any] = answer.get("Error", {})
    meta: dict[str, Any] = answer.get("ResponseMetadata", {})
    aws_code = str(about.get("Code", ""))
    status = int(meta.get("HTTPStatusCode", 0))
    details: dict[str, object] = {
        "action": action,
        "target": target,
        "aws_code": aws_code,
        "http_status": status,
        "request_id": meta.get("RequestId"),
    }
    code = next((ours for ours, theirs in _CODES.items() if aws_code in theirs), None)
    busy = code == "AWS_THROTTLED" or (code is None and (status >= 500 or aws_code.startswith("Internal")))
    code = code or ("AWS_FAILED" if busy else "AWS_REFUSED")
    said = f": {about['Message']}" if quote and about.get("Message") else ""
    if meta.get("RequestId"):
        said += f" (request {meta['RequestId']})"
    kind = AwsBusyError if busy else AwsError
    return kind(code, f"{action} on {target}: {aws_code}{said}", hint=_HINTS.get(code), details=details)


def _no_answer(action: str, target: str, error: Exception) -> AwsError:
    reason = type(error).__name__
    endpoint = str(getattr(error, "kwargs", {}).get("endpoint_url", "AWS"))
    return AwsBusyError(
        "AWS_UNREACHABLE",
        f"{action} on {target}: no answer from {endpoint} ({reason})",
        hint=_HINTS["AWS_UNREACHABLE"],
        details={"action": action, "target": target, "reason": reason, "endpoint": endpoint},
    )


def _own_failure(action: str, target: str, error: Exception) -> AwsError:
    """What botocore refuses by itself; only the kind of error is told, its text may hold values."""
    from botocore import exceptions as foreign

    reason = type(error).__name__
    details: dict[str, object] = {"action": action, "target": target, "reason": reason}
    without_credentials = (
        foreign.NoCredentialsError,
        foreign.PartialCredentialsError,
        foreign.CredentialRetrievalError,
        foreign.ProfileNotFound,
        foreign.SSOError,
        foreign.TokenRetrievalError,
    )
    if isinstance(error, without_credentials):
        return AwsError(
            "AWS_NO_CREDENTIALS",
            f"{action}: no usable AWS credentials ({reason})",
            hint=NO_CREDENTIALS_HINT,
            details=details,
        )
    if isinstance(error, foreign.ParamValidationError):
        message = f"{action} on {target}: the request is not valid; its values are not shown"
        return AwsError("AWS_BAD_REQUEST", message, hint="check names, tags and key ids in the YAML", details=details)
    message = f"{action} on {target}: failed on this side of AWS ({reason})"
    return AwsError("AWS_FAILED", message, hint=_HINTS["AWS_FAILED"], details=details)
