"""Handlers of what is done by SQL inside one branch: roles for all of it, then each database for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neonctl.plan.changes import (
    AnyChange,
    ClaimDatabase,
    CreateRole,
    CreateSchema,
    DropRole,
    GrantMembership,
    GrantPrivileges,
    RevokeMembership,
    RevokePrivileges,
    SetPublication,
    UpdateRole,
    UpdateSchemaOwner,
)
from neonctl.plan.observed import Grant
from neonctl.postgres.batch import transaction
from neonctl.postgres.grants import change_grants
from neonctl.postgres.publications import ensure_publication
from neonctl.postgres.roles import create_roles, drop_role, grant_membership, reset_overrides, revoke_membership
from neonctl.postgres.schemas import create_schema, mark_database, set_schema_owner

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow


def apply_roles(connection: psycopg.Connection[TupleRow], changes: Sequence[AnyChange]) -> None:
    """Roles and then memberships, all in one transaction: they are of the cluster, so any database will do."""
    wanted = [change.role for change in changes if isinstance(change, CreateRole)]
    wanted += [change.wanted for change in changes if isinstance(change, UpdateRole)]
    with transaction(connection, "changing roles"):
        create_roles(connection, wanted)  # one that exists gets the wanted attributes
        for change in changes:
            match change:
                case UpdateRole():
                    reset_overrides(connection, change.wanted, change.overridden)
                case GrantMembership():
                    grant_membership(connection, change.role, change.member)
                case RevokeMembership():
                    revoke_membership(connection, change.role, change.member)
                case DropRole():
                    drop_role(connection, change.role)
                case _:
                    pass


def apply_structure(connection: psycopg.Connection[TupleRow], changes: Sequence[AnyChange], *, branch_id: str) -> None:
    """Schemas, the database's mark and privileges of one database, in one transaction."""
    grants: list[Grant] = []
    revokes: list[Grant] = []
    with transaction(connection, "changing schemas and privileges"):
        for change in changes:
            match change:
                case CreateSchema():
                    create_schema(connection, change.schema, change.owner)
                case UpdateSchemaOwner():
                    set_schema_owner(connection, change.schema, change.owner)
                case ClaimDatabase():
                    mark_database(connection, change.database, branch_id)
                case GrantPrivileges():
                    grants.extend(change.grants)
                case RevokePrivileges():
                    revokes.extend(change.grants)
                case _:
                    pass
        change_grants(connection, grant=grants, revoke=revokes)


def apply_publications(connection: psycopg.Connection[TupleRow], changes: Sequence[AnyChange]) -> None:
    """The CDC publication of one database."""
    for change in changes:
        if isinstance(change, SetPublication):
            ensure_publication(connection, change.publication, change.owner, change.tables)
