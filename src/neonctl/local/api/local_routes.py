"""The platform's own paths beside Neon's: faults, the journal of calls, limits, and a look at everything."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from neonctl.errors import UsageError
from neonctl.local.api.failures import bad_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from neonctl.local.api.context import Api
    from neonctl.local.faults import Faults
    from neonctl.local.journal import Journal


@dataclass(frozen=True)
class Controls:
    """Handlers for ``/_local``; the same key as for the API opens them."""

    api: Api
    faults: Faults
    journal: Journal

    def routes(self) -> list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]]:
        return [
            ("GET", "/_local/health", self.health),
            ("GET", "/_local/faults", self.show_faults),
            ("PUT", "/_local/faults", self.put_faults),
            ("DELETE", "/_local/faults", self.delete_faults),
            ("GET", "/_local/journal", self.show_journal),
            ("DELETE", "/_local/journal", self.delete_journal),
            ("GET", "/_local/limits", self.show_limits),
            ("PUT", "/_local/limits", self.put_limits),
            ("GET", "/_local/branches", self.show_branches),
        ]

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    async def show_faults(self, request: web.Request) -> web.Response:
        return web.json_response({"rules": self.faults.documents()})

    async def put_faults(self, request: web.Request) -> web.Response:
        body = await _object(request)
        rules = body.get("rules")
        if not isinstance(rules, list):
            raise bad_request('the body is {"rules": […]}')
        try:
            self.faults.replace_all(cast("list[object]", rules))
        except UsageError as error:
            raise bad_request(error.message) from error
        return await self.show_faults(request)

    async def delete_faults(self, request: web.Request) -> web.Response:
        self.faults.replace_all([])
        return await self.show_faults(request)

    async def show_journal(self, request: web.Request) -> web.Response:
        return web.json_response({"calls": self.journal.documents()})

    async def delete_journal(self, request: web.Request) -> web.Response:
        self.journal.clear()
        return await self.show_journal(request)

    async def show_limits(self, request: web.Request) -> web.Response:
        return web.json_response(asdict(self.api.limits.current))

    async def put_limits(self, request: web.Request) -> web.Response:
        self.api.limits.replace(await _object(request))
        return await self.show_limits(request)

    async def show_branches(self, request: web.Request) -> web.Response:
        """Every branch of every project with its ports, for ``local status``."""
        store = self.api.store
        found: list[dict[str, object]] = []
        for project in store.projects.select("deleted_at IS NULL ORDER BY created_at"):
            for row in store.live_branches(project.id):
                endpoints = [
                    self.api.endpoint_document(item, project)
                    | {"direct_port": item.direct_port, "pooled_port": item.pooled_port}
                    for item in store.live_endpoints(row.id)
                ]
                found.append(
                    {
                        "project": project.name,
                        "project_id": project.id,
                        "branch": row.name,
                        "branch_id": row.id,
                        "default": row.is_default,
                        "protected": row.protected,
                        "state": row.state,
                        "endpoints": endpoints,
                    }
                )
        return web.json_response({"branches": found})


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body: object = await request.json()
    except ValueError as error:
        raise bad_request("the body is not JSON") from error
    if not isinstance(body, dict):
        raise bad_request("the body is not an object")
    return cast("dict[str, Any]", body)
