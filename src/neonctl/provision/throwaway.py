"""Throw-away branches: an instant copy of an environment, with passwords of its own, for one proof,
rehearsal or drill.

A copy of production is production data. So nobody's old password opens it, it is on record, it is as small as its
environment allows, and it is deleted whichever way the run ends; after a ``kill -9``, Neon deletes it when its time
is over, or the next run does.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from neonctl.desired.model import Desired, role_name
from neonctl.errors import NeonctlError, ServiceError, UnsafePlanError
from neonctl.neon.responses import USABLE, Compute
from neonctl.plan.diff_project import first_database
from neonctl.plan.ownership import Purpose, is_left_over, throwaway_annotations
from neonctl.postgres.inspect import read_cluster
from neonctl.postgres.roles import set_passwords
from neonctl.provision.interruption import Interruption
from neonctl.provision.observe import branch_named, find_project
from neonctl.provision.progress import Event, Progress
from neonctl.provision.services import OwnerAccess
from neonctl.vault.password import generate_password

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.desired.model import RoleKind
    from neonctl.plan.observed import Address, BranchSnapshot, RoleSnapshot
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.services import Services
    from neonctl.secret import Secret

LIFETIME: Final = timedelta(hours=1)
_PREFIX: Final[Mapping[Purpose, str]] = {"proof": "prove", "rehearsal": "rehearse", "drill": "drill"}


class ThrowawayBranch:
    """The branch while it lives. ``login`` may be used by many threads."""

    def __init__(self, name: str, environment: str, services: Services) -> None:
        self.name = name
        self.environment = environment
        self.branch_id = ""  # until it is made
        self._services = services
        self._address: Address | None = None
        self._passwords: Mapping[str, Secret] = {}
        self._open: set[psycopg.Connection[TupleRow]] = set()
        self._lock = threading.RLock()  # of the main thread too when a signal comes in the middle
        self._ended = False

    @contextmanager
    def login(self, database: str, kind: RoleKind = "migrate_user") -> Generator[psycopg.Connection[TupleRow]]:
        """A direct connection as ``{database}_{kind}``, in autocommit, closed at the end of the block.

        ``kind`` is one of those that the branch was asked for. Raises ``KeyboardInterrupt`` once the run was
        interrupted, and what connecting raises.
        """
        role = role_name(database, kind)
        assert self._address is not None, "logins are there once the branch is"
        with self._services.login(self._address, database, role, self._passwords[role], fresh=True) as connection:
            with self._lock:
                if self._ended:
                    raise KeyboardInterrupt
                self._open.add(connection)
            try:
                yield connection
            finally:
                with self._lock:
                    self._open.discard(connection)

    def ready(self, branch_id: str, address: Address, passwords: Mapping[str, Secret]) -> None:
        """The branch takes logins from here on. ``passwords``: by role, of those asked for."""
        self.branch_id, self._address, self._passwords = branch_id, address, passwords

    def cut(self) -> None:
        """End every connection, whatever it waits for: the branch goes, so nothing on it needs a tidy end."""
        with self._lock:
            self._ended = True
            for connection in self._open:
                # Not close(): another thread is reading from it. With its socket shut, that thread gets an error.
                with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as same:
                    same.shutdown(socket.SHUT_RDWR)


@contextmanager
def throwaway_branch(
    desired: Desired,
    services: Services,
    *,
    environment: str,
    purpose: Purpose,
    databases: Sequence[str],
    progress: Progress,
    now: datetime,
    audit: AuditLog | None = None,
    lifetime: timedelta = LIFETIME,
    kinds: Sequence[RoleKind] = ("migrate_user",),
) -> Generator[ThrowawayBranch]:
    """A copy of an environment's branch for the length of a block, with ``login`` to each of ``databases``.

    Every role that may log in gets a new random password there; those of ``kinds`` this process alone knows, the
    others nobody. Call it from the main
    thread: Ctrl-C, SIGTERM and SIGHUP then end connections and block at once, and the branch is deleted first.
    ``lifetime`` (30 days at most, Neon's limit) bounds how long it lives when this process is killed; a run that may
    take longer must ask for more, since Neon then deletes the branch under it.

    Raises ``NeonctlError`` NOT_PROVISIONED when environment or roles are not there, ``UnsafePlanError``
    THROWAWAY_REFUSED for a branch that must not be copied for this purpose, PLAN_LIMIT without room,
    ``ServiceError`` THROWAWAY_LEFT when the branch could not be deleted, and what Neon and Postgres raise.
    """
    site = _Site(desired, services, environment, purpose, progress, audit)
    branch = ThrowawayBranch(f"{_PREFIX[purpose]}-{environment}-{secrets.token_hex(4)}", environment, services)
    source = site.source(now)
    logins = [role_name(database, kind) for database in databases for kind in kinds]
    failure: BaseException | None = None
    with Interruption(branch.cut) as interruption:
        # Three layers, since a signal may come between any two steps: it is raised once, so one of them tidies up.
        try:
            try:
                site.make(branch, source, logins, interruption, until=now + lifetime)
                interruption.work()
                yield branch
            except BaseException as error:
                failure = error
                raise
            finally:
                interruption.tidy()
        finally:
            interruption.tidy()
            site.delete(branch, failure)


class _Site:
    """One environment of which a throw-away branch is made."""

    def __init__(
        self,
        desired: Desired,
        services: Services,
        environment: str,
        purpose: Purpose,
        progress: Progress,
        audit: AuditLog | None,
    ) -> None:
        self._desired = desired
        self._services = services
        self._environment = environment
        self._spec = desired.environments[environment]
        self._purpose: Purpose = purpose
        self._progress = progress
        self._audit = audit
        self._project_id = ""

    def source(self, now: datetime) -> BranchSnapshot:
        """The branch to copy, once leftovers are gone, what must not be copied is refused, and there is room."""
        project = find_project(self._desired, self._services)
        branches = self._services.neon.list_branches(project.id) if project else ()
        source = branch_named(self._spec.branch.name, branches)
        if project is None or source is None:
            raise NeonctlError(
                "NOT_PROVISIONED", f"{self._environment} does not exist yet", hint="run `neonctl apply` first"
            )
        self._project_id = project.id
        self._refuse(source)
        # What cannot be deleted now is tried again by the next run.
        swept = [branch for branch in branches if is_left_over(branch, now) and not self._left(branch.name, branch.id)]
        count, limit = len(branches) - len(swept), self._desired.platform.neon.max_branches
        if limit is not None and count + 1 > limit:
            raise UnsafePlanError(
                "PLAN_LIMIT",
                f"there is no room for a throw-away branch: the project has {count} branches, "
                f"the Neon plan allows {limit}",
                hint="delete branches that are no longer needed, or raise the limit in platform.yaml after upgrading",
            )
        if source.state not in USABLE:
            return self._services.neon.wait_for_branch(project.id, source.id)
        return source

    def _refuse(self, source: BranchSnapshot) -> None:
        if source.expires_at is not None:
            raise UnsafePlanError(
                "THROWAWAY_REFUSED",
                f"branch {source.name} expires: Neon makes no branch of it",
                hint="use a persistent environment, dev for example",
            )
        if self._purpose == "proof" and self._spec.production_data:
            raise UnsafePlanError(
                "THROWAWAY_REFUSED",
                f"a proof needs no production data, and {self._environment} holds it",
                hint="prove on a lower environment; `migrate rehearse` is what runs on a copy of production",
            )

    def make(
        self,
        branch: ThrowawayBranch,
        source: BranchSnapshot,
        logins: Sequence[str],
        interruption: Interruption,
        *,
        until: datetime,
    ) -> None:
        """The branch with its compute and its own passwords. Between two steps it can be interrupted."""
        interruption.check()
        neon, owner = self._services.neon, self._desired.platform.project.owner_role
        self._tell(branch.name, "started")
        smallest = self._spec.compute.min_cu
        made = neon.create_branch(
            self._project_id,
            name=branch.name,
            source_id=source.id,
            expires_at=until,
            annotations=throwaway_annotations(self._environment, purpose=self._purpose, until=until),
            compute=Compute(smallest, smallest),
        )
        branch.branch_id = made.id
        self._record("create", branch.name, "done", {"purpose": self._purpose, "until": until.isoformat()})
        interruption.check()
        neon.reset_password(self._project_id, made.id, owner)
        database = first_database(self._desired)
        direct = neon.connection(self._project_id, made.id, database=database, role=owner, pooled=False)
        interruption.check()
        with self._services.connect_as_owner(OwnerAccess(direct, direct), database) as connection:
            roles = read_cluster(connection).roles
            missing = [role for role in logins if role not in roles or not roles[role].login]
            if missing:
                raise NeonctlError(
                    "NOT_PROVISIONED",
                    f"{', '.join(missing)} does not exist in {self._environment} yet",
                    hint="run `neonctl apply` first",
                )
            theirs = [name for name, role in roles.items() if role.login and name != owner]
            fresh = {name: generate_password() for name in theirs if not _of_the_api(roles[name])}
            set_passwords(connection, fresh)
        for name in sorted(set(theirs) - fresh.keys()):
            interruption.check()
            neon.reset_password(self._project_id, made.id, name)
        branch.ready(made.id, direct.address, {role: fresh[role] for role in logins})
        self._tell(branch.name, "done")

    def delete(self, branch: ThrowawayBranch, failure: BaseException | None) -> None:
        """Delete the branch if it is there. What goes wrong is noted on ``failure``, or raised if there is none."""
        left = self._left(branch.name, branch.branch_id)
        if left is not None and failure is None:
            raise left
        if left is not None and failure is not None:
            failure.add_note(left.message)

    def _left(self, name: str, branch_id: str) -> NeonctlError | None:
        """Delete a branch; None, or why it is left or not on record. Without an id it is looked for by its name."""
        neon = self._services.neon
        self._progress(Event(self._environment, f"deleting branch {name}", "started"))
        left: NeonctlError | None = None
        try:
            if not branch_id:  # its making failed, or it got through and the answer was lost
                neon.settle(self._project_id)
                found = branch_named(name, neon.list_branches(self._project_id))
                branch_id = found.id if found else ""
            if branch_id:
                neon.delete_branch(self._project_id, branch_id)
        except NeonctlError as error:
            left = ServiceError(
                "THROWAWAY_LEFT",
                f"branch {name} could not be deleted: {error.message}",
                hint="delete it by hand; otherwise Neon does when its time is over",
                details={"branch": name, "branch_id": branch_id, "code": error.code},
            )
        try:
            if branch_id:
                self._record("delete", name, "failed" if left else "done", {})
        except NeonctlError as unrecorded:
            return left or unrecorded
        if left is None:
            self._progress(Event(self._environment, f"deleting branch {name}", "done"))
        return left

    def _tell(self, name: str, state: str) -> None:
        text = f"branch {name}: a copy of {self._spec.branch.name}"
        self._progress(Event(self._environment, text, "done" if state == "done" else "started"))

    def _record(self, what: str, name: str, outcome: str, details: Mapping[str, str]) -> None:
        if self._audit is not None:
            self._audit.record(f"throwaway.{what}", f"{self._environment}/{name}", self._environment, outcome, details)


def _of_the_api(role: RoleSnapshot) -> bool:
    """A role that Neon's API made is nobody's to alter by SQL (facts.md 5)."""
    return "neon_superuser" in role.member_of
