"""The background job that deletes branches whose time has come (facts.md 3)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from neonctl.local.api.branching import schedule_delete
from neonctl.local.api.clock import now

if TYPE_CHECKING:
    from neonctl.local.api.context import Api

log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.5


async def delete_expired(api: Api) -> None:
    """Look again and again until cancelled."""
    while True:
        try:
            sweep(api)
        except Exception:
            log.exception("looking for expired branches failed")
        await asyncio.sleep(_LOOK_EVERY_S)


def sweep(api: Api) -> None:
    """Schedule the deletion of what has expired; projects with running operations wait for the next look."""
    rows = api.store.branches.select(
        "deleted_at IS NULL AND state = 'ready' AND expires_at <= ? ORDER BY expires_at", (now(),)
    )
    for row in rows:
        if not api.store.unfinished(row.project_id) and not api.store.children(row.id):
            with api.change(row.project_id) as change:
                schedule_delete(api.store, change, row)
