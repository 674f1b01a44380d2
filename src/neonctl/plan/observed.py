"""What is there, as far as planning needs it: frozen snapshots, no secrets, no I/O.

Adapters make these at the border; ``plan.diff`` compares them with the desired models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from neonctl.frozen import frozen

# --- Neon ---------------------------------------------------------------------------------------------------


@frozen
class ProjectSnapshot:
    """A Neon project."""

    id: str
    name: str
    region: str
    postgres_version: int
    history_retention_seconds: int
    logical_replication: bool
    store_passwords: bool = True


@frozen
class BranchSnapshot:
    """A Neon branch. ``annotations`` are the key/values given when it was made; they cannot change later."""

    id: str
    name: str
    parent_id: str | None
    default: bool
    protected: bool
    state: str  # init, resetting, ready, archived
    init_source: str | None = None
    expires_at: datetime | None = None
    ttl_seconds: int | None = None  # from the moment its expiry was set
    created_at: datetime | None = None
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


@frozen
class EndpointSnapshot:
    """The read-write compute of a branch. ``host`` is Neon's own; addresses to dial are in ``Addresses``."""

    id: str
    branch_id: str
    host: str
    min_cu: float
    max_cu: float
    suspend_timeout_seconds: int
    type: str = "read_write"
    disabled: bool = False


@frozen
class Address:
    """Where to dial: Neon uses 5432 everywhere, the embedded platform a port per compute."""

    host: str
    port: int = 5432

    def __str__(self) -> str:
        return self.host if self.port == 5432 else f"{self.host}:{self.port}"


@frozen
class Addresses:
    """The two ways to one compute."""

    direct: Address
    pooled: Address
    ca_file: str | None = None  # trust anchor of a private platform; None: publicly trusted


# --- Postgres -----------------------------------------------------------------------------------------------


@frozen
class CredentialMark:
    """What ``COMMENT ON ROLE`` says of its password: made for this branch, stored as this secret version."""

    branch_id: str
    version_id: str


@frozen
class RoleSnapshot:
    """A database role of one branch (roles belong to the whole cluster, not to a database)."""

    name: str
    login: bool = True
    superuser: bool = False
    createdb: bool = False
    createrole: bool = False
    replication: bool = False
    bypassrls: bool = False
    inherit: bool = True
    connection_limit: int = -1
    valid_until: str | None = None  # when its password stops working; None: never
    settings: Mapping[str, str] = field(default_factory=dict[str, str])  # ALTER ROLE … SET, for all databases
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])  # IN DATABASE
    member_of: frozenset[str] = frozenset()
    mark: CredentialMark | None = None


class Grant(NamedTuple):
    """One privilege on one object. ``kind``: database, schema, table, column, sequence, function, default.

    ``object`` is the qualified name (``accounts.accounts``, ``accounts.accounts.balance``,
    ``core.post(uuid, numeric)``); for ``default`` it is ``{owner}/{schema or *}/{tables|sequences|functions}``.
    ``grantee`` is a role's name or ``PUBLIC``.
    """

    kind: str
    object: str
    grantee: str
    privilege: str
    grantable: bool = False


@frozen
class PublicationSnapshot:
    """A publication of a database. ``whole``: every kind of change, row and column, partitions as their root."""

    name: str
    owner: str
    tables: frozenset[str]
    all_tables: bool = False
    whole: bool = True


@frozen
class AppliedVersion:
    """A row of flyway_schema_history that counts as applied."""

    version: str
    script: str
    checksum: int | None
    baseline: bool = False  # taken over as it was: every version up to this one counts as applied


@frozen
class DatabaseSnapshot:
    """One database of a branch, seen from inside. ``built_for``: branch id in our COMMENT ON DATABASE."""

    name: str
    owner: str
    built_for: str | None = None
    schemas: Mapping[str, str] = field(default_factory=dict[str, str])  # name → owner, system schemas left out
    grants: frozenset[Grant] = frozenset()
    tables: frozenset[str] = frozenset()  # qualified names in every schema, ordinary and partitioned roots
    tables_without_key: frozenset[str] = frozenset()
    publications: Mapping[str, PublicationSnapshot] = field(default_factory=dict[str, PublicationSnapshot])
    history: tuple[AppliedVersion, ...] | None = None  # None: no flyway_schema_history
    repeatables: Mapping[str, int | None] = field(default_factory=dict[str, "int | None"])  # script → newest checksum
    unfinished: tuple[AppliedVersion, ...] = ()  # failed half-way outside a transaction, and not put right since
    inspected: bool = True  # False: known from the API only


@frozen
class ClusterSnapshot:
    """What one branch's Postgres holds. ``wal_level`` as the server says."""

    roles: Mapping[str, RoleSnapshot] = field(default_factory=dict[str, RoleSnapshot])
    databases: Mapping[str, DatabaseSnapshot] = field(default_factory=dict[str, DatabaseSnapshot])
    wal_level: str = "replica"


# --- AWS ----------------------------------------------------------------------------------------------------


@frozen
class SecretSnapshot:
    """A secret's metadata (Describe only: plan reads no values)."""

    name: str
    current_version: str | None
    pending_version: str | None = None  # AWSPENDING that is not current: an unfinished change
    deleted: bool = False  # scheduled for deletion
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


# --- everything ---------------------------------------------------------------------------------------------


@frozen
class EnvironmentSnapshot:
    """One environment. ``branch`` None: it does not exist; ``cluster`` None: it could not be looked into yet."""

    branch: BranchSnapshot | None = None
    owner_renewed: bool = False  # this very run gave the owner role of a copied branch a password of its own
    endpoint: EndpointSnapshot | None = None
    addresses: Addresses | None = None
    api_roles: frozenset[str] = frozenset()
    api_databases: Mapping[str, str] = field(default_factory=dict[str, str])  # name → owner
    cluster: ClusterSnapshot | None = None
    account_id: str | None = None
    secrets: Mapping[str, SecretSnapshot] = field(default_factory=dict[str, SecretSnapshot])
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


@frozen
class Observed:
    """The whole platform as it is. ``branches``: every branch of the project, for reports and limits."""

    project: ProjectSnapshot | None = None
    branches: tuple[BranchSnapshot, ...] = ()
    environments: Mapping[str, EnvironmentSnapshot] = field(default_factory=dict[str, EnvironmentSnapshot])
