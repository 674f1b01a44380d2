"""Keeps web pages out: an endpoint that checks no secret must not be within a browser's reach.

Only programs of this machine can connect (the loopback interface), but a browser is such a program, and a page
of any origin runs in it. Its requests carry ``Origin``; those of a page whose name was pointed at 127.0.0.1
after it was loaded (DNS rebinding) carry that name as ``Host``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from neonctl.local.aws.wire import AwsError, json_failure, xml_failure

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)


@web.middleware
async def no_web_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse with 403 what a web page may have sent, before anything else looks at it."""
    hosts = request.headers.getall("Host", [])
    if "Origin" in request.headers:
        return _refused(request, "Requests of web pages are refused (they carry an Origin header)")
    if len(hosts) != 1 or not _LOCAL_HOST.fullmatch(hosts[0]):
        return _refused(request, "The Host header must be localhost, 127.0.0.1 or [::1]")
    return await handler(request)


def _refused(request: web.Request, message: str) -> web.Response:
    if request.method != "POST":
        return web.Response(status=403, text=f"{message}\n")
    if "X-Amz-Target" in request.headers:
        return json_failure(AwsError("AccessDeniedException", message, 403))
    return xml_failure(AwsError("AccessDenied", message, 403))
