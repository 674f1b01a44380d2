"""Roles and databases of a branch as the API sees them, their passwords, and the way to log in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from neonctl.neon import failures
from neonctl.neon.changes import Calls, Change
from neonctl.neon.connection import ConnectionTarget, parse_connection_uri
from neonctl.neon.failures import Doing
from neonctl.neon.responses import items, reading
from neonctl.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neonctl.neon.transport import Body


class RoleCalls(Calls):
    """Roles, databases and passwords of the client."""

    def list_roles(self, project_id: str, branch_id: str) -> frozenset[str]:
        """The names of a branch's roles, those made by SQL too. Raises ServiceError."""
        doing = Doing(f"roles of branch `{branch_id}`", "listed")
        body = self._transport.get(_branch(project_id, branch_id, "roles"), doing)
        with reading(doing):
            return frozenset(item["name"] for item in items(body, "roles"))

    def create_role(self, project_id: str, branch_id: str, name: str) -> None:
        """Make an administrator's role (facts.md 5); Neon chooses the password. Raises ServiceError."""

        def look() -> bool | None:
            return True if name in self.list_roles(project_id, branch_id) else None

        doing = Doing(f"role `{name}`", "created")
        path = _branch(project_id, branch_id, "roles")
        self._change(project_id, Change(doing, "POST", path, _done, look, {"role": {"name": name}}))

    def delete_role(self, project_id: str, branch_id: str, name: str) -> bool:
        """Delete a role. False: it was gone already. Raises ServiceError."""
        return self._delete(
            project_id,
            Doing(f"role `{name}`", "deleted"),
            _branch(project_id, branch_id, "roles", name),
            lambda: name not in self.list_roles(project_id, branch_id),
        )

    def reset_password(self, project_id: str, branch_id: str, role: str) -> Secret:
        """Give a role a new password and wait until it is the valid one. Raises ServiceError.

        When the answer is lost, the reset is done again: a second new password is as good as the first.
        """
        doing = Doing(f"password of role `{role}`", "reset")

        def answer(body: Body | None) -> Secret:
            return _secret((body or {})["role"]["password"])

        path = _branch(project_id, branch_id, "roles", role, "reset_password")
        return self._change(project_id, Change(doing, "POST", path, answer, lambda: None))

    def reveal_password(self, project_id: str, branch_id: str, role: str) -> Secret:
        """The password of a role on this very branch. Raises ServiceError (NEON_PRECONDITION: not stored)."""
        doing = Doing(f"password of role `{role}`", "read")
        body = self._transport.get(_branch(project_id, branch_id, "roles", role, "reveal_password"), doing)
        with reading(doing):
            return _secret(body["password"])

    def list_databases(self, project_id: str, branch_id: str) -> Mapping[str, str]:
        """The databases of a branch: name → owner. Raises ServiceError."""
        doing = Doing(f"databases of branch `{branch_id}`", "listed")
        body = self._transport.get(_branch(project_id, branch_id, "databases"), doing)
        with reading(doing):
            return {item["name"]: item["owner_name"] for item in items(body, "databases")}

    def create_database(self, project_id: str, branch_id: str, name: str, owner: str) -> None:
        """Make a database. One of that name and owner which is there counts as done. Raises ServiceError."""

        def look() -> bool | None:
            return True if self.list_databases(project_id, branch_id).get(name) == owner else None

        doing = Doing(f"database `{name}`", "created")
        path = _branch(project_id, branch_id, "databases")
        body = {"database": {"name": name, "owner_name": owner}}
        self._change(project_id, Change(doing, "POST", path, _done, look, body))

    def delete_database(self, project_id: str, branch_id: str, name: str) -> bool:
        """Drop a database, cutting its sessions. False: it was gone already. Raises ServiceError."""
        return self._delete(
            project_id,
            Doing(f"database `{name}`", "deleted"),
            _branch(project_id, branch_id, "databases", name),
            lambda: name not in self.list_databases(project_id, branch_id),
        )

    def connection(
        self, project_id: str, branch_id: str, *, database: str, role: str, pooled: bool
    ) -> ConnectionTarget:
        """Where and how a role logs in, directly or through the pooler. Raises ServiceError."""
        doing = Doing(f"connection of role `{role}` to database `{database}`", "read")
        body = self._transport.get(
            f"/projects/{project_id}/connection_uri",
            doing,
            {"branch_id": branch_id, "database_name": database, "role_name": role, "pooled": pooled},
        )
        with reading(doing):
            uri = _secret(body["uri"])
        try:
            return parse_connection_uri(uri)
        except ValueError as error:
            problem = str(error)
        raise failures.unexpected(doing, problem)


def _branch(project_id: str, branch_id: str, *parts: str) -> str:
    """A path below a branch; names of roles and databases may hold any character."""
    return "/".join((f"/projects/{project_id}/branches/{branch_id}", *(quote(part, safe="") for part in parts)))


def _secret(value: object) -> Secret:
    if not isinstance(value, Secret):
        raise TypeError("not a secret")
    return value


def _done(_: Body | None) -> bool:
    return True
