"""Roles and databases inside a branch's cluster, made the way Neon's compute makes them (facts.md 5).

All statements run as ``cloud_admin`` over the engine's own connection and can be repeated: they ask first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from neonctl.secret import Secret

Connection = psycopg.AsyncConnection[TupleRow]
SYSTEM_ROLES: Final = ("cloud_admin", "neon_superuser", "neon_service", "zenith_admin")


@dataclass(frozen=True)
class Found:
    """Roles (name → may log in) and databases (name → owner) that the catalogue holds."""

    roles: dict[str, bool]
    databases: dict[str, str]


async def catalogue(connection: Connection) -> Found:
    """What exists in the cluster, the system's own left out."""
    roles = await connection.execute(
        "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> ALL (%s) ORDER BY oid",
        (list(SYSTEM_ROLES),),
    )
    found_roles = {str(name): bool(login) for name, login in await roles.fetchall()}
    databases = await connection.execute(
        "SELECT datname, pg_get_userbyid(datdba) FROM pg_database"
        " WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY oid"
    )
    return Found(found_roles, {str(name): str(owner) for name, owner in await databases.fetchall()})


async def _exists(connection: Connection, query: LiteralString, name: str) -> bool:
    return await (await connection.execute(query, (name,))).fetchone() is not None


async def role_exists(connection: Connection, name: str) -> bool:
    return await _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name)


async def database_exists(connection: Connection, name: str) -> bool:
    return await _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", name)


def _verifier(connection: Connection, role: str, password: Secret) -> sql.Literal:
    """The SCRAM verifier, so that the server's log never sees the password."""
    made = connection.pgconn.encrypt_password(password.reveal().encode(), role.encode(), b"scram-sha-256")
    return sql.Literal(made.decode())


async def ensure_role(connection: Connection, name: str, password: Secret | None, *, no_login: bool) -> None:
    """An API role: member of neon_superuser with its attributes, or its password again when it exists."""
    if not await role_exists(connection, name):
        login = sql.SQL("NOLOGIN" if no_login else "LOGIN")
        await connection.execute(
            sql.SQL(
                "CREATE ROLE {} {} INHERIT CREATEROLE CREATEDB BYPASSRLS REPLICATION IN ROLE neon_superuser"
            ).format(sql.Identifier(name), login)
        )
    if password is not None:
        await set_password(connection, name, password, login=not no_login)


async def set_password(connection: Connection, name: str, password: Secret, *, login: bool = True) -> None:
    """``ALTER ROLE … PASSWORD``; a reset also grants LOGIN and nothing else."""
    attributes = sql.SQL("LOGIN PASSWORD" if login else "PASSWORD")
    await connection.execute(
        sql.SQL("ALTER ROLE {} {} {}").format(sql.Identifier(name), attributes, _verifier(connection, name, password))
    )


async def drop_role(connection: Connection, name: str) -> None:
    """Remove a role that owns no database."""
    if await role_exists(connection, name):
        await connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def give_up_objects(connection: Connection, name: str, heir: str) -> None:
    """In the connected database: hand the role's objects to ``heir`` and drop its grants."""
    if await role_exists(connection, name):
        await connection.execute(
            sql.SQL("REASSIGN OWNED BY {} TO {}").format(sql.Identifier(name), sql.Identifier(heir))
        )
        await connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))


async def drop_connections(connection: Connection) -> None:
    """End every session that is not the platform's own, as role changes do on Neon."""
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND usename <> 'cloud_admin'"
    )


async def ensure_database(connection: Connection, name: str, owner: str) -> None:
    """Create the database or give it to ``owner``; ``neon_superuser`` may do everything in it."""
    if await database_exists(connection, name):
        statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
    else:
        statement = sql.SQL("CREATE DATABASE {} OWNER {}")
    await connection.execute(statement.format(sql.Identifier(name), sql.Identifier(owner)))
    await connection.execute(
        sql.SQL("GRANT ALL PRIVILEGES ON DATABASE {} TO neon_superuser").format(sql.Identifier(name))
    )


async def prepare_public_schema(connection: Connection, owner: str) -> None:
    """In the connected database: ``public`` belongs to the owner, the platform's objects to all API roles."""
    if not await _exists(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", "public"):
        return
    await connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(owner)))
    for kind in ("TABLES", "SEQUENCES"):
        await connection.execute(
            sql.SQL(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {} TO neon_superuser WITH GRANT OPTION"
            ).format(sql.SQL(kind))
        )


async def rename_database(connection: Connection, old: str, new: str) -> None:
    """Rename; sessions in the database are ended first."""
    if not await database_exists(connection, old):
        return
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        (old,),
    )
    await connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


async def drop_database(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
