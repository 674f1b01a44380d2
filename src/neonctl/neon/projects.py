"""Projects: find by exact name, create once, update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neonctl.errors import RetryableError, ServiceError
from neonctl.neon import failures, responses
from neonctl.neon.account import AccountCalls
from neonctl.neon.changes import Change
from neonctl.neon.failures import Doing
from neonctl.neon.responses import Compute, items, reading
from neonctl.neon.transport import Body, LostAnswerError, Parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neonctl.plan.observed import ProjectSnapshot

_PAGE = 400  # the most that Neon gives at once
_RIVAL_LOOKS = 20  # about half a minute


class ProjectCalls(AccountCalls):
    """The project side of the client."""

    def find_projects(self, name: str) -> tuple[ProjectSnapshot, ...]:
        """Every project with exactly this name, sorted by id; names are not unique (facts.md 2).

        Raises ServiceError, also when Neon could look into a part of the projects only.
        """
        doing = Doing(f"projects named `{name}`", "listed")
        found = self._named(name, doing)
        return tuple(self._whole(found[project_id], doing) for project_id in sorted(found))

    def get_project(self, project_id: str) -> ProjectSnapshot:
        """One project. Raises ServiceError (NEON_NOT_FOUND)."""
        doing = Doing(f"project `{project_id}`", "read")
        body = self._transport.get(f"/projects/{project_id}", doing)
        with reading(doing):
            return responses.project(body["project"])

    def create_project(
        self,
        *,
        name: str,
        region: str,
        postgres_version: int,
        branch_name: str,
        owner_role: str,
        database: str,
        logical_replication: bool | None = None,
        history_retention_seconds: int | None = None,
        min_cu: float | None = None,
        max_cu: float | None = None,
        suspend_timeout_seconds: int | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> ProjectSnapshot:
        """Create a project whose name is not taken, with its default branch, and wait until it is ready.

        ``annotations`` go to the default branch. Raises ServiceError; RetryableError NEON_PROJECT_RACE if the name
        is taken.
        """
        doing = Doing(f"project `{name}`", "created")
        branch: dict[str, Any] = {"name": branch_name, "role_name": owner_role, "database_name": database}
        if annotations:
            branch["annotations"] = dict(annotations)
        project: dict[str, Any] = {
            "name": name,
            "region_id": region,
            "pg_version": postgres_version,
            "store_passwords": True,  # the owner's password is revealed when needed (product.md 4)
            "branch": branch,
        }
        compute = Compute(min_cu, max_cu, suspend_timeout_seconds).as_json()
        if compute:
            project["default_endpoint_settings"] = compute
        if history_retention_seconds is not None:
            project["history_retention_seconds"] = history_retention_seconds
        if logical_replication:
            project["settings"] = {"enable_logical_replication": True}
        if org_id := self.organization():
            project["org_id"] = org_id
        with self._locks.hold(f"name {name}"):
            return self._create_once(name, {"project": project}, doing)

    def update_project(
        self,
        project_id: str,
        *,
        history_retention_seconds: int | None = None,
        logical_replication: bool | None = None,
    ) -> ProjectSnapshot:
        """Change what is given. Logical replication cannot be switched off (facts.md 2)."""
        if logical_replication is False:
            raise ValueError("logical replication cannot be switched off")
        doing = Doing(f"project `{project_id}`", "updated")
        change: dict[str, Any] = {}
        if history_retention_seconds is not None:
            change["history_retention_seconds"] = history_retention_seconds
        if logical_replication:
            change["settings"] = {"enable_logical_replication": True}

        def look() -> ProjectSnapshot | None:
            now = self.get_project(project_id)
            kept = history_retention_seconds in (None, now.history_retention_seconds)
            return now if kept and (now.logical_replication or not logical_replication) else None

        def answer(body: Body | None) -> ProjectSnapshot:
            return responses.project((body or {})["project"])

        path = f"/projects/{project_id}"
        return self._change(project_id, Change(doing, "PATCH", path, answer, look, {"project": change}))

    # --- listing --------------------------------------------------------------------------------------------

    def _named(self, name: str, doing: Doing) -> dict[str, Body]:
        found: dict[str, Body] = {}
        for page in self._project_pages(name, doing):
            with reading(doing):
                found |= {item["id"]: item for item in items(page, "projects") if item["name"] == name}
        return found

    def _project_pages(self, name: str, doing: Doing) -> Iterator[Body]:
        params: dict[str, str | int | bool] = {"limit": _PAGE, "search": name}
        if org_id := self.organization():
            params["org_id"] = org_id
        seen: set[str] = set()
        while True:
            page = self._project_page(params, doing)
            yield page
            with reading(doing):
                cursor = responses.cursor(page, "cursor")
                full = len(list(items(page, "projects"))) >= _PAGE
            if not cursor or not full or cursor in seen:
                return
            seen.add(cursor)
            params["cursor"] = cursor

    def _project_page(self, params: Parameters, doing: Doing) -> Body:
        page = self._transport.get("/projects", doing, params)
        if unavailable := page.get("unavailable_project_ids"):
            raise failures.TemporaryServiceError(
                "NEON_PARTIAL_LIST",
                f"{doing}: Neon could not look into {len(unavailable)} of the projects",
                hint="run the same command again; nothing may be concluded from an incomplete list",
                details={"unavailable_project_ids": list(unavailable)},
            )
        return page

    def _whole(self, item: Body, doing: Doing) -> ProjectSnapshot:
        """A list item may leave out what planning needs; then the project itself is read."""
        if "settings" not in item or "history_retention_seconds" not in item:
            return self.get_project(item["id"])
        with reading(doing):
            return responses.project(item)

    # --- creating once --------------------------------------------------------------------------------------

    def _create_once(self, name: str, body: Body, doing: Doing) -> ProjectSnapshot:
        self._refuse_second(self.find_projects(name), doing)
        deadline = self._transport.clock() + self._transport.patience.failing
        pauses = self._operations.pauses(doing, "the project to appear")
        alone = True
        while True:
            try:
                created = self._transport.send("POST", "/projects", doing, body)
            except LostAnswerError as lost:
                failure, alone = lost.failure, False
            else:
                return self._created(name, created, doing, alone=alone)
            if found := self._appeared(name, doing, pauses):
                return found
            if self._transport.clock() > deadline:
                raise failure

    def _created(self, name: str, created: Body | None, doing: Doing, *, alone: bool) -> ProjectSnapshot:
        with reading(doing):
            project = responses.project((created or {})["project"])
        self._operations.finish(project.id, created, doing)
        if alone:
            self._settle_race(project.id, name, doing)
        else:  # an earlier try, given up as lost, may have arrived after all
            self._the_only(self.find_projects(name), doing)
        return project

    def _settle_race(self, project_id: str, name: str, doing: Doing) -> None:
        """Of runs that made a project of one name at the same time, all but the earliest take theirs back.

        Neon allows several of one name (facts.md 2), so nothing else keeps two runs from making two banks. What is
        deleted was made by this very call, and nobody else has been told of it.
        """
        pauses = self._operations.pauses(doing, "another run to take its project of that name back")
        for _ in range(_RIVAL_LOOKS):
            found = self._named(name, doing)
            if found.keys() <= {project_id}:
                return
            with reading(doing):
                first = min(found, key=lambda each: (found[each]["created_at"], each))
            if first != project_id:
                break
            next(pauses)
        else:
            self._the_only(self.find_projects(name), doing)
            return
        taken_back = Doing(f"project `{name}` ({project_id})", "taken back")
        self._delete(
            project_id, taken_back, f"/projects/{project_id}", lambda: project_id not in self._named(name, doing)
        )
        raise RetryableError(
            "NEON_PROJECT_RACE",
            f"{doing}: another run made it at the same moment ({first}); this run's own was taken back",
            hint="run the same command again",
            details={"project_id": first},
        )

    def _appeared(self, name: str, doing: Doing, pauses: Iterator[None]) -> ProjectSnapshot | None:
        """Look for what a lost answer may have made; several times, for it may still be on its way."""
        for _ in range(4):
            if found := self.find_projects(name):
                project = self._the_only(found, doing)
                self._operations.settle(project.id, doing)
                return project
            next(pauses)
        return None

    def _refuse_second(self, found: tuple[ProjectSnapshot, ...], doing: Doing) -> None:
        """Who asks for a project saw none: it was made since. Nothing has been changed yet."""
        if found:
            ids = [project.id for project in found]
            raise RetryableError(
                "NEON_PROJECT_RACE",
                f"{doing}: another run made it since this one looked ({', '.join(ids)})",
                hint="run the same command again: it takes up the project that is there",
                details={"project_ids": ids},
            )

    def _the_only(self, found: tuple[ProjectSnapshot, ...], doing: Doing) -> ProjectSnapshot:
        if len(found) == 1:
            return found[0]
        raise ServiceError(
            "NEON_AMBIGUOUS",
            f"{doing}: there are {len(found)} of that name now ({', '.join(p.id for p in found)})",
            hint="delete the empty one in Neon's console, then run the same command again",
            details={"project_ids": [p.id for p in found]},
        )
