"""What one branch's Postgres holds, as ``plan.observed`` snapshots. Reads only; one round trip each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.plan.observed import (
    AppliedVersion,
    ClusterSnapshot,
    DatabaseSnapshot,
    Grant,
    PublicationSnapshot,
    RoleSnapshot,
)
from neonctl.postgres.failures import translate
from neonctl.postgres.marks import parse_built_for, parse_credential
from neonctl.postgres.queryfile import query

_UNDONE = ("UNDO_SQL", "DELETE")


def read_cluster(conn: psycopg.Connection[TupleRow]) -> ClusterSnapshot:
    """Roles with settings, memberships and marks, and ``wal_level``; ``databases`` is left empty.

    Left out: ``pg_*`` and Neon's own roles (they stay visible in ``member_of``), and the bare ADMIN OPTION that
    CREATE ROLE gives its caller. Raises what ``translate`` makes of a failure.
    """
    try:
        row = conn.execute(sql.SQL(query("inspect", "cluster"))).fetchone()
    except psycopg.Error as error:
        raise translate(error, "reading the roles") from error
    return _cluster(_document(row))


def read_database(conn: psycopg.Connection[TupleRow]) -> DatabaseSnapshot:
    """The database that ``conn`` is connected to, from inside.

    Grants: of every schema but the system's, ``public`` included; a NULL acl as the default it stands for, so that
    PUBLIC's EXECUTE is seen; a partition's grant only where its root does not hold it. Left out: an owner's own rights
    (but EXECUTE of functions that run as their owner), Neon's own roles, extensions' objects. ``history``: ``None``
    without a table, ``()`` if it cannot be read.
    Raises what ``translate`` makes of a failure.
    """
    _, database, _ = _answers(conn, "history", "database", "restore")
    return _database(_document(database))


def read_both(conn: psycopg.Connection[TupleRow]) -> tuple[ClusterSnapshot, DatabaseSnapshot]:
    """``read_cluster`` and ``read_database`` in one round trip."""
    _, database, _, cluster = _answers(conn, "history", "database", "restore", "cluster")
    return _cluster(_document(cluster)), _database(_document(database))


def _answers(conn: psycopg.Connection[TupleRow], *names: str) -> list[TupleRow | None]:
    """Run queries as one simple query; the first row of each, None for what has no rows to give."""
    script = sql.SQL(";\n").join(sql.SQL(query("inspect", name)) for name in names)
    doing = f"looking into database {conn.info.dbname}"
    try:
        with conn.cursor() as cursor:
            cursor.execute(script, prepare=False)
            return [each.fetchone() if each.description else None for each in cursor.results()]
    except psycopg.Error as error:
        raise translate(error, doing) from error


def _document(row: TupleRow | None) -> Mapping[str, Any]:
    assert row is not None, "the query makes exactly one row"
    return cast("Mapping[str, Any]", row[0])


def _cluster(found: Mapping[str, Any]) -> ClusterSnapshot:
    roles = [_role(each) for each in found["roles"]]
    return ClusterSnapshot(roles={role.name: role for role in roles}, wal_level=str(found["wal_level"]))


def _role(found: Mapping[str, Any]) -> RoleSnapshot:
    return RoleSnapshot(
        name=found["name"],
        login=found["login"],
        superuser=found["superuser"],
        createdb=found["createdb"],
        createrole=found["createrole"],
        replication=found["replication"],
        bypassrls=found["bypassrls"],
        inherit=found["inherit"],
        connection_limit=found["connection_limit"],
        valid_until=found["valid_until"],
        settings=dict(_setting(text) for text in found["settings"]),
        overrides={name: dict(map(_setting, texts)) for name, texts in found["overrides"].items()},
        member_of=frozenset(found["member_of"]),
        mark=parse_credential(found["comment"]),
    )


def _setting(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _database(found: Mapping[str, Any]) -> DatabaseSnapshot:
    publications = [_publication(each) for each in found["publications"] or ()]
    return DatabaseSnapshot(
        name=found["name"],
        owner=found["owner"],
        built_for=parse_built_for(found["comment"]),
        schemas=dict(cast("Mapping[str, str]", found["schemas"] or {})),
        grants=frozenset(Grant(*each) for each in found["grants"] or ()),
        tables=frozenset(found["tables"] or ()),
        tables_without_key=frozenset(found["tables_without_key"] or ()),
        publications={each.name: each for each in publications},
        history=None if found["history"] is None else tuple(_applied(found["history"])),
        repeatables=_repeated(found["history"] or ()),
        unfinished=tuple(_unfinished(found["history"] or ())),
    )


def _publication(found: Mapping[str, Any]) -> PublicationSnapshot:
    tables = frozenset(cast("Iterable[str]", found["tables"] or ()))
    return PublicationSnapshot(found["name"], found["owner"], tables, found["all_tables"], found["whole"])


def _applied(rows: Iterable[tuple[str | None, str, str, int | None, bool]]) -> Iterable[AppliedVersion]:
    """The versions that count: applied or taken over as baseline, and not undone since (Flyway's own rules)."""
    applied: dict[str, AppliedVersion] = {}
    for version, kind, script, checksum, success in rows:
        if version is None or not success:
            continue
        applied.pop(version, None)
        if kind not in _UNDONE:
            applied[version] = AppliedVersion(version, script, checksum, baseline=kind == "BASELINE")
    return applied.values()


def _unfinished(rows: Iterable[tuple[str | None, str, str, int | None, bool]]) -> Iterable[AppliedVersion]:
    """The versions whose last row says that they failed."""
    failed: dict[str, AppliedVersion] = {}
    for version, _, script, checksum, success in rows:
        if version is None:
            continue
        failed.pop(version, None)
        if not success:
            failed[version] = AppliedVersion(version, script, checksum)
    return failed.values()


def _repeated(rows: Iterable[tuple[str | None, str, str, int | None, bool]]) -> Mapping[str, int | None]:
    """Repeatable files that ran: each with the checksum it had last."""
    return {
        script: checksum
        for version, kind, script, checksum, success in rows
        if version is None and kind == "SQL" and success
    }
