"""Who calls: the access key id, and the Signature Version 4 over the request when the key is a temporary one.

Written from AWS's description of the algorithm, sharing nothing with botocore: the two prove each other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    from aiohttp import web

    from neonctl.local.aws.keyring import Caller, Keyring
    from neonctl.secret import Secret

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 "
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


def authenticate(request: web.Request, body: bytes, keyring: Keyring, *, query_protocol: bool) -> tuple[Caller, str]:
    """Who signed a request, and for which region. Raises AwsError with the names that each protocol uses.

    A static key's signature has to have the form of one; its value is not looked at, for its secret is unknown.
    """
    header = request.headers.get("Authorization")
    if not header:
        raise _refuse(query_protocol, "MissingAuthenticationToken", "Missing Authentication Token")
    parts = _AUTHORIZATION.fullmatch(header.strip())
    if parts is None:
        raise _refuse(query_protocol, "IncompleteSignature", "The Authorization header is not a Signature Version 4.")
    held = keyring.find(parts["key"], request.headers.get("X-Amz-Security-Token"))
    if held is None:
        name = "InvalidClientTokenId" if query_protocol else "UnrecognizedClient"
        raise _refuse(query_protocol, name, "The security token included in the request is invalid.")
    if held.secret is not None:
        _check_signature(request, body, parts, held.secret, query_protocol=query_protocol)
    if keyring.is_over(held):
        raise _refuse(query_protocol, "ExpiredToken", "The security token included in the request is expired")
    return held.caller, parts["region"]


def _check_signature(
    request: web.Request, body: bytes, parts: re.Match[str], secret: Secret, *, query_protocol: bool
) -> None:
    mismatch = "SignatureDoesNotMatch" if query_protocol else "InvalidSignature"
    if "host" not in parts["headers"].split(";"):
        raise _refuse(query_protocol, mismatch, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    expected = _signature(request, body, parts, secret)
    if not hmac.compare_digest(expected, parts["signature"]):
        raise _refuse(
            query_protocol,
            mismatch,
            "The request signature we calculated does not match the signature you provided.",
        )


def _refuse(query_protocol: bool, name: str, message: str) -> AwsError:
    return AwsError(name, message, 403) if query_protocol else AwsError(f"{name}Exception", message, 400)


def _signature(request: web.Request, body: bytes, parts: re.Match[str], secret: Secret) -> str:
    path, _, query = request.raw_path.partition("?")
    names = parts["headers"].split(";")
    headers = "".join(f"{name}:{_canonical(request.headers.getall(name, []))}\n" for name in names)
    canonical = "\n".join(
        [
            request.method,
            path,
            "&".join(sorted(query.split("&"))) if query else "",
            headers,
            parts["headers"],
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{parts['date']}/{parts['region']}/{parts['service']}/aws4_request"
    moment = request.headers.get("X-Amz-Date", "")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key = f"AWS4{secret.reveal()}".encode()
    for step in (parts["date"], parts["region"], parts["service"], "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _canonical(values: list[str]) -> str:
    return ",".join(" ".join(value.split()) for value in values)
