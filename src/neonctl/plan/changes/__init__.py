"""What a plan is made of: frozen change objects that sort themselves and know how to be told.

``environment`` is "" for what belongs to the whole project. ``before`` and ``after`` are JSON-safe and hold no
secret. ``Stage`` is the order in which kinds are carried out; within a stage, changes are independent unless
their handler says otherwise.
"""

from __future__ import annotations

from neonctl.plan.changes.change import Action, Change, Details, FieldChange, Scalar, SettingsChange, Stage
from neonctl.plan.changes.credentials import (
    CredentialWork,
    DeleteParameter,
    DeleteSecret,
    PutParameter,
    StoreSecret,
    UpdateSecretMetadata,
)
from neonctl.plan.changes.database import (
    ClaimDatabase,
    CreateRole,
    CreateSchema,
    DropRole,
    GrantMembership,
    GrantPrivileges,
    RevokeMembership,
    RevokePrivileges,
    UpdateRole,
    UpdateSchemaOwner,
    describe,
)
from neonctl.plan.changes.project import (
    Compute,
    CreateBranch,
    CreateDatabase,
    CreateEndpoint,
    CreateOwnerRole,
    CreateProject,
    DeleteBranch,
    DropDatabase,
    RebuildDatabase,
    ReplaceInheritedPasswords,
    UpdateBranch,
    UpdateEndpoint,
    UpdateProject,
)
from neonctl.plan.changes.tables import Report, RunMigrations, SetPublication

__all__ = [
    "Action",
    "AnyChange",
    "Change",
    "ClaimDatabase",
    "Compute",
    "CreateBranch",
    "CreateDatabase",
    "CreateEndpoint",
    "CreateOwnerRole",
    "CreateProject",
    "CreateRole",
    "CreateSchema",
    "CredentialWork",
    "DeleteBranch",
    "DeleteParameter",
    "DeleteSecret",
    "Details",
    "DropDatabase",
    "DropRole",
    "FieldChange",
    "GrantMembership",
    "GrantPrivileges",
    "PutParameter",
    "RebuildDatabase",
    "ReplaceInheritedPasswords",
    "Report",
    "RevokeMembership",
    "RevokePrivileges",
    "RunMigrations",
    "Scalar",
    "SetPublication",
    "SettingsChange",
    "Stage",
    "StoreSecret",
    "UpdateBranch",
    "UpdateEndpoint",
    "UpdateProject",
    "UpdateRole",
    "UpdateSchemaOwner",
    "UpdateSecretMetadata",
    "describe",
]

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
