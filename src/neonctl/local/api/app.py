"""HTTP in front of the handlers: key, request id, faults, journal, validation, errors."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from neonctl.local.api.context import Api, Call
from neonctl.local.api.failures import ApiError, bad_request
from neonctl.local.api.local_routes import Controls
from neonctl.local.api.routes import ROUTES, Route
from neonctl.local.api.validation import ID_PATTERN
from neonctl.local.faults import Fault, Faults

if TYPE_CHECKING:
    from neonctl.local.journal import Journal
    from neonctl.secret import Secret

log = logging.getLogger(__name__)
BASE_PATH: Final = "/api/v2"
_ID_PARTS: Final = frozenset(("project_id", "branch_id", "endpoint_id", "org_id"))
_INJECTED: Final = {
    423: "project already has running conflicting operations, scheduling of new ones is prohibited",
    429: "rate limit exceeded",
    500: "internal error",
    503: "service unavailable",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(api: Api, *, key: Secret, faults: Faults, journal: Journal) -> web.Application:
    """The API under ``/api/v2`` and the platform's own paths under ``/_local``, both behind ``key``."""
    app = web.Application(middlewares=[_answers_in_json, _needs_key(key)], client_max_size=2**20)
    for route in ROUTES:
        app.router.add_route(route.method, BASE_PATH + route.path, _serve(api, route, faults, journal))
    for method, path, handler in Controls(api, faults, journal).routes():
        app.router.add_route(method, path, handler)
    return app


def _error(request: web.Request, error: ApiError) -> web.Response:
    request_id = request.headers.get("X-Request-ID") or str(uuid.uuid4())
    return web.json_response(
        {"request_id": request_id, "code": error.code, "message": error.message},
        status=error.status,
        headers={**error.headers, "X-Request-ID": request_id},
    )


@web.middleware
async def _answers_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal is a GeneralError; a bug is a 500 that names no details."""
    try:
        return await handler(request)
    except ApiError as error:
        return _error(request, error)
    except web.HTTPException as error:
        return _error(request, ApiError(error.status, error.reason.lower()))
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _error(request, ApiError(500, "internal error"))


def _needs_key(key: Secret) -> Any:
    expected = f"Bearer {key.reveal()}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            raise ApiError(401, "supplied credentials do not pass authentication")
        return await handler(request)

    return check


def _serve(api: Api, route: Route, faults: Faults, journal: Journal) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        entry = journal.record("neon", f"{route.method} {route.path}")
        fault = faults.neon(request.method, request.path.removeprefix(BASE_PATH)) or Fault()
        await asyncio.sleep(fault.latency_ms / 1000)
        if fault.cut == "before":
            return _cut(request)
        try:
            if fault.status is not None:
                raise _injected(fault)
            response = await _answer(api, route, request, partial=fault.partial)
            entry.status = response.status
        except ApiError as error:
            entry.status = error.status
            raise
        return _cut(request) if fault.cut == "after" else response

    return serve


def _cut(request: web.Request) -> web.Response:
    """Drop the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _injected(fault: Fault) -> ApiError:
    status = fault.status or 500
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return ApiError(status, _INJECTED[status], headers=headers)


async def _answer(api: Api, route: Route, request: web.Request, *, partial: bool) -> web.Response:
    path = dict(request.match_info)
    for name in _ID_PARTS & path.keys():
        if not ID_PATTERN.match(path[name]):
            raise bad_request(f"{name} must match {ID_PATTERN.pattern}")
    query = {name: rule(request.query[name], name) for name, rule in route.query.items() if name in request.query}
    reply = await route.handler(api, Call(path, query, await _body(route, request), partial))
    if reply.body is None:
        return web.Response(status=reply.status)
    return web.json_response(reply.body, status=reply.status)


async def _body(route: Route, request: web.Request) -> dict[str, Any]:
    if route.body is None:
        return {}
    text = await request.text()
    if not text.strip() and route.optional_body:
        return {}
    try:
        document: object = json.loads(text)
    except ValueError as error:
        raise bad_request("the body is not JSON") from error
    return route.body(document, "body")
