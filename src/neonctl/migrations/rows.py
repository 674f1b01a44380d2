"""What is in the tables: how many rows, and hashes of them, so that an undo that loses or leaves rows is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import tuple_row

from neonctl.migrations.catalogue import PIN_SETTINGS
from neonctl.postgres.queryfile import query

if TYPE_CHECKING:
    from typing import LiteralString

    import psycopg

TABLES_QUERY: LiteralString = query("rows", "tables", "migrations")
_AT_ONCE = 50  # tables in one query


@dataclass(frozen=True)
class TableRows:
    """The content of one table. Hashes are sums over the rows: their order does not matter."""

    count: int
    rows_hash: str
    column_hashes: Mapping[str, str]

    def other_columns(self, after: TableRows) -> tuple[str, ...]:
        """The columns whose values differ, of those that both have."""
        shared = self.column_hashes.keys() & after.column_hashes.keys()
        return tuple(sorted(name for name in shared if self.column_hashes[name] != after.column_hashes[name]))

    def same(self, after: TableRows) -> bool:
        """Nothing was lost, left or changed. Columns that only one of the two has do not count."""
        if self.count != after.count or self.other_columns(after):
            return False
        return self.column_hashes.keys() != after.column_hashes.keys() or self.rows_hash == after.rows_hash


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    signature: object
    columns: tuple[str, ...]


class RowBook:
    """The content of every table, kept up to date by reading only those that may have changed."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        self._tables: dict[str, _Table] = {}
        self._known: dict[str, TableRows] = {}
        self.filled = 0  # tables with rows

    def note(self, answer: Sequence[str], *, sure: bool = True) -> None:
        """Take in what ``TABLES_QUERY`` answered in the transaction of a script.

        ``sure`` is False when it ran elsewhere, so that it cannot know which rows the script touched.
        """
        tables: dict[str, _Table] = {}
        known: dict[str, TableRows] = {}
        for line in answer:
            schema, name, key, signature, touched, has_rows, columns = json.loads(line)
            table = _Table(schema, name, signature, tuple(columns))
            tables[key] = table
            if not has_rows:
                known[key] = TableRows(0, "0", dict.fromkeys(columns, "0"))
            elif sure and touched == 0 and self._tables.get(key) == table and key in self._known:
                known[key] = self._known[key]
        self._tables, self._known = tables, known
        self.filled = filled_tables(answer)

    def read(self) -> Mapping[str, TableRows]:
        """The content of every table, by qualified name. Raises ``psycopg.Error`` as the driver does."""
        unknown = [key for key in self._tables if key not in self._known]
        for start in range(0, len(unknown), _AT_ONCE):
            self._known.update(self._count(unknown[start : start + _AT_ONCE]))
        return dict(self._known)

    def count_statement(self, keys: Sequence[str]) -> sql.Composed:
        """One statement that answers the number of rows of each table, in their order, as a JSON array."""
        counts = [
            sql.SQL("(SELECT count(*) FROM ONLY {})").format(sql.Identifier(table.schema, table.name))
            for table in (self._tables[key] for key in keys)
        ]
        return sql.SQL("SELECT jsonb_build_array({})").format(sql.SQL(", ").join(counts))

    def _count(self, keys: Sequence[str]) -> Iterator[tuple[str, TableRows]]:
        statement = sql.SQL(" UNION ALL ").join(_contents(key, self._tables[key]) for key in keys)
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            # A big table takes as long as it takes: the migrations' time limit is not meant for this.
            cursor.execute(sql.SQL(PIN_SETTINGS + ";\nSET LOCAL statement_timeout = 0;\n") + statement)
            cursor.nextset()
            cursor.nextset()
            for key, count, rows_hash, column_hashes in cursor:
                columns = self._tables[key].columns
                yield key, TableRows(count, rows_hash, dict(zip(columns, column_hashes, strict=True)))


def filled_tables(answer: Sequence[str]) -> int:
    """How many of the tables that ``TABLES_QUERY`` answered have rows."""
    return sum(1 for line in answer if json.loads(line)[5])


def _contents(key: str, table: _Table) -> sql.Composed:
    columns = [sql.SQL("t.{}").format(sql.Identifier(name)) for name in table.columns]
    hashed = [_sum(sql.SQL("{}::text").format(column)) for column in columns]
    return sql.SQL("SELECT {}, count(*), {}, ARRAY[{}]::text[] FROM ONLY {} AS t").format(
        sql.Literal(key),
        _sum(sql.SQL("ROW({})::text").format(sql.SQL(", ").join(columns))),
        sql.SQL(", ").join(hashed),
        sql.Identifier(table.schema, table.name),
    )


def _sum(text: sql.Composable) -> sql.Composed:
    """64 bits against accidents, summed up without overflow; "C", since a collation may take two texts for equal."""
    return sql.SQL('coalesce(sum(hashtextextended(({}) COLLATE "C", 0)::numeric), 0)::text').format(text)
