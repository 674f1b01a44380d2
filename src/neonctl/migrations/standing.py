"""Statements that PostgreSQL runs only outside a transaction: what they leave behind when they die, and how to go on.

A killed CREATE INDEX CONCURRENTLY leaves an index that costs every write and answers no query. So before such a
statement is run again, what an earlier try left is looked at and cleared away.
"""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.migrations.files import MigrationFile, UndoFile
from neonctl.migrations.scripts import MigrationScriptError

if TYPE_CHECKING:
    from typing import LiteralString

Name = tuple[str | None, str]  # schema, unless search_path decides, and name

_NEW_INDEX: LiteralString = """\
SELECT n.nspname, x.relname, i.indisvalid IS TRUE
FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_class AS x ON x.relnamespace = t.relnamespace AND x.relname = %(index)s
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = x.oid
WHERE t.oid = pg_catalog.to_regclass(%(table)s)"""

#: What REINDEX CONCURRENTLY of a table or an index leaves behind: its own copies, never valid again.
_COPIES: LiteralString = """\
SELECT n.nspname, x.relname
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
WHERE NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'
  AND i.indrelid = (SELECT coalesce(
      (SELECT o.indrelid FROM pg_catalog.pg_index AS o WHERE o.indexrelid = pg_catalog.to_regclass(%(relation)s)),
      pg_catalog.to_regclass(%(relation)s)))"""

_ATTACHED: LiteralString = """\
SELECT h.inhdetachpending FROM pg_catalog.pg_inherits AS h
WHERE h.inhparent = pg_catalog.to_regclass(%(table)s) AND h.inhrelid = pg_catalog.to_regclass(%(part)s)"""


@dataclass(frozen=True)
class Standing:
    """One statement that stands alone. ``names`` are indexes, or the partition that is detached."""

    what: Literal["create index", "drop index", "reindex", "detach", "other"]
    table: Name | None = None
    names: tuple[Name, ...] = ()
    if_not_exists: bool = False


@dataclass(frozen=True)
class Again:
    """What to do about a statement that was begun before: clear away, then run it, unless it had come through."""

    clear: tuple[sql.Composed, ...] = ()
    run: bool = True


def standing(path: Path, script: str) -> Standing:
    """The one statement of a file marked non-transactional. Raises ``MigrationScriptError`` if there is not one, or
    if it makes an index without a name: nobody could find again what a crash left of it.
    """
    import postgast

    statements = postgast.parse(script).stmts
    if len(statements) != 1:
        raise _refused(path, f"a file outside a transaction holds one statement, this one has {len(statements)}")
    node: Any = statements[0].stmt
    match node.WhichOneof("node"):
        case "index_stmt":
            index = node.index_stmt
            if not index.idxname:
                raise _refused(path, "an index that is made outside a transaction needs a name")
            names: tuple[Name, ...] = ((None, index.idxname),)
            return Standing("create index", _name(index.relation), names, index.if_not_exists)
        case "drop_stmt" if node.drop_stmt.concurrent:
            words = [[item.string.sval for item in each.list.items] for each in node.drop_stmt.objects]
            return Standing("drop index", names=tuple((w[-2] if len(w) > 1 else None, w[-1]) for w in words))
        case "reindex_stmt" if node.reindex_stmt.HasField("relation"):
            return Standing("reindex", _name(node.reindex_stmt.relation))
        case "alter_table_stmt":
            for each in node.alter_table_stmt.cmds:
                definition = getattr(each.alter_table_cmd, "def")
                if definition.WhichOneof("node") == "partition_cmd" and definition.partition_cmd.concurrent:
                    part = _name(definition.partition_cmd.name)
                    return Standing("detach", _name(node.alter_table_stmt.relation), (part,))
            return Standing("other")
        case _:
            return Standing("other")


def require_standing(files: Iterable[MigrationFile | UndoFile]) -> None:
    """Check each file marked non-transactional before anything runs. Raises ``MigrationScriptError``."""
    for file in files:
        if not file.transactional:
            standing(file.path, file.sql)


def already_there(conn: psycopg.Connection[Any], it: Standing) -> str | None:
    """Before the first try: the index that has the name already, so that it could be taken for ours later."""
    if it.what != "create index" or it.if_not_exists:
        return None
    found = _new_index(conn, it)
    return f"{found[0]}.{found[1]}" if found else None


def again(conn: psycopg.Connection[Any], it: Standing) -> Again:
    """Before a further try: what is left of the one before."""
    match it.what:
        case "create index":
            found = _new_index(conn, it)
            if found is None:
                return Again()
            return Again(run=False) if found[2] else Again((_drop(found[0], found[1]),))
        case "drop index":
            left = [name for name in it.names if _one(conn, "SELECT pg_catalog.to_regclass(%(n)s)", n=_text(name))[0]]
            if len(left) == len(it.names):
                return Again()
            return Again(tuple(_drop(*name) for name in left), run=False)
        case "reindex":
            assert it.table is not None
            return Again(tuple(_drop(*row) for row in _all(conn, _COPIES, relation=_text(it.table))))
        case "detach":
            assert it.table is not None
            attached = _all(conn, _ATTACHED, table=_text(it.table), part=_text(it.names[0]))
            if not attached:
                return Again(run=False)
            finalize = sql.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(
                _identifier(it.table), _identifier(it.names[0])
            )
            return Again((finalize,), run=False) if attached[0][0] else Again()
        case "other":
            return Again()


def invalid(conn: psycopg.Connection[Any], it: Standing) -> str | None:
    """After it ran: the index that is there and does not work (IF NOT EXISTS is content with that)."""
    if it.what != "create index":
        return None
    found = _new_index(conn, it)
    return None if found is None or found[2] else f"{found[0]}.{found[1]}"


def _new_index(conn: psycopg.Connection[Any], it: Standing) -> tuple[str, str, bool] | None:
    assert it.table is not None
    rows = _all(conn, _NEW_INDEX, index=it.names[0][1], table=_text(it.table))
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


def _drop(schema: str | None, name: str) -> sql.Composed:
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(_identifier((schema, name)))


def _identifier(name: Name) -> sql.Identifier:
    return sql.Identifier(*(part for part in name if part))


def _text(name: Name) -> str:
    return _identifier(name).as_string()


def _name(relation: Any) -> Name:
    return relation.schemaname or None, relation.relname


def _all(conn: psycopg.Connection[Any], query: LiteralString, **values: str) -> Sequence[tuple[Any, ...]]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query, values).fetchall()


def _one(conn: psycopg.Connection[Any], query: LiteralString, **values: str) -> tuple[Any, ...]:
    return _all(conn, query, **values)[0]


def _refused(path: Path, message: str) -> MigrationScriptError:
    return MigrationScriptError(
        "MIGRATION_SCRIPT_REFUSED",
        f"{path}: {message}",
        hint="`-- neonctl: non-transactional` marks a file with one statement such as CREATE INDEX CONCURRENTLY.",
        details={"problems": [{"file": str(path), "line": 1, "message": message}]},
    )
