"""What the YAML says, as frozen models. Shapes only: reading files and judging them live beside this.

``platform.yaml`` holds what every environment shares, ``environments/<name>.yaml`` what each has of its own.
A field left out (``None``) is unmanaged: it is neither compared nor changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

RoleKind = Literal["app_user", "migrate_user", "readonly", "resolution_officer"]
TablePrivilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
SequencePrivilege = Literal["USAGE", "SELECT", "UPDATE"]
State = Literal["present", "absent"]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
Seconds = Annotated[int, Field(ge=0)]

ROLE_KINDS: tuple[RoleKind, ...] = ("app_user", "migrate_user", "readonly", "resolution_officer")


class Model(BaseModel):
    """Frozen, without unknown keys, and without input values in its error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ResidencySpec(Model):
    """Where customer data may live (MOD-103 "Data residency")."""

    allowed_regions: tuple[str, ...] = Field(min_length=1, description="Regions that the residency policy allows")


class NeonSpec(Model):
    """How the Neon API is reached, and what the Neon plan in use allows."""

    api_key_secret: str | None = Field(default=None, description="Secrets Manager secret that holds the API key")
    max_branches: int | None = Field(default=None, ge=1, description="Branches that the Neon plan allows per project")
    max_root_branches: int | None = Field(default=None, ge=1, description="Root branches that the Neon plan allows")
    max_protected_branches: int | None = Field(
        default=None, ge=0, description="Protected branches that the plan allows"
    )


class ProjectSpec(Model):
    """The one Neon project. Region and Postgres version cannot change once it exists."""

    name: str = Field(min_length=1, max_length=256)
    region: str
    postgres_version: int = Field(ge=16, le=19, description="16 or later: older ones refuse REPLICATION by SQL")
    owner_role: Identifier = Field(default="bank_owner", description="The only role made through Neon's API")
    history_retention_seconds: int | None = Field(default=None, ge=0, le=2_592_000)
    logical_replication: bool | None = Field(None, description="wal_level=logical; cannot be switched off again")


class MigrationSettings(Model):
    """How migrations are recorded."""

    undo_record: Literal["DELETE", "UNDO_SQL"] = Field(
        default="DELETE",
        description="How an undo stands in flyway_schema_history: DELETE, which open-source Flyway 7 and later "
        "understands, or UNDO_SQL, which only its paid edition does",
    )


class AuditSpec(Model):
    """Where the audit line of each mutation and reveal goes."""

    sink: str = Field(default="file:.neonctl/audit.jsonl", description="file:PATH or stderr")


class DefaultPrivileges(Model):
    """What a role gets on objects that migrations will make."""

    tables: tuple[TablePrivilege, ...] = ()
    sequences: tuple[SequencePrivilege, ...] = ()
    functions: tuple[Literal["EXECUTE"], ...] = ()


class RoleSpec(Model):
    """One kind of role; its name in a database is ``{database}_{kind}``."""

    schemas: tuple[Literal["USAGE", "CREATE"], ...] = ("USAGE",)
    default_privileges: DefaultPrivileges = DefaultPrivileges()


class ColumnGrantSpec(Model):
    """A role sees these columns of a table and no others (PRI-001)."""

    role: RoleKind
    table: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
    privilege: Literal["SELECT", "INSERT", "UPDATE"] = "SELECT"
    columns: tuple[Identifier, ...] = Field(min_length=1)


class DatabaseSpec(Model):
    """One database: its schemas, its roles and what each role may do."""

    system: str | None = Field(default=None, description="The system domain that owns it, for example SD01")
    schemas: tuple[Identifier, ...] = Field(min_length=1)
    roles: Mapping[RoleKind, RoleSpec]
    column_grants: tuple[ColumnGrantSpec, ...] = ()
    parameters: Mapping[str, str] = Field(
        default_factory=dict, description="SSM: path below /bank/{stage} → value, for example a table's name"
    )
    state: State = "present"


class PlatformSpec(Model):
    """``platform.yaml``."""

    project: ProjectSpec
    residency: ResidencySpec
    neon: NeonSpec = NeonSpec()
    audit: AuditSpec = AuditSpec()
    migrations: MigrationSettings = MigrationSettings()
    databases: Mapping[Identifier, DatabaseSpec] = Field(min_length=1)


class BranchSpec(Model):
    """The branch of an environment. Exactly one environment is the default branch: the one with real data."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    default: bool = False
    protected: bool | None = None
    source: EnvironmentName | None = Field(default=None, description="The environment whose schema it starts from")
    init: Literal["schema-only", "parent-data"] | None = Field(
        None, description="schema-only: no rows come along; parent-data: a full copy"
    )


class ComputeSpec(Model):
    """The compute of an environment (Neon's units: 1 CU is about 4 GB)."""

    min_cu: float = Field(ge=0.25, le=56)
    max_cu: float = Field(ge=0.25, le=56)
    suspend_timeout_seconds: int | None = Field(None, ge=-1, le=604_800, description="0: Neon's default, -1: never")


class PoolingSpec(Model):
    """Capacity that the environment needs. Neon's pooler cannot be set: the plan proves that the compute gives it."""

    pool_size: int = Field(ge=1, description="Server connections per database and role that are needed")
    client_connections: int = Field(ge=1, description="Client connections to the pooler that are needed")


class RoleLimits(Model):
    """Limits of one kind of role in one environment. Seconds; 0 is "no limit" for a timeout."""

    connection_limit: int | None = Field(default=None, ge=-1)
    statement_timeout_seconds: Seconds | None = None
    lock_timeout_seconds: Seconds | None = None
    idle_in_transaction_timeout_seconds: Seconds | None = None


class AwsSpec(Model):
    """The AWS account of an environment: any other account is refused."""

    account_id: AccountId
    region: str
    role_arn: str | None = Field(default=None, description="Role to assume in that account")
    plan_role_arn: str | None = Field(
        default=None,
        description="Role to assume instead by what reads names and states only (plan, drift, secrets list); "
        "it needs no right to change anything or to read a secret's value",
    )
    kms_key_id: str | None = Field(default=None, description="Key for the secrets; unset: AWS's own")
    recovery_window_days: int = Field(default=30, ge=7, le=30)
    tags: Mapping[str, str] = Field(default_factory=dict)


class MigrationPolicy(Model):
    """What must be on record before migrations run here."""

    promoted_from: EnvironmentName | None = Field(default=None, description="Versions must be applied there first")
    require_proof: bool = Field(default=False, description="A proof of exactly these files must be on record")
    require_rehearsal: bool = Field(default=False, description="A fresh rehearsal must be on record")
    rehearsal_max_age_hours: int = Field(default=24, ge=1, description="How long a rehearsal counts")
    max_lock_seconds: float | None = Field(
        default=None, gt=0, description="Longest that a rehearsed migration may block others on an existing table"
    )


class PreviewPolicy(Model):
    """Preview branches ``pr-N`` (only in ``preview.yaml``)."""

    ttl_seconds: int = Field(default=604_800, ge=3_600, le=2_592_000)


class ResolutionSpec(Model):
    """Open Bank Resolution in one environment."""

    status_key_id: str | None = Field(
        default=None,
        description="KMS key (ECC_NIST_P256, SIGN_VERIFY) that signs status, exports and drill reports; "
        "unset: a key file given with --key, on the embedded platform one made there",
    )


class EnvironmentSpec(Model):
    """``environments/<name>.yaml``."""

    kind: Literal["persistent", "preview"] = "persistent"
    stage: EnvironmentName
    branch: BranchSpec
    compute: ComputeSpec
    pooling: PoolingSpec | None = None
    roles: Mapping[RoleKind, RoleLimits] = Field(default_factory=dict[RoleKind, RoleLimits])
    cdc: bool = Field(default=False, description="Publications, and REPLICATION for readonly")
    production_data: bool = Field(False, description="Holds real customer data: it never flows to another environment")
    aws: AwsSpec
    migrations: MigrationPolicy = MigrationPolicy()
    resolution: ResolutionSpec = ResolutionSpec()
    preview: PreviewPolicy | None = None
    state: State = "present"


class Desired(Model):
    """The whole configuration. ``environments`` keeps the files' sorted order; preview is apart."""

    platform: PlatformSpec
    environments: Mapping[EnvironmentName, EnvironmentSpec]
    preview: EnvironmentSpec | None = None
    privileges: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Lines of db/<database>/privileges.txt, where there is such a file"
    )
    migrations: Mapping[str, tuple[MigrationRef, ...]] = Field(
        default_factory=dict, description="Versioned files of each database, in order"
    )
    repeatables: Mapping[str, Mapping[str, int]] = Field(
        default_factory=dict, description="Repeatable files of each database: script → checksum, in order"
    )


class MigrationRef(Model):
    """A migration file as far as planning needs it."""

    version: str
    script: str
    checksum: int


Desired.model_rebuild()


def role_name(database: str, kind: RoleKind) -> str:
    """Name of a role in every environment (MOD-103: the branch isolates, not the name)."""
    return f"{database}_{kind}"


def secret_name(stage: str, database: str, kind: RoleKind) -> str:
    """Name of the Secrets Manager secret of one role (product.md 4)."""
    return f"bank-neon/{stage}/{database}/{kind}"


def first_database(desired: Desired) -> str:
    """The database that is made together with the project."""
    return next(name for name, spec in desired.platform.databases.items() if spec.state == "present")
