"""What a plan is made of: frozen change objects that sort themselves and know how to be told.

``environment`` is "" for what belongs to the whole project. ``before`` and ``after`` are JSON-safe and hold no
secret. ``Stage`` is the order in which kinds are carried out; within a stage, changes are independent unless
their handler says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import IntEnum
from typing import ClassVar, Literal

from neonctl.desired.model import RoleKind, role_name
from neonctl.frozen import frozen
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


@frozen(kw_only=True)
class Change:
    """Base of all changes. ``label`` is the address below the environment, filled in from the fields."""

    environment: str = ""
    reason: str = ""

    verb: ClassVar[Action]
    kind: ClassVar[str]
    stage: ClassVar[Stage]
    label: ClassVar[str]

    def __init_subclass__(
        cls,
        *,
        kind: str | None = None,
        stage: Stage = Stage.REPORT,
        label: str = "",
        verb: Action = "update",
    ) -> None:
        if kind is not None:  # a kind of its own; the intermediate bases have none
            cls.verb, cls.kind, cls.stage, cls.label = verb, kind, stage, label

    @property
    def action(self) -> Action:
        """What is done: create, update, delete, or only report."""
        return self.verb

    @property
    def name(self) -> str:
        """The address below the environment."""
        return self.label.format(self=self)

    @property
    def goes_with(self) -> str:
        """For a deletion: whose deletion it is part of, and which name therefore allows it."""
        return self.name

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


@frozen
class FieldChange:
    """One setting, before and after."""

    name: str
    before: Scalar
    after: Scalar


@frozen(kw_only=True)
class SettingsChange(Change):
    """Base of changes that are a list of settings."""

    fields: tuple[FieldChange, ...]

    @property
    def before(self) -> Details:
        return {each.name: each.before for each in self.fields}

    @property
    def after(self) -> Details:
        return {each.name: each.after for each in self.fields}


@frozen
class Compute:
    """Size of a compute as it is asked for."""

    min_cu: float
    max_cu: float
    suspend_timeout_seconds: int | None = None


# --- the project and its branches ---------------------------------------------------------------------------


@frozen(kw_only=True)
class CreateProject(Change, kind="project", stage=Stage.PROJECT, label="{self.project}", verb="create"):
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


@frozen(kw_only=True)
class UpdateProject(SettingsChange, kind="project", stage=Stage.PROJECT, label="{self.project}"):
    """Change project settings."""

    project: str


@frozen(kw_only=True)
class CreateBranch(Change, kind="branch", stage=Stage.BRANCH, label="{self.branch}", verb="create"):
    """Make a branch with its compute. ``source`` is an environment; None only for the project's first branch."""

    branch: str
    source: str
    init: str
    protected: bool
    compute: Compute

    @property
    def after(self) -> Details:
        return {
            "source": self.source,
            "init": self.init,
            "protected": self.protected,
            "min_cu": self.compute.min_cu,
            "max_cu": self.compute.max_cu,
        }


@frozen(kw_only=True)
class UpdateBranch(SettingsChange, kind="branch", stage=Stage.BRANCH, label="{self.branch}"):
    """Protect, unprotect or make default."""

    branch: str


@frozen(kw_only=True)
class DeleteBranch(Change, kind="branch", stage=Stage.BRANCH, label="{self.branch}", verb="delete"):
    """Delete the branch of an environment that is ``state: absent``."""

    branch: str


@frozen(kw_only=True)
class CreateEndpoint(Change, kind="endpoint", stage=Stage.API, label="compute", verb="create"):
    """Give a branch its read-write compute."""

    compute: Compute

    @property
    def after(self) -> Details:
        return {"min_cu": self.compute.min_cu, "max_cu": self.compute.max_cu}


@frozen(kw_only=True)
class UpdateEndpoint(SettingsChange, kind="endpoint", stage=Stage.API, label="compute"):
    """Resize a compute, or change when it suspends."""

    compute: Compute


@frozen(kw_only=True)
class CreateOwnerRole(Change, kind="owner-role", stage=Stage.API, label="{self.role}", verb="create"):
    """Make the one role that comes from Neon's API."""

    role: str


@frozen(kw_only=True)
class ReplaceInheritedPasswords(Change, kind="inherited-passwords", stage=Stage.API, label="inherited passwords"):
    """Give roles that no secret is kept for a password that their source does not know.

    ``of_the_api``: roles that Neon's API made, the owner first; ``by_sql``: others that may log in.
    """

    of_the_api: tuple[str, ...]
    by_sql: tuple[str, ...] = ()

    @property
    def after(self) -> Details:
        return {"roles": [*self.of_the_api, *self.by_sql]}


@frozen(kw_only=True)
class CreateDatabase(Change, kind="database", stage=Stage.API, label="{self.database}", verb="create"):
    """Make a database, owned by the owner role."""

    database: str
    owner: str

    @property
    def after(self) -> Details:
        return {"owner": self.owner}


@frozen(kw_only=True)
class RebuildDatabase(Change, kind="database", stage=Stage.API, label="{self.database}"):
    """Drop and make anew a database that came as a schema-only copy, so that migrations alone build it."""

    database: str
    owner: str

    @property
    def after(self) -> Details:
        return {"contents": "empty, built by its migrations"}


@frozen(kw_only=True)
class DropDatabase(Change, kind="database", stage=Stage.API, label="{self.database}", verb="delete"):
    """Drop a database that is ``state: absent``."""

    database: str


# --- inside Postgres ----------------------------------------------------------------------------------------


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


# --- credentials and parameters -----------------------------------------------------------------------------

CredentialWork = Literal["create", "replace", "repair", "readdress", "restore"]


@frozen(kw_only=True)
class StoreSecret(Change, kind="secret", stage=Stage.CREDENTIAL):
    """Bring a role's password and its secret together.

    ``create``: there is no secret yet; ``replace``: the password came along from another branch; ``repair``: an
    earlier run was cut off; ``readdress``: same password, new host; ``restore``: the secret was scheduled for
    deletion.
    """

    database: str
    role_kind: RoleKind
    secret: str
    work: CredentialWork

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


@frozen(kw_only=True)
class UpdateSecretMetadata(SettingsChange, kind="secret-metadata", stage=Stage.CREDENTIAL):
    """Bring a secret's tags or key to what the YAML says; no new version."""

    database: str
    role_kind: RoleKind
    secret: str

    @property
    def name(self) -> str:
        return f"{self.database}/{role_name(self.database, self.role_kind)}"


@frozen(kw_only=True)
class DeleteSecret(Change, kind="secret", stage=Stage.CREDENTIAL, label="{self.secret}", verb="delete"):
    """Schedule the secret of a role for deletion whose database or environment is ``state: absent``."""

    secret: str
    parent: str  # the branch or database that it goes with

    @property
    def goes_with(self) -> str:
        return self.parent


@frozen(kw_only=True)
class PutParameter(Change, kind="parameter", stage=Stage.PARAMETER):
    """Write an SSM parameter. ``value`` None: known only after apply."""

    parameter: str
    old: str | None
    value: str | None

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


@frozen(kw_only=True)
class DeleteParameter(Change, kind="parameter", stage=Stage.PARAMETER, label="{self.parameter}", verb="delete"):
    """Delete an SSM parameter of a database or environment that is ``state: absent``."""

    parameter: str
    parent: str

    @property
    def goes_with(self) -> str:
        return self.parent


# --- migrations and what needs tables -----------------------------------------------------------------------


@frozen(kw_only=True)
class RunMigrations(Change, kind="migration", stage=Stage.MIGRATION, label="{self.database}"):
    """Apply pending versions, then finish what needs tables: publication, column grants, table privileges."""

    database: str
    versions: tuple[str, ...]
    repeatables: tuple[str, ...] = ()  # scripts

    @property
    def after(self) -> Details:
        return {
            "versions": list(self.versions),
            **({"repeatables": list(self.repeatables)} if self.repeatables else {}),
        }


@frozen(kw_only=True)
class SetPublication(Change, kind="publication", stage=Stage.FINISH, label="{self.database}/{self.publication}"):
    """Bring the CDC publication of a database to its tables."""

    database: str
    publication: str
    owner: str
    old_tables: tuple[str, ...] | None
    tables: tuple[str, ...]
    was_whole: bool = True

    @property
    def action(self) -> Action:
        return "create" if self.old_tables is None else "update"

    @property
    def before(self) -> Details | None:
        if self.old_tables is None:
            return None
        return {"tables": list(self.old_tables), **({} if self.was_whole else {"publishes": "a part of the changes"})}

    @property
    def after(self) -> Details:
        return {"tables": list(self.tables), **({} if self.was_whole else {"publishes": "every change"})}


@frozen(kw_only=True)
class Report(Change, kind="unmanaged", stage=Stage.REPORT, label="{self.subject}", verb="report"):
    """Something that exists and is not declared: said, and left alone."""

    subject: str
    found: Details = field(default_factory=dict[str, object])

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
    | ReplaceInheritedPasswords
    | CreateDatabase
    | RebuildDatabase
    | DropDatabase
    | DropRole
    | DeleteSecret
    | DeleteParameter
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
