"""Changes inside Postgres: roles, schemas and privileges."""

from __future__ import annotations

from neonctl.frozen import frozen
from neonctl.plan.changes.change import Change, Details, SettingsChange, Stage
from neonctl.plan.observed import Grant, RoleSnapshot


@frozen(kw_only=True)
class CreateRole(Change, kind="role", stage=Stage.ROLE, label="{self.database}/{self.role.name}", verb="create"):
    """Make a login role by SQL, without a password yet."""

    database: str
    role: RoleSnapshot

    @property
    def after(self) -> Details:
        return {
            "login": self.role.login,
            "replication": self.role.replication,
            "connection_limit": self.role.connection_limit,
            **dict(sorted(self.role.settings.items())),
        }


@frozen(kw_only=True)
class UpdateRole(SettingsChange, kind="role", stage=Stage.ROLE, label="{self.database}/{self.wanted.name}"):
    """Bring a role's attributes and settings to what the YAML says. ``wanted`` is the whole role.

    ``overridden``: databases in which settings that the YAML names have another value for this role.
    """

    database: str
    wanted: RoleSnapshot
    overridden: tuple[str, ...] = ()


@frozen(kw_only=True)
class GrantMembership(Change, kind="membership", stage=Stage.ROLE, label="{self.member} in {self.role}", verb="create"):
    """Make ``member`` a member of ``role``, inheriting."""

    role: str
    member: str


@frozen(kw_only=True)
class RevokeMembership(Change, kind="membership", stage=Stage.ROLE, label="{self.member} in {self.role}"):
    """Take a membership back that the YAML does not give."""

    role: str
    member: str

    @property
    def before(self) -> Details:
        return {"member": True}

    @property
    def after(self) -> Details:
        return {"member": False}


@frozen(kw_only=True)
class DropRole(Change, kind="role", stage=Stage.ROLE, label="{self.database}/{self.role}", verb="delete"):
    """Drop a role of a database that is ``state: absent``."""

    database: str
    role: str

    @property
    def goes_with(self) -> str:
        return self.database


@frozen(kw_only=True)
class CreateSchema(Change, kind="schema", stage=Stage.SCHEMA, label="{self.database}/{self.schema}", verb="create"):
    """Make a schema, owned by the migration role."""

    database: str
    schema: str
    owner: str

    @property
    def after(self) -> Details:
        return {"owner": self.owner}


@frozen(kw_only=True)
class UpdateSchemaOwner(Change, kind="schema", stage=Stage.SCHEMA, label="{self.database}/{self.schema}"):
    """Give a schema to the migration role."""

    database: str
    schema: str
    owner_before: str
    owner: str

    @property
    def before(self) -> Details:
        return {"owner": self.owner_before}

    @property
    def after(self) -> Details:
        return {"owner": self.owner}


@frozen(kw_only=True)
class ClaimDatabase(Change, kind="database-mark", stage=Stage.SCHEMA, label="{self.database}"):
    """Write on the database which branch it was built for: from then on it is never rebuilt."""

    database: str


@frozen(kw_only=True)
class GrantPrivileges(Change, kind="grant", stage=Stage.GRANT, label="{self.database}/{self.grantee}", verb="create"):
    """Give one grantee the privileges that it lacks in one database."""

    database: str
    grantee: str
    grants: tuple[Grant, ...]

    @property
    def after(self) -> Details:
        return {"privileges": [describe(each) for each in self.grants]}


@frozen(kw_only=True)
class RevokePrivileges(Change, kind="grant", stage=Stage.GRANT, label="{self.database}/{self.grantee}"):
    """Take privileges back that are not wanted."""

    database: str
    grantee: str
    grants: tuple[Grant, ...]

    @property
    def before(self) -> Details:
        return {"privileges": [describe(each) for each in self.grants]}

    @property
    def after(self) -> Details:
        return {"privileges": []}


def describe(grant: Grant) -> str:
    """One privilege in words: ``SELECT on table accounts.accounts``."""
    option = " (with grant option)" if grant.grantable else ""
    return f"{grant.privilege} on {grant.kind} {grant.object}{option}"
