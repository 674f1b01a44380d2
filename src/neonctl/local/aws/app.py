"""The HTTP front: which service a request is for, who calls, faults, one transaction, the answer.

``POST /`` speaks AWS's JSON 1.1 and query protocols. Any static access key is taken and its signature's value
not checked, so the endpoint is open to every process of this machine: serve it on the loopback interface only.
Web pages are kept out (``guard``). The access key id says which account calls (``keyring``), the signature's
scope for which region; both only stand in ARNs, all see one store.

``GET /_local/events?bus=default&after=0&limit=100`` is our own: it lists the events that arrived on a bus (see
``events.arrived``), so that people and tests can look.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from aiohttp import web

from neonctl.local.aws import events, kms, parameters, secrets_manager, sts
from neonctl.local.aws.call import Call, parse
from neonctl.local.aws.guard import no_web_pages
from neonctl.local.aws.keyring import Keyring
from neonctl.local.aws.signature import authenticate
from neonctl.local.aws.wire import (
    AwsError,
    injected,
    internal,
    json_answer,
    json_failure,
    xml_answer,
    xml_failure,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from neonctl.local.aws.call import Answer, Operation
    from neonctl.local.aws.faults import FaultHook
    from neonctl.local.aws.store import AwsStore, Transaction

_LOG = logging.getLogger(__name__)
_LARGEST_BODY = 4 * 1024 * 1024
_MOST_EVENTS = 1000

_SERVICES: Mapping[str, tuple[str, Mapping[str, Operation]]] = MappingProxyType(
    {
        "secretsmanager": ("secretsmanager", secrets_manager.OPERATIONS),
        "AmazonSSM": ("ssm", parameters.OPERATIONS),
        "AWSEvents": ("events", events.OPERATIONS),
        "TrentService": ("kms", kms.OPERATIONS),
    }
)


def make_app(store: AwsStore, *, faults: FaultHook | None = None) -> web.Application:
    """An application that answers boto3, for every account and region. The caller closes ``store``."""
    front = _Front(store, Keyring(store.sealer, store.clock), faults)
    app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[no_web_pages])
    app.router.add_post("/", front.call)
    app.router.add_get("/_local/events", front.list_events)
    return app


@dataclass(frozen=True, slots=True)
class _Front:
    store: AwsStore
    keyring: Keyring
    faults: FaultHook | None

    async def call(self, request: web.Request) -> web.Response:
        """Any AWS call."""
        body = await request.read()
        if "X-Amz-Target" in request.headers:
            return await self._json_call(request, body)
        return await self._query_call(request, body)

    async def _json_call(self, request: web.Request, body: bytes) -> web.Response:
        prefix, _, operation = request.headers["X-Amz-Target"].partition(".")
        try:
            caller, region = authenticate(request, body, self.keyring, query_protocol=False)
            service, work = _operation(prefix, operation)
            params = parse(body)

            def transaction(inside: Transaction) -> Answer:
                return work(Call(params, inside.db, inside.sealer, inside.now, caller=caller, region=region))

            return await self._with_faults(request, service, operation, lambda: self._answer(service, transaction))
        except AwsError as error:
            return json_failure(error)

    async def _answer(self, service: str, transaction: Callable[[Transaction], Answer]) -> web.Response:
        try:
            return json_answer(await self.store.run(transaction))
        except AwsError:
            raise
        except Exception as error:
            _LOG.exception("an operation of %s failed", service)
            raise internal(service) from error

    async def _query_call(self, request: web.Request, body: bytes) -> web.Response:
        """STS, the one service with the query protocol."""
        try:
            caller, _ = authenticate(request, body, self.keyring, query_protocol=True)
            params = {name: values[0] for name, values in parse_qs(body.decode("ascii", "replace")).items()}
            action = params.get("Action", "")
            work = sts.OPERATIONS.get(action)
            if work is None:
                offered = ", ".join(sts.OPERATIONS)
                message = f"The embedded platform does not offer {action!r}; it offers {offered}"
                raise AwsError("InvalidAction", message)  # noqa: TRY301 (one place turns refusals into XML)

            async def answer() -> web.Response:
                return xml_answer(action, work(params, caller, self.keyring))

            return await self._with_faults(request, "sts", action, answer)
        except AwsError as error:
            return xml_failure(error)

    async def _with_faults(
        self, request: web.Request, service: str, operation: str, work: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        fault = None if self.faults is None else await self.faults(request, service, operation)
        if fault is None:
            return await work()
        if fault.delay_s > 0:
            await asyncio.sleep(fault.delay_s)
        if fault.cut == "before":
            return _cut(request)
        if fault.error is not None:
            raise injected(service, fault.error)
        answer = await work()
        return _cut(request) if fault.cut == "after" else answer

    async def list_events(self, request: web.Request) -> web.Response:
        """What arrived."""
        query = request.query
        try:
            after, limit = int(query.get("after", "0")), int(query.get("limit", "100"))
        except ValueError:
            raise web.HTTPBadRequest(text="after and limit are whole numbers\n") from None
        if after < 0 or not 1 <= limit <= _MOST_EVENTS:
            raise web.HTTPBadRequest(text=f"after is 0 or more, limit 1 to {_MOST_EVENTS}\n")
        bus = query.get("bus", "default")
        return web.json_response(
            await self.store.run(lambda inside: events.arrived(inside, bus=bus, after=after, limit=limit))
        )


def _operation(prefix: str, name: str) -> tuple[str, Operation]:
    service, operations = _SERVICES.get(prefix, ("", {}))
    work = operations.get(name)
    if work is None:
        raise AwsError(
            "UnknownOperationException",
            f"The embedded platform does not offer {prefix}.{name}; it offers "
            + (", ".join(operations) or ", ".join(_SERVICES)),
        )
    return service, work


def _cut(request: web.Request) -> web.Response:
    """Break the connection. The response that is returned has nowhere to go."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
