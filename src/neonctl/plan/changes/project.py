"""Changes through Neon's API: the project, branches, computes and databases."""

from __future__ import annotations

from neonctl.frozen import frozen
from neonctl.plan.changes.change import Change, Details, SettingsChange, Stage


@frozen
class Compute:
    """Size of a compute as it is asked for."""

    min_cu: float
    max_cu: float
    suspend_timeout_seconds: int | None = None


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
