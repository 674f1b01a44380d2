"""AWS's shapes on the wire: errors, JSON 1.1 answers and the query protocol's XML."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, TypeAlias
from xml.sax.saxutils import escape

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neonctl.local.aws.faults import FaultError

Fields: TypeAlias = "Mapping[str, str | Fields]"

_JSON = "application/x-amz-json-1.1"
_STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class AwsError(Exception):
    """A refusal as AWS words it: ``code`` picks botocore's exception class. Never holds a secret value."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def json_answer(body: Mapping[str, object] | None) -> web.Response:
    """An operation's output. Operations without output answer with an empty body, as AWS does."""
    return web.Response(
        body=b"" if body is None else json.dumps(body).encode(),
        headers={"Content-Type": _JSON, "x-amzn-RequestId": str(uuid.uuid4())},
    )


def json_failure(error: AwsError) -> web.Response:
    """The error document of the JSON protocol."""
    return web.Response(
        status=error.status,
        body=json.dumps({"__type": error.code, "message": error.message}).encode(),
        headers={
            "Content-Type": _JSON,
            "x-amzn-RequestId": str(uuid.uuid4()),
            "x-amzn-ErrorType": error.code,
        },
    )


def xml_answer(operation: str, result: Fields) -> web.Response:
    """A result in STS's query protocol."""
    return _xml(
        200,
        f'<{operation}Response xmlns="{_STS_NAMESPACE}"><{operation}Result>{_elements(result)}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{operation}Response>",
    )


def _elements(fields: Fields) -> str:
    return "".join(
        f"<{name}>{escape(value) if isinstance(value, str) else _elements(value)}</{name}>"
        for name, value in fields.items()
    )


def xml_failure(error: AwsError) -> web.Response:
    """The error document of the query protocol."""
    kind = "Sender" if error.status < 500 else "Receiver"
    return _xml(
        error.status,
        f'<ErrorResponse xmlns="{_STS_NAMESPACE}"><Error><Type>{kind}</Type><Code>{escape(error.code)}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>",
    )


def injected(service: str, fault: FaultError) -> AwsError:
    """The error that ``service`` gives when it throttles, breaks or is away."""
    if fault == "throttled":
        code = "Throttling" if service == "sts" else "ThrottlingException"
        return AwsError(code, "Rate exceeded", 400)
    if fault == "unavailable":
        return AwsError("ServiceUnavailable", "Service is unable to handle request", 503)
    return internal(service)


def internal(service: str) -> AwsError:
    """The service's own name for "it is our fault"."""
    codes = {
        "secretsmanager": "InternalServiceError",
        "ssm": "InternalServerError",
        "events": "InternalException",
        "kms": "KMSInternalException",
    }
    return AwsError(codes.get(service, "InternalFailure"), "An internal error occurred", 500)


def _xml(status: int, text: str) -> web.Response:
    return web.Response(
        status=status,
        body=text.encode(),
        headers={"Content-Type": "text/xml", "x-amzn-RequestId": str(uuid.uuid4())},
    )
