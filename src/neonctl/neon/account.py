"""Whose key it is, and which organization is meant."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from neonctl.errors import ServiceError
from neonctl.neon import responses
from neonctl.neon.changes import Calls
from neonctl.neon.failures import Doing
from neonctl.neon.responses import Account, items, reading

if TYPE_CHECKING:
    from neonctl.neon.transport import Transport


class AccountCalls(Calls):
    """The account side of the client."""

    def __init__(self, transport: Transport, org_id: str | None) -> None:
        super().__init__(transport)
        self._org_id = org_id
        self._org_known = org_id is not None
        self._org_lock = threading.Lock()

    def whoami(self) -> Account:
        """Whose key this is (``GET /auth``). Raises ServiceError."""
        doing = Doing("the owner of the API key", "read")
        body = self._transport.get("/auth", doing)
        with reading(doing):
            return responses.account(body)

    def organization(self) -> str | None:
        """The org_id that lists and creates of projects must name, asked for once; None: the key implies it.

        A personal key needs one (facts.md 1): the one given, or the only one there is. Raises ServiceError.
        """
        with self._org_lock:
            if not self._org_known:
                account = self.whoami()
                self._org_id = self._only_organization() if account.kind == "personal" else None
                self._org_known = True
            return self._org_id

    def _only_organization(self) -> str:
        doing = Doing("the organizations of the API key", "listed")
        body = self._transport.get("/users/me/organizations", doing)
        with reading(doing):
            found = [(str(item["id"]), str(item["name"])) for item in items(body, "organizations")]
        if len(found) == 1:
            return found[0][0]
        named = ", ".join(f"{org_id} ({name})" for org_id, name in sorted(found))
        raise ServiceError(
            "NEON_ORG_REQUIRED",
            f"the API key is personal and its owner is in {len(found)} organizations"
            + (f": {named}" if named else "; Neon needs one to look for projects in"),
            hint="set NEON_ORG_ID to the one that owns the project, or use an organization's API key",
            details={"organizations": [org_id for org_id, _ in sorted(found)]},
        )
