"""What a plan is made of: frozen change objects that sort themselves and know how to be told.

``environment`` is "" for what belongs to the whole project. ``before`` and ``after`` are JSON-safe and hold no
secret. ``Stage`` is the order in which kinds are carried out; within a stage, changes are independent unless
their handler says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Literal

from neonctl.desired.model import RoleKind, role_name
from neonctl.plan.observed import Grant, RoleSnapshot

Action = Literal["create", "update", "delete", "report"]
Scalar = str | int | float | bool | None
Details = Mapping[str, object]


class Stage(IntEnum):
    """The order of work."""

    PROJECT = 0
    BRANCH = 1
    API = 2  # endpoints, the owner role and databases, through Neon's API
    ROLE = 3
    SCHEMA = 4
    GRANT = 5
    CREDENTIAL = 6
    PARAMETER = 7
    MIGRATION = 8
    FINISH = 9
    REPORT = 10


@dataclass(frozen=True, kw_only=True)
class Change:
    """Base of all changes."""

    environment: str = ""
    reason: str = ""

    verb: ClassVar[Action] = "update"
    kind: ClassVar[str] = ""
    stage: ClassVar[Stage] = Stage.REPORT

    @property
    def action(self) -> Action:
        """What is done: create, update, delete, or only report."""
        return self.verb

    @property
    def name(self) -> str:
        """The address below the environment."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Where it is: ``prod/bank_core/bank_core_app_user``; the project's own name for the project."""
        return f"{self.environment}/{self.name}" if self.environment else self.name

    @property
    def before(self) -> Details | None:
        """What is there now."""
        return None

    @property
    def after(self) -> Details | None:
        """What will be there."""
        return None

    @property
    def sort_key(self) -> tuple[int, str, str, str]:
        """Deterministic order of a plan."""
        return (self.stage, self.environment, self.kind, self.name + repr(self.after))

    def __lt__(self, other: Change) -> bool:
        return self.sort_key < other.sort_key


@dataclass(frozen=True)
class FieldChange:
    """One setting, before and after."""

    name: str
    before: Scalar
    after: Scalar


def _before(fields: tuple[FieldChange, ...]) -> Details:
    return {each.name: each.before for each in fields}


def _after(fields: tuple[FieldChange, ...]) -> Details:
    return {each.name: each.after for each in fields}


@dataclass(frozen=True)
class Compute:
    """Size of a compute as it is asked for."""

    min_cu: float
    max_cu: float
    suspend_timeout_seconds: int | None = None


# --- the project and its branches ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CreateProject(Change):
    """Make the project together with its default branch, that branch's compute, the owner role and one database."""

    project: str
    region: str
    postgres_version: int
    branch: str
    owner_role: str
    database: str
    logical_replication: bool | None
    history_retention_seconds: int | None
    compute: Compute
    default_environment: str

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "project"
    stage: ClassVar[Stage] = Stage.PROJECT

    @property
    def name(self) -> str:
        return self.project

    @property
    def after(self) -> Details:
        return {
            "region": self.region,
            "postgres_version": self.postgres_version,
            "default_branch": self.branch,
            "owner_role": self.owner_role,
            "logical_replication": self.logical_replication,
            "history_retention_seconds": self.history_retention_seconds,
        }


@dataclass(frozen=True, kw_only=True)
class UpdateProject(Change):
    """Change project settings."""

    project: str
    fields: tuple[FieldChange, ...]

    kind: ClassVar[str] = "project"
    stage: ClassVar[Stage] = Stage.PROJECT

    @property
    def name(self) -> str:
        return self.project

    @property
    def before(self) -> Details:
        return _before(self.fields)

    @property
    def after(self) -> Details:
        return _after(self.fields)


@dataclass(frozen=True, kw_only=True)
class CreateBranch(Change):
    """Make a branch with its compute. ``source`` is an environment; None only for the project's first branch."""

    branch: str
    source: str
    init: str
    protected: bool
    compute: Compute

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "branch"
    stage: ClassVar[Stage] = Stage.BRANCH

    @property
    def name(self) -> str:
        return self.branch

    @property
    def after(self) -> Details:
        return {
            "source": self.source,
            "init": self.init,
            "protected": self.protected,
            "min_cu": self.compute.min_cu,
            "max_cu": self.compute.max_cu,
        }


@dataclass(frozen=True, kw_only=True)
class UpdateBranch(Change):
    """Protect, unprotect or make default."""

    branch: str
    fields: tuple[FieldChange, ...]

    kind: ClassVar[str] = "branch"
    stage: ClassVar[Stage] = Stage.BRANCH

    @property
    def name(self) -> str:
        return self.branch

    @property
    def before(self) -> Details:
        return _before(self.fields)

    @property
    def after(self) -> Details:
        return _after(self.fields)


@dataclass(frozen=True, kw_only=True)
class DeleteBranch(Change):
    """Delete the branch of an environment that is ``state: absent``."""

    branch: str

    verb: ClassVar[Action] = "delete"
    kind: ClassVar[str] = "branch"
    stage: ClassVar[Stage] = Stage.BRANCH

    @property
    def name(self) -> str:
        return self.branch


@dataclass(frozen=True, kw_only=True)
class CreateEndpoint(Change):
    """Give a branch its read-write compute."""

    compute: Compute

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "endpoint"
    stage: ClassVar[Stage] = Stage.API

    @property
    def name(self) -> str:
        return "compute"

    @property
    def after(self) -> Details:
        return {"min_cu": self.compute.min_cu, "max_cu": self.compute.max_cu}


@dataclass(frozen=True, kw_only=True)
class UpdateEndpoint(Change):
    """Resize a compute, or change when it suspends."""

    fields: tuple[FieldChange, ...]
    compute: Compute

    kind: ClassVar[str] = "endpoint"
    stage: ClassVar[Stage] = Stage.API

    @property
    def name(self) -> str:
        return "compute"

    @property
    def before(self) -> Details:
        return _before(self.fields)

    @property
    def after(self) -> Details:
        return _after(self.fields)


@dataclass(frozen=True, kw_only=True)
class CreateOwnerRole(Change):
    """Make the one role that comes from Neon's API."""

    role: str

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "owner-role"
    stage: ClassVar[Stage] = Stage.API

    @property
    def name(self) -> str:
        return self.role


@dataclass(frozen=True, kw_only=True)
class CreateDatabase(Change):
    """Make a database, owned by the owner role."""

    database: str
    owner: str

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "database"
    stage: ClassVar[Stage] = Stage.API

    @property
    def name(self) -> str:
        return self.database

    @property
    def after(self) -> Details:
        return {"owner": self.owner}


@dataclass(frozen=True, kw_only=True)
class RebuildDatabase(Change):
    """Drop and make anew a database that came as a schema-only copy, so that migrations alone build it."""

    database: str
    owner: str

    kind: ClassVar[str] = "database"
    stage: ClassVar[Stage] = Stage.API

    @property
    def name(self) -> str:
        return self.database

    @property
    def after(self) -> Details:
        return {"contents": "empty, built by its migrations"}


@dataclass(frozen=True, kw_only=True)
class DropDatabase(Change):
    """Drop a database that is ``state: absent``."""

    database: str

    verb: ClassVar[Action] = "delete"
    kind: ClassVar[str] = "database"
    stage: ClassVar[Stage] = Stage.API

    @property
    def name(self) -> str:
        return self.database


# --- inside Postgres ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CreateRole(Change):
    """Make a login role by SQL, without a password yet."""

    database: str
    role: RoleSnapshot

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "role"
    stage: ClassVar[Stage] = Stage.ROLE

    @property
    def name(self) -> str:
        return f"{self.database}/{self.role.name}"

    @property
    def after(self) -> Details:
        return {
            "login": self.role.login,
            "replication": self.role.replication,
            "connection_limit": self.role.connection_limit,
            **dict(sorted(self.role.settings.items())),
        }


@dataclass(frozen=True, kw_only=True)
class UpdateRole(Change):
    """Bring a role's attributes and settings to what the YAML says. ``wanted`` is the whole role."""

    database: str
    wanted: RoleSnapshot
    fields: tuple[FieldChange, ...]

    kind: ClassVar[str] = "role"
    stage: ClassVar[Stage] = Stage.ROLE

    @property
    def name(self) -> str:
        return f"{self.database}/{self.wanted.name}"

    @property
    def before(self) -> Details:
        return _before(self.fields)

    @property
    def after(self) -> Details:
        return _after(self.fields)


@dataclass(frozen=True, kw_only=True)
class GrantMembership(Change):
    """Make ``member`` a member of ``role``, inheriting."""

    role: str
    member: str

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "membership"
    stage: ClassVar[Stage] = Stage.ROLE

    @property
    def name(self) -> str:
        return f"{self.member} in {self.role}"


@dataclass(frozen=True, kw_only=True)
class RevokeMembership(Change):
    """Take a membership back that the YAML does not give."""

    role: str
    member: str

    verb: ClassVar[Action] = "update"
    kind: ClassVar[str] = "membership"
    stage: ClassVar[Stage] = Stage.ROLE

    @property
    def name(self) -> str:
        return f"{self.member} in {self.role}"

    @property
    def before(self) -> Details:
        return {"member": True}

    @property
    def after(self) -> Details:
        return {"member": False}


@dataclass(frozen=True, kw_only=True)
class CreateSchema(Change):
    """Make a schema, owned by the migration role."""

    database: str
    schema: str
    owner: str

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "schema"
    stage: ClassVar[Stage] = Stage.SCHEMA

    @property
    def name(self) -> str:
        return f"{self.database}/{self.schema}"

    @property
    def after(self) -> Details:
        return {"owner": self.owner}


@dataclass(frozen=True, kw_only=True)
class UpdateSchemaOwner(Change):
    """Give a schema to the migration role."""

    database: str
    schema: str
    owner_before: str
    owner: str

    kind: ClassVar[str] = "schema"
    stage: ClassVar[Stage] = Stage.SCHEMA

    @property
    def name(self) -> str:
        return f"{self.database}/{self.schema}"

    @property
    def before(self) -> Details:
        return {"owner": self.owner_before}

    @property
    def after(self) -> Details:
        return {"owner": self.owner}


@dataclass(frozen=True, kw_only=True)
class ClaimDatabase(Change):
    """Write on the database which branch it was built for: from then on it is never rebuilt."""

    database: str

    kind: ClassVar[str] = "database-mark"
    stage: ClassVar[Stage] = Stage.SCHEMA

    @property
    def name(self) -> str:
        return self.database


@dataclass(frozen=True, kw_only=True)
class GrantPrivileges(Change):
    """Give one grantee the privileges that it lacks in one database."""

    database: str
    grantee: str
    grants: tuple[Grant, ...]

    verb: ClassVar[Action] = "create"
    kind: ClassVar[str] = "grant"
    stage: ClassVar[Stage] = Stage.GRANT

    @property
    def name(self) -> str:
        return f"{self.database}/{self.grantee}"

    @property
    def after(self) -> Details:
        return {"privileges": [describe(each) for each in self.grants]}


@dataclass(frozen=True, kw_only=True)
class RevokePrivileges(Change):
    """Take privileges back that are not wanted."""

    database: str
    grantee: str
    grants: tuple[Grant, ...]

    kind: ClassVar[str] = "grant"
    stage: ClassVar[Stage] = Stage.GRANT

    @property
    def name(self) -> str:
        return f"{self.database}/{self.grantee}"

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


# --- credentials and parameters -----------------------------------------------------------------------------

CredentialWork = Literal["create", "replace", "repair", "readdress", "restore"]


@dataclass(frozen=True, kw_only=True)
class StoreSecret(Change):
    """Bring a role's password and its secret together.

    ``create``: there is no secret yet; ``replace``: the password came along from another branch; ``repair``: an
    earlier run was cut off; ``readdress``: same password, new host; ``restore``: the secret was scheduled for
    deletion.
    """

    database: str
    role_kind: RoleKind
    secret: str
    work: CredentialWork

    kind: ClassVar[str] = "secret"
    stage: ClassVar[Stage] = Stage.CREDENTIAL

    @property
    def action(self) -> Action:
        return "create" if self.work == "create" else "update"

    @property
    def name(self) -> str:
        return f"{self.database}/{role_name(self.database, self.role_kind)}"

    @property
    def after(self) -> Details:
        password = "unchanged" if self.work == "readdress" else "(generated, not shown)"
        return {"secret": self.secret, "password": password, "work": self.work}


@dataclass(frozen=True, kw_only=True)
class UpdateSecretMetadata(Change):
    """Bring a secret's tags or key to what the YAML says; no new version."""

    database: str
    role_kind: RoleKind
    secret: str
    fields: tuple[FieldChange, ...]

    kind: ClassVar[str] = "secret-metadata"
    stage: ClassVar[Stage] = Stage.CREDENTIAL

    @property
    def name(self) -> str:
        return f"{self.database}/{role_name(self.database, self.role_kind)}"

    @property
    def before(self) -> Details:
        return _before(self.fields)

    @property
    def after(self) -> Details:
        return _after(self.fields)


@dataclass(frozen=True, kw_only=True)
class PutParameter(Change):
    """Write an SSM parameter. ``value`` None: known only after apply."""

    parameter: str
    old: str | None
    value: str | None

    kind: ClassVar[str] = "parameter"
    stage: ClassVar[Stage] = Stage.PARAMETER

    @property
    def action(self) -> Action:
        return "create" if self.old is None else "update"

    @property
    def name(self) -> str:
        return self.parameter.lstrip("/")

    @property
    def before(self) -> Details | None:
        return None if self.old is None else {"value": self.old}

    @property
    def after(self) -> Details:
        return {"value": "(known after apply)" if self.value is None else self.value}


# --- migrations and what needs tables -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunMigrations(Change):
    """Apply pending versions, then finish what needs tables: publication, column grants, table privileges."""

    database: str
    versions: tuple[str, ...]

    kind: ClassVar[str] = "migration"
    stage: ClassVar[Stage] = Stage.MIGRATION

    @property
    def name(self) -> str:
        return self.database

    @property
    def after(self) -> Details:
        return {"versions": list(self.versions)}


@dataclass(frozen=True, kw_only=True)
class SetPublication(Change):
    """Bring the CDC publication of a database to its tables."""

    database: str
    publication: str
    owner: str
    old_tables: tuple[str, ...] | None
    tables: tuple[str, ...]

    kind: ClassVar[str] = "publication"
    stage: ClassVar[Stage] = Stage.FINISH

    @property
    def action(self) -> Action:
        return "create" if self.old_tables is None else "update"

    @property
    def name(self) -> str:
        return f"{self.database}/{self.publication}"

    @property
    def before(self) -> Details | None:
        return None if self.old_tables is None else {"tables": list(self.old_tables)}

    @property
    def after(self) -> Details:
        return {"tables": list(self.tables)}


@dataclass(frozen=True, kw_only=True)
class Report(Change):
    """Something that exists and is not declared: said, and left alone."""

    subject: str
    found: Details = field(default_factory=dict[str, object])

    verb: ClassVar[Action] = "report"
    kind: ClassVar[str] = "unmanaged"
    stage: ClassVar[Stage] = Stage.REPORT

    @property
    def name(self) -> str:
        return self.subject

    @property
    def before(self) -> Details | None:
        return self.found or None


AnyChange = (
    CreateProject
    | UpdateProject
    | CreateBranch
    | UpdateBranch
    | DeleteBranch
    | CreateEndpoint
    | UpdateEndpoint
    | CreateOwnerRole
    | CreateDatabase
    | RebuildDatabase
    | DropDatabase
    | CreateRole
    | UpdateRole
    | GrantMembership
    | RevokeMembership
    | CreateSchema
    | UpdateSchemaOwner
    | ClaimDatabase
    | GrantPrivileges
    | RevokePrivileges
    | StoreSecret
    | UpdateSecretMetadata
    | PutParameter
    | RunMigrations
    | SetPublication
    | Report
)
