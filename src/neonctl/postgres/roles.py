"""Roles: attributes, settings, passwords, memberships. Every function can be run again.

The caller is ``bank_owner``, an API role: CREATEROLE, CREATEDB, REPLICATION and BYPASSRLS, but no superuser. It may
hand on only what it has, and only to roles it made (it holds ADMIN OPTION on those; PostgreSQL 16).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.plan.observed import CredentialMark, RoleSnapshot
from neonctl.postgres.batch import fetch, run
from neonctl.postgres.marks import credential_comment
from neonctl.postgres.queryfile import query
from neonctl.secret import Secret

#: Parameters that hold a list of names: each element is quoted by itself.
_LISTS = {"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"}


@dataclass(frozen=True)
class RoleChanges:
    """What to change of a role; ``None`` leaves it as it is. SUPERUSER cannot be changed without being one."""

    login: bool | None = None
    createdb: bool | None = None
    createrole: bool | None = None
    replication: bool | None = None
    bypassrls: bool | None = None
    inherit: bool | None = None
    connection_limit: int | None = None
    valid_until: str | None = None  # ``infinity`` takes an end away


def create_role(conn: psycopg.Connection[TupleRow], wanted: RoleSnapshot) -> None:
    """``create_roles`` for one."""
    create_roles(conn, [wanted])


def create_roles(conn: psycopg.Connection[TupleRow], wanted: Iterable[RoleSnapshot]) -> None:
    """Make the roles with attributes and settings, without passwords and memberships; two round trips for them all.

    A role that exists gets the wanted attributes and settings instead. ``superuser`` is never given, ``mark`` belongs
    to ``set_password`` and ``member_of`` to ``grant_membership``. Raises what ``translate`` makes of a failure.
    """
    roles = sorted(wanted, key=lambda role: role.name)
    doing = f"creating roles {', '.join(role.name for role in roles)}"
    rows = fetch(conn, sql.SQL(query("roles", "existing")), ([role.name for role in roles],), doing=doing)
    existing = {str(name) for (name,) in rows}
    statements: list[sql.Composable] = []
    for role in roles:
        verb = sql.SQL("ALTER ROLE") if role.name in existing else sql.SQL("CREATE ROLE")
        options = _options(_attributes(role))
        statements.append(sql.SQL("{} {} {}").format(verb, sql.Identifier(role.name), options))
        statements += _settings(role.name, role.settings)
    run(conn, statements, doing=doing)


def alter_role(conn: psycopg.Connection[TupleRow], name: str, changes: RoleChanges) -> None:
    """Change the attributes that ``changes`` names."""
    if changes == RoleChanges():
        return
    statement = sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(name), _options(changes))
    run(conn, [statement], doing=f"altering role {name}")


def set_role_settings(conn: psycopg.Connection[TupleRow], name: str, settings: Mapping[str, str | None]) -> None:
    """``ALTER ROLE … SET`` for every database; ``None`` takes a setting away. Others are left alone."""
    run(conn, _settings(name, settings), doing=f"setting parameters of role {name}")


def reset_overrides(conn: psycopg.Connection[TupleRow], wanted: RoleSnapshot, databases: Iterable[str]) -> None:
    """Take away what ``ALTER ROLE … IN DATABASE … SET`` put before the wanted settings; others are left alone."""
    statements: list[sql.Composable] = [
        sql.SQL("ALTER ROLE {} IN DATABASE {} RESET {}").format(
            sql.Identifier(wanted.name), sql.Identifier(database), sql.Identifier(*name.split("."))
        )
        for database in databases
        for name in sorted(wanted.settings)
    ]
    run(conn, statements, doing=f"setting parameters of role {wanted.name}")


def set_password(conn: psycopg.Connection[TupleRow], role: str, password: Secret, mark: CredentialMark | None) -> None:
    """Set the password and say in the role's comment what it belongs to, in one transaction.

    Neon takes plain text only (facts.md 5) and a bound parameter is impossible here, so the password travels as a
    literal inside TLS. No error of this function holds the statement.
    """
    name = sql.Identifier(role)
    comment = sql.Literal(credential_comment(mark) if mark else None)
    statements: list[sql.Composable] = [
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password.reveal())),
        sql.SQL("COMMENT ON ROLE {} IS {}").format(name, comment),
    ]
    run(conn, statements, doing=f"setting the password of role {role}")


def set_passwords(conn: psycopg.Connection[TupleRow], passwords: Mapping[str, Secret]) -> None:
    """Set the passwords of several roles, in one transaction, and take away what their comments said of older ones."""
    statements: list[sql.Composable] = []
    for role, password in sorted(passwords.items()):
        name = sql.Identifier(role)
        statements.append(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password.reveal())))
        statements.append(sql.SQL("COMMENT ON ROLE {} IS NULL").format(name))
    run(conn, statements, doing=f"setting the passwords of {len(passwords)} roles")


def strangers(conn: psycopg.Connection[TupleRow], roles: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Those of ``roles`` that the caller may not alter, since another made them: each with the roles that may."""
    rows = fetch(conn, sql.SQL(query("roles", "strangers")), (list(roles),), doing="asking who may change roles")
    return {str(role): tuple(makers) for role, makers in rows}


def mark_passwords(conn: psycopg.Connection[TupleRow], marks: Mapping[str, CredentialMark]) -> None:
    """Say in each role's comment what its password belongs to. ``marks``: by role; all of them in one transaction."""
    statements = [
        sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(role), sql.Literal(credential_comment(mark)))
        for role, mark in marks.items()
    ]
    run(conn, statements, doing="marking passwords as tested")


def grant_membership(
    conn: psycopg.Connection[TupleRow],
    role: str,
    member: str,
    *,
    inherit: bool = True,
    set_option: bool = True,
) -> None:
    """Make ``member`` a member of ``role`` with exactly these options (and no ADMIN OPTION by this grant)."""
    statement = sql.SQL("GRANT {} TO {} WITH INHERIT {}, SET {}").format(
        sql.Identifier(role), sql.Identifier(member), _truth(inherit), _truth(set_option)
    )
    run(conn, [statement], doing=f"making {member} a member of {role}")


def revoke_membership(conn: psycopg.Connection[TupleRow], role: str, member: str) -> None:
    """End the membership, whoever granted it. Raises POSTGRES_REFUSED where a superuser did."""
    doing = f"taking {member} out of {role}"
    grantors = fetch(conn, sql.SQL(query("roles", "membership_grantors")), (role, member), doing=doing)
    statements = [
        sql.SQL("REVOKE {} FROM {} GRANTED BY {} CASCADE").format(
            sql.Identifier(role), sql.Identifier(member), sql.Identifier(str(grantor))
        )
        for (grantor,) in grantors
    ]
    run(conn, statements, doing=doing)


def drop_role(conn: psycopg.Connection[TupleRow], name: str) -> None:
    """Drop the role if it is there. Raises POSTGRES_REFUSED while it owns something or holds privileges."""
    run(conn, [sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name))], doing=f"dropping role {name}")


def _attributes(wanted: RoleSnapshot) -> RoleChanges:
    return RoleChanges(
        login=wanted.login,
        createdb=wanted.createdb,
        createrole=wanted.createrole,
        replication=wanted.replication,
        bypassrls=wanted.bypassrls,
        inherit=wanted.inherit,
        connection_limit=wanted.connection_limit,
        valid_until=wanted.valid_until or "infinity",
    )


def _options(changes: RoleChanges) -> sql.Composed:
    words = [
        yes if value else no
        for value, yes, no in (
            (changes.login, sql.SQL("LOGIN"), sql.SQL("NOLOGIN")),
            (changes.createdb, sql.SQL("CREATEDB"), sql.SQL("NOCREATEDB")),
            (changes.createrole, sql.SQL("CREATEROLE"), sql.SQL("NOCREATEROLE")),
            (changes.replication, sql.SQL("REPLICATION"), sql.SQL("NOREPLICATION")),
            (changes.bypassrls, sql.SQL("BYPASSRLS"), sql.SQL("NOBYPASSRLS")),
            (changes.inherit, sql.SQL("INHERIT"), sql.SQL("NOINHERIT")),
        )
        if value is not None
    ]
    options: list[sql.Composable] = list(words)
    if changes.connection_limit is not None:
        options.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(changes.connection_limit)))
    if changes.valid_until is not None:
        options.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(changes.valid_until)))
    return sql.SQL(" ").join(options)


def _settings(name: str, settings: Mapping[str, str | None]) -> list[sql.Composable]:
    return [_setting(name, parameter, value) for parameter, value in sorted(settings.items())]


def _setting(name: str, parameter: str, value: str | None) -> sql.Composed:
    parts = sql.Identifier(*parameter.split("."))
    if value is None:
        return sql.SQL("ALTER ROLE {} RESET {}").format(sql.Identifier(name), parts)
    values = [part.strip().strip('"') for part in value.split(",")] if parameter in _LISTS else [value]
    literals = sql.SQL(", ").join(map(sql.Literal, values))
    return sql.SQL("ALTER ROLE {} SET {} TO {}").format(sql.Identifier(name), parts, literals)


def _truth(value: bool) -> sql.SQL:
    return sql.SQL("TRUE") if value else sql.SQL("FALSE")
