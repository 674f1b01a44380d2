"""Sets of ``plan.observed.Grant`` as GRANT and REVOKE statements: few, sorted, always quoted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, cast

from psycopg import sql

from neonctl.plan.observed import Grant
from neonctl.postgres.names import function_signature, identifier, split_column, split_default

if TYPE_CHECKING:
    from typing import LiteralString

Shape = Callable[[sql.Composable, sql.Composable, bool], sql.Composed]

_TABLE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"})
#: The privileges that each kind of object knows (PostgreSQL 18).
_PRIVILEGES: Mapping[str, frozenset[str]] = {
    "database": frozenset({"CONNECT", "CREATE", "TEMPORARY"}),
    "schema": frozenset({"CREATE", "USAGE"}),
    "table": _TABLE,
    "column": frozenset({"SELECT", "INSERT", "UPDATE", "REFERENCES"}),
    "sequence": frozenset({"USAGE", "SELECT", "UPDATE"}),
    "function": frozenset({"EXECUTE"}),
    "default": _TABLE | {"USAGE", "EXECUTE"},
}
_KEYWORDS: Mapping[str, LiteralString] = {
    "database": "DATABASE",
    "schema": "SCHEMA",
    "table": "TABLE",
    "column": "TABLE",
    "sequence": "SEQUENCE",
    "function": "ROUTINE",
    "tables": "TABLES",
    "sequences": "SEQUENCES",
    "functions": "ROUTINES",
}


def grant_statements(grants: Iterable[Grant]) -> list[sql.Composed]:
    """Statements that give these privileges. Raises ``ValueError`` for a kind, name or privilege that is none."""
    return _statements(grants, _give)


def revoke_statements(grants: Iterable[Grant]) -> list[sql.Composed]:
    """Statements that take these privileges back, grant option and dependants included (CASCADE)."""
    return _statements(grants, _take)


def revoke_option_statements(grants: Iterable[Grant]) -> list[sql.Composed]:
    """Statements that take the grant option back, with what was granted by it, and leave the privilege."""
    return _statements(grants, _take_option)


def _give(what: sql.Composable, grantee: sql.Composable, grantable: bool) -> sql.Composed:
    option = sql.SQL(" WITH GRANT OPTION") if grantable else sql.SQL("")
    return sql.SQL("GRANT {} TO {}{}").format(what, grantee, option)


def _take(what: sql.Composable, grantee: sql.Composable, _grantable: bool) -> sql.Composed:
    return sql.SQL("REVOKE {} FROM {} CASCADE").format(what, grantee)


def _take_option(what: sql.Composable, grantee: sql.Composable, _grantable: bool) -> sql.Composed:
    return sql.SQL("REVOKE GRANT OPTION FOR {} FROM {} CASCADE").format(what, grantee)


def _statements(grants: Iterable[Grant], shape: Shape) -> list[sql.Composed]:
    """One statement for all objects that share kind, grantee, option and privileges."""
    privileges: dict[tuple[str, str, str, bool], set[tuple[str, str]]] = defaultdict(set)
    for grant in grants:
        if grant.privilege not in _PRIVILEGES.get(grant.kind, frozenset()):
            raise ValueError(f"not a privilege: {grant}")
        target, column = split_column(grant.object) if grant.kind == "column" else (grant.object, "")
        privileges[grant.kind, target, grant.grantee, grant.grantable].add((grant.privilege, column))
    together: dict[tuple[str, str, bool, tuple[tuple[str, str], ...]], list[str]] = defaultdict(list)
    for (kind, target, grantee, grantable), names in sorted(privileges.items()):
        together[kind, grantee, grantable, tuple(sorted(names))].append(target)
    made: list[sql.Composed] = []
    for (kind, grantee, grantable, names), targets in together.items():
        to = sql.SQL("PUBLIC") if grantee == "PUBLIC" else sql.Identifier(grantee)
        if kind == "default":
            made += _defaults(names, targets, to, grantable, shape)
        else:
            what = sql.SQL("{} ON {} {}").format(_names(names), sql.SQL(_KEYWORDS[kind]), _objects(kind, targets))
            made.append(shape(what, to, grantable))
    return made


def _names(names: Iterable[tuple[str, str]]) -> sql.Composed:
    """``SELECT, INSERT`` or, with columns, ``SELECT (a, b), UPDATE (a)``."""
    columns: dict[str, list[str]] = defaultdict(list)
    for privilege, column in names:
        columns[privilege].append(column)
    parts: list[sql.Composable] = []
    for privilege, of in columns.items():
        word = sql.SQL(cast("LiteralString", privilege))  # one of _PRIVILEGES: checked before
        listed = sql.SQL(", ").join(map(sql.Identifier, of))
        parts.append(word if of == [""] else sql.SQL("{} ({})").format(word, listed))
    return sql.SQL(", ").join(parts)


def _objects(kind: str, targets: Iterable[str]) -> sql.Composed:
    render = function_signature if kind == "function" else identifier
    return sql.SQL(", ").join(render(target) for target in targets)


def _defaults(
    names: Iterable[tuple[str, str]],
    targets: Iterable[str],
    grantee: sql.Composable,
    grantable: bool,
    shape: Shape,
) -> list[sql.Composed]:
    """ALTER DEFAULT PRIVILEGES, schemas of one owner together. ``*`` has no IN SCHEMA: there, PUBLIC's EXECUTE
    can be taken back; with IN SCHEMA one can only add (security.md 4).
    """
    schemas: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    for target in targets:
        owner, schema, objects = split_default(target)
        schemas[owner, objects if schema is not None else f"*{objects}"].append(schema)
    made: list[sql.Composed] = []
    for (owner, objects), listed in schemas.items():
        inside = [sql.Identifier(schema) for schema in listed if schema is not None]
        where = sql.SQL(" IN SCHEMA {}").format(sql.SQL(", ").join(inside)) if inside else sql.SQL("")
        what = sql.SQL("{} ON {}").format(_names(names), sql.SQL(_KEYWORDS[objects.removeprefix("*")]))
        start = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} ").format(sql.Identifier(owner), where)
        made.append(start + shape(what, grantee, grantable))
    return made
