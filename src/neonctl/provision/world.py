"""What apply has learned so far: ids and ways in, found by observation or made on the way. Safe between threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from neonctl.errors import ServiceError
from neonctl.plan.observed import Addresses, BranchSnapshot, Observed, ProjectSnapshot
from neonctl.provision.observe import addresses_of, branch_named, find_project, owner_access

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.provision.services import OwnerAccess, Services


class World:
    """The project and branches under work. Each is looked up once; a lookup that finds nothing is an error."""

    def __init__(self, desired: Desired, observed: Observed, services: Services) -> None:
        self._desired = desired
        self._services = services
        self._lock = threading.RLock()
        self._project = observed.project
        self._branches: dict[str, BranchSnapshot] = {
            name: snapshot.branch for name, snapshot in observed.environments.items() if snapshot.branch
        }
        self._databases: dict[str, set[str]] = {
            name: set(snapshot.api_databases) for name, snapshot in observed.environments.items() if snapshot.branch
        }
        self._access: dict[str, OwnerAccess] = {}
        self._asking: dict[str, threading.Lock] = {}

    def set_project(self, project: ProjectSnapshot) -> None:
        """Remember the project that was just made."""
        with self._lock:
            self._project = project

    def set_branch(self, environment: str, branch: BranchSnapshot) -> None:
        """Remember a branch that was just made."""
        with self._lock:
            self._branches[environment] = branch

    @property
    def project(self) -> ProjectSnapshot:
        """The project."""
        with self._lock:
            if self._project is None:
                self._project = find_project(self._desired, self._services)
            if self._project is None:
                raise _vanished("project", self._desired.platform.project.name)
            return self._project

    def branch(self, environment: str) -> BranchSnapshot:
        """The branch of an environment."""
        with self._lock:
            if environment not in self._branches:
                name = self._desired.environments[environment].branch.name
                found = branch_named(name, self._services.neon.list_branches(self.project.id))
                if found is None:
                    raise _vanished("branch", name)
                self._branches[environment] = found
            return self._branches[environment]

    def access(self, environment: str) -> OwnerAccess:
        """How the owner role logs in to the branch of an environment."""
        with self._lock:
            asking = self._asking.setdefault(environment, threading.Lock())
        with asking:  # of several threads one asks, the others wait for its answer
            if environment not in self._access:
                branch = self.branch(environment)
                found = owner_access(self._desired, self._services, self.project.id, branch.id)
                if found is None:
                    raise _vanished("owner role or first database of branch", branch.name)
                self._access[environment] = found
            return self._access[environment]

    def forget_access(self, environment: str) -> None:
        """The owner role has another password now: the next one who needs it asks again."""
        with self._lock:
            self._access.pop(environment, None)
        self._services.forget_way(self.branch(environment).id)

    def databases(self, environment: str) -> frozenset[str]:
        """The databases of a branch, those included that it brought along from its source."""
        branch, project = self.branch(environment), self.project
        with self._lock:
            if environment not in self._databases:
                self._databases[environment] = set(self._services.neon.list_databases(project.id, branch.id))
            return frozenset(self._databases[environment])

    def add_database(self, environment: str, name: str, *, first: bool = False) -> None:
        """Remember a database that was just made; ``first``: the only one of a branch that is new with it."""
        with self._lock:
            if first:
                self._databases[environment] = set()
            self._databases[environment].add(name)

    def addresses(self, environment: str) -> Addresses:
        """Where the compute of an environment answers."""
        return addresses_of(self.access(environment), self._services)


def _vanished(what: str, name: str) -> ServiceError:
    return ServiceError(
        "NEON_NOT_FOUND",
        f"{what} {name} is not there, although it was planned on",
        hint="somebody else may be changing this project; run the command again",
    )
