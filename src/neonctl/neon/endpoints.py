"""Computes: list, create, resize, start, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neonctl.neon import responses
from neonctl.neon.changes import Calls, Change
from neonctl.neon.failures import Doing
from neonctl.neon.responses import Compute, items, reading

if TYPE_CHECKING:
    from neonctl.neon.transport import Body
    from neonctl.plan.observed import EndpointSnapshot


class EndpointCalls(Calls):
    """The compute side of the client."""

    def list_endpoints(self, project_id: str) -> tuple[EndpointSnapshot, ...]:
        """Every compute of the project, sorted by id. Raises ServiceError."""
        doing = Doing(f"computes of project `{project_id}`", "listed")
        body = self._transport.get(f"/projects/{project_id}/endpoints", doing)
        with reading(doing):
            found = [responses.endpoint(item) for item in items(body, "endpoints")]
        return tuple(sorted(found, key=lambda endpoint: endpoint.id))

    def get_endpoint(self, project_id: str, endpoint_id: str) -> EndpointSnapshot:
        """One compute. Raises ServiceError (NEON_NOT_FOUND)."""
        doing = Doing(f"compute `{endpoint_id}`", "read")
        with reading(doing):
            return responses.endpoint(self._endpoint(project_id, endpoint_id, doing))

    def create_endpoint(self, project_id: str, branch_id: str, compute: Compute) -> EndpointSnapshot:
        """Give a branch its read-write compute and wait until it runs. Raises ServiceError.

        One of the same size that is there already counts as done; one of another size is NEON_CONFLICT.
        """

        def look() -> EndpointSnapshot | None:
            return next(
                (
                    there
                    for there in self.list_endpoints(project_id)
                    if there.branch_id == branch_id and there.type == "read_write" and compute.fits(there)
                ),
                None,
            )

        return self._change(
            project_id,
            Change(
                Doing(f"compute of branch `{branch_id}`", "created"),
                "POST",
                f"/projects/{project_id}/endpoints",
                _answered,
                look,
                {"endpoint": {"branch_id": branch_id, "type": "read_write", **compute.as_json()}},
                # Which status refuses a second read-write compute is not documented.
                look_after=frozenset({"NEON_CONFLICT", "NEON_INVALID", "NEON_REFUSED"}),
            ),
        )

    def update_endpoint(self, project_id: str, endpoint_id: str, compute: Compute) -> EndpointSnapshot:
        """Change a compute's size, as far as given. Raises ServiceError."""

        def look() -> EndpointSnapshot | None:
            there = self.get_endpoint(project_id, endpoint_id)
            return there if compute.fits(there) else None

        return self._change(
            project_id,
            Change(
                Doing(f"compute `{endpoint_id}`", "updated"),
                "PATCH",
                f"/projects/{project_id}/endpoints/{endpoint_id}",
                _answered,
                look,
                {"endpoint": compute.as_json()},
            ),
        )

    def start_endpoint(self, project_id: str, endpoint_id: str) -> EndpointSnapshot:
        """Start a compute and wait until it runs. Raises ServiceError."""
        doing = Doing(f"compute `{endpoint_id}`", "started")

        def look() -> EndpointSnapshot | None:
            item = self._endpoint(project_id, endpoint_id, doing)
            return responses.endpoint(item) if item["current_state"] == "active" else None

        path = f"/projects/{project_id}/endpoints/{endpoint_id}/start"
        return self._change(project_id, Change(doing, "POST", path, _answered, look))

    def delete_endpoint(self, project_id: str, endpoint_id: str) -> bool:
        """Delete a compute. False: it was gone already. Raises ServiceError."""
        return self._delete(
            project_id,
            Doing(f"compute `{endpoint_id}`", "deleted"),
            f"/projects/{project_id}/endpoints/{endpoint_id}",
            lambda: all(endpoint.id != endpoint_id for endpoint in self.list_endpoints(project_id)),
        )

    def _endpoint(self, project_id: str, endpoint_id: str, doing: Doing) -> Body:
        body = self._transport.get(f"/projects/{project_id}/endpoints/{endpoint_id}", doing)
        with reading(doing):
            return body["endpoint"]


def _answered(body: Body | None) -> EndpointSnapshot:
    return responses.endpoint((body or {})["endpoint"])
