"""What an undo would destroy: tables, columns and rows that are there now, read from its statements.

Seen is what the parser sees: DROP TABLE, DROP SCHEMA, DROP COLUMN, TRUNCATE and DELETE, where the file's own
search_path finds them. What a DO block or a function does is not; the proof (up, down, up with rows) shows that, and
``kept`` watches over append-only tables whatever is done to them.
"""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.migrations.files import UndoFile

if TYPE_CHECKING:
    from typing import LiteralString

_NO_LIMIT: LiteralString = "SET LOCAL statement_timeout = 0"  # counting takes as long as it takes

How = Literal["drop table", "drop column", "truncate", "delete"]

#: A table that refuses UPDATE, DELETE and TRUNCATE by BEFORE triggers, its own or those of what it is a partition of.
_TABLE: LiteralString = """\
SELECT n.nspname, c.relname,
       (SELECT bool_or(t.tgtype & 16 > 0) AND bool_or(t.tgtype & 8 > 0) AND bool_or(t.tgtype & 32 > 0)
        FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid IN (SELECT c.oid UNION SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid) AS a (relid))
          AND t.tgtype & 2 > 0 AND t.tgenabled <> 'D' AND NOT t.tgisinternal) IS TRUE
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND"""
_APPEND_ONLY: LiteralString = """\
SELECT c.oid, n.nspname, c.relname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_trigger AS t
  ON t.tgrelid IN (SELECT c.oid UNION SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid) AS a (relid))
WHERE c.relkind = 'r' AND t.tgtype & 2 > 0 AND t.tgenabled <> 'D' AND NOT t.tgisinternal
  AND NOT (n.nspname = 'public' AND c.relname = 'neonctl_evidence')
GROUP BY c.oid, n.nspname, c.relname
HAVING bool_or(t.tgtype & 16 > 0) AND bool_or(t.tgtype & 8 > 0) AND bool_or(t.tgtype & 32 > 0)"""

#: How many rows this session changed or deleted in tables. What it did before may still be counted.
_TOUCHED: LiteralString = """\
(SELECT pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_updated(t.oid)
                       + pg_catalog.pg_stat_get_xact_tuples_deleted(t.oid))
 FROM pg_catalog.unnest({oids}::pg_catalog.oid[]) AS t (oid))::pg_catalog.text"""
_BEFORE: LiteralString = "SELECT pg_catalog.set_config('neonctl.touched', {touched}, true)"

#: A table that is gone has no size, a truncated one the size 0.
_AFTER: LiteralString = """\
SELECT pg_catalog.sqrt(-(
    EXISTS (SELECT FROM pg_catalog.unnest({oids}::pg_catalog.oid[]) AS t (oid)
            WHERE coalesce(pg_catalog.pg_relation_size(t.oid), 0) = 0)
    OR pg_catalog.current_setting('neonctl.touched', true) IS DISTINCT FROM {touched})::pg_catalog.int4)"""
_BY_NAME: LiteralString = " c.oid = pg_catalog.to_regclass(%s)"
_BY_SCHEMA: LiteralString = " n.nspname = %s AND NOT c.relispartition ORDER BY c.relname"
_HAS_COLUMN: LiteralString = """\
SELECT 1 FROM pg_catalog.pg_attribute
WHERE attrelid = pg_catalog.to_regclass(%s) AND attname = %s AND NOT attisdropped"""


@dataclass(frozen=True)
class Loss:
    """What one statement of an undo takes away. ``rows`` are those there now; of a column, those with a value."""

    version: str
    how: How
    schema: str
    table: str
    column: str | None
    rows: int
    append_only: bool

    def __str__(self) -> str:
        what = f"{self.schema}.{self.table}" + (f".{self.column}" if self.column else "")
        rows = f"{self.rows} row" + ("" if self.rows == 1 else "s")
        return f"U{self.version}: {self.how} {what}: {rows}" + (" of an append-only table" if self.append_only else "")


@dataclass(frozen=True)
class Kept:
    """Statements around an undo, in its transaction: the second fails with SQLSTATE 2201F if rows were taken."""

    before: sql.Composed
    after: sql.Composed


@dataclass(frozen=True)
class _Target:
    how: How
    schema: str | None  # None: wherever search_path finds it
    table: str | None  # None: all of the schema
    column: str | None = None
    rows: sql.SQL | None = None  # a query that counts, if not all rows are meant
    search_path: str | None = None  # in force from here on; nothing is taken


def rows_at_stake(conn: psycopg.Connection[Any], undos: Iterable[UndoFile]) -> tuple[Loss, ...]:
    """What these undos would destroy of what is there now, in their order; what holds no rows is left out.

    Counts rows, so that it may take its time on big tables. ``conn`` is in autocommit, as the migrate role.
    """
    found: list[Loss] = []
    for undo in undos:
        with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_NO_LIMIT)
            for target in _targets(undo.sql):
                found += _losses(cursor, undo.version, target)
    return tuple(dict.fromkeys(loss for loss in found if loss.rows))


def guard(loss: Loss) -> tuple[sql.Composable, ...]:
    """Statements for the undo's own transaction that fail with SQLSTATE 2201F if rows came meanwhile."""
    table = sql.Identifier(loss.schema, loss.table)
    condition = sql.SQL(" WHERE {} IS NOT NULL").format(sql.Identifier(loss.column)) if loss.column else sql.SQL("")
    return (
        sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table),  # which the undo takes anyway
        sql.SQL("SELECT pg_catalog.sqrt(-(EXISTS (SELECT FROM {}{}))::int)").format(table, condition),
    )


def kept(conn: psycopg.Connection[Any]) -> Kept | None:
    """What watches over all append-only tables that have rows now; None if there is none."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_NO_LIMIT)
        oids = [
            oid
            for oid, schema, table in cursor.execute(_APPEND_ONLY).fetchall()
            if cursor.execute(
                sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(schema, table))
            ).fetchone()
            == (True,)
        ]
    if not oids:
        return None
    tables = sql.Literal(sorted(oids))
    touched = sql.SQL(_TOUCHED).format(oids=tables)
    return Kept(sql.SQL(_BEFORE).format(touched=touched), sql.SQL(_AFTER).format(oids=tables, touched=touched))


def append_only_tables(conn: psycopg.Connection[Any], undos: Iterable[UndoFile]) -> tuple[Loss, ...]:
    """The append-only tables that these undos touch, with rows or (``rows`` is 0) without; each by the first undo."""
    found: dict[tuple[str, str, str | None], Loss] = {}
    for undo in undos:
        with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_NO_LIMIT)
            for target in _targets(undo.sql):
                for loss in _losses(cursor, undo.version, target, only_append_only=True):
                    found.setdefault((loss.schema, loss.table, loss.column), loss)
    return tuple(found.values())


def _losses(
    cursor: psycopg.Cursor[tuple[Any, ...]], version: str, target: _Target, *, only_append_only: bool = False
) -> Iterator[Loss]:
    if target.search_path is not None:
        cursor.execute("SELECT pg_catalog.set_config('search_path', %s, true)", [target.search_path])
        return
    name = sql.Identifier(*(part for part in (target.schema, target.table) if part)).as_string()
    if target.table is None:
        cursor.execute(sql.SQL(_TABLE + _BY_SCHEMA), [target.schema])
    else:
        cursor.execute(sql.SQL(_TABLE + _BY_NAME), [name])
    for schema, table, append_only in cursor.fetchall():
        if only_append_only and not append_only:
            continue
        if target.column and not cursor.execute(_HAS_COLUMN, [name, target.column]).fetchone():
            continue
        yield Loss(
            version, target.how, schema, table, target.column, _count(cursor, schema, table, target), append_only
        )


def _count(cursor: psycopg.Cursor[tuple[Any, ...]], schema: str, table: str, target: _Target) -> int:
    whole = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
    if target.column:
        whole += sql.SQL(" WHERE {} IS NOT NULL").format(sql.Identifier(target.column))
    row: tuple[Any, ...] | None = None
    if target.rows is not None:
        # A condition may speak of what only the undo itself makes, or fail on some row.
        with (
            contextlib.suppress(psycopg.ProgrammingError, psycopg.DataError),
            cursor.connection.transaction(),
        ):
            row = cursor.execute(target.rows).fetchone()
    if row is None:
        row = cursor.execute(whole).fetchone()
    return int(row[0]) if row else 0


def _targets(script: str) -> Iterator[_Target]:
    import postgast

    for each in postgast.parse(script).stmts:
        node = each.stmt
        yield from _deleted_inside(node)
        match node.WhichOneof("node"):
            case "variable_set_stmt" if node.variable_set_stmt.name.lower() == "search_path":
                names = [each.a_const.sval.sval for each in node.variable_set_stmt.args]
                if names:
                    path = sql.SQL(", ").join(map(sql.Identifier, names))
                    yield _Target("delete", None, None, search_path=path.as_string())
            case "drop_stmt":
                yield from _dropped(node.drop_stmt)
            case "alter_table_stmt":
                relation = node.alter_table_stmt.relation
                for command in node.alter_table_stmt.cmds:
                    if _is(command.alter_table_cmd, "subtype", "AT_DropColumn"):
                        yield _Target("drop column", *_name(relation), column=command.alter_table_cmd.name)
            case "truncate_stmt":
                for relation in node.truncate_stmt.relations:
                    yield _Target("truncate", *_name(relation.range_var))
            case "delete_stmt":
                yield _Target("delete", *_name(node.delete_stmt.relation), rows=_deleted(node.delete_stmt))
            case _:
                pass


def _dropped(statement: Any) -> Iterator[_Target]:
    if _is(statement, "remove_type", "OBJECT_TABLE"):
        for each in statement.objects:
            names = [item.string.sval for item in each.list.items]
            yield _Target("drop table", names[-2] if len(names) > 1 else None, names[-1])
    elif _is(statement, "remove_type", "OBJECT_SCHEMA"):
        for each in statement.objects:
            yield _Target("drop table", each.string.sval, None)


def _deleted_inside(node: Any) -> Iterator[_Target]:
    """DELETE in a WITH clause. Its condition may speak of the rest of the statement: all rows are counted."""
    kind = node.WhichOneof("node")
    if kind not in ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt"):
        return
    for each in getattr(node, kind).with_clause.ctes:
        inside = each.common_table_expr.ctequery
        if inside.WhichOneof("node") == "delete_stmt":
            yield _Target("delete", *_name(inside.delete_stmt.relation))


def _deleted(statement: Any) -> sql.SQL:
    """The DELETE as a query that counts what it would delete."""
    import postgast

    tree = postgast.parse("SELECT count(*) FROM replaced")
    select: Any = tree.stmts[0].stmt.select_stmt
    select.from_clause[0].range_var.CopyFrom(statement.relation)
    for each in statement.using_clause:
        select.from_clause.add().CopyFrom(each)
    if statement.HasField("where_clause"):
        select.where_clause.CopyFrom(statement.where_clause)
    if statement.HasField("with_clause"):
        select.with_clause.CopyFrom(statement.with_clause)
    return sql.SQL(cast("LiteralString", postgast.deparse(tree)))  # the undo's own words, which are to run anyway


def _name(relation: Any) -> tuple[str | None, str]:
    return relation.schemaname or None, relation.relname


def _is(message: Any, field: str, value: str) -> bool:
    number: int = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_name[value].number
    return getattr(message, field) == number
