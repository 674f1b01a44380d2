"""One SQLite table per frozen dataclass: the fields are the columns."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from neonctl.secret import Secret

if typing.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")


class Seal(typing.Protocol):
    """Makes text unreadable at rest and readable again."""

    def close(self, text: str) -> str: ...

    def open(self, text: str) -> str: ...


def _moment(value: datetime) -> str:
    """One fixed width in UTC, so that text order is time order."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _writer(kind: object, seal: Seal) -> Callable[[Any], object]:
    if kind is datetime:
        return _moment
    if kind is Secret:
        return lambda value: seal.close(value.reveal())
    if kind is bool:
        return int
    if typing.get_origin(kind) is dict:
        return lambda value: json.dumps(value, sort_keys=True)
    return lambda value: value


def _reader(kind: object, seal: Seal) -> Callable[[Any], object]:
    if kind is datetime:
        return datetime.fromisoformat
    if kind is Secret:
        return lambda value: Secret(seal.open(value))
    if kind is bool:
        return bool
    if typing.get_origin(kind) is dict:
        return json.loads
    return lambda value: value


def _plain(kind: Any) -> object:
    """``X | None`` → ``X``."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(item for item in typing.get_args(kind) if item is not type(None))
    return kind


class Table(Generic[Row]):
    """Reads and writes rows of one type. Names come from the dataclass, values are always bound."""

    def __init__(
        self, db: sqlite3.Connection, name: str, row_type: type[Row], key: tuple[str, ...], seal: Seal
    ) -> None:
        self._db = db
        self._name = name
        self._type = row_type
        self._key = key
        hints = typing.get_type_hints(row_type)
        self._columns = tuple(item.name for item in dataclasses.fields(cast("Any", row_type)))
        kinds = [_plain(hints[column]) for column in self._columns]
        self._writers = [_writer(kind, seal) for kind in kinds]
        self._readers = [_reader(kind, seal) for kind in kinds]
        db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(self._columns)}, PRIMARY KEY ({', '.join(key)}))")

    def put(self, row: Row) -> None:
        """Insert the row, or replace the one with the same key."""
        values = [getattr(row, column) for column in self._columns]
        bound = [None if value is None else write(value) for value, write in zip(values, self._writers, strict=True)]
        marks = ", ".join("?" * len(bound))
        self._db.execute(f"INSERT OR REPLACE INTO {self._name} VALUES ({marks})", bound)  # noqa: S608

    def select(self, where: str = "1", parameters: Sequence[object] = ()) -> list[Row]:
        """Rows that satisfy ``where`` (SQL with ``?`` marks; may end in ORDER BY and LIMIT)."""
        columns = ", ".join(self._columns)
        found = self._db.execute(
            f"SELECT {columns} FROM {self._name} WHERE {where}",  # noqa: S608
            [_moment(value) if isinstance(value, datetime) else value for value in parameters],
        )
        return [self._row(values) for values in found.fetchall()]

    def get(self, *key: object) -> Row | None:
        """The row with this key."""
        condition = " AND ".join(f"{column} = ?" for column in self._key)
        return next(iter(self.select(condition, key)), None)

    def delete(self, where: str, parameters: Sequence[object]) -> None:
        """Forget the rows that satisfy ``where``."""
        self._db.execute(f"DELETE FROM {self._name} WHERE {where}", parameters)  # noqa: S608

    def next(self, column: str) -> int:
        """One more than the highest number in ``column``."""
        found = self._db.execute(f"SELECT coalesce(max({column}), 0) + 1 FROM {self._name}")  # noqa: S608
        return int(found.fetchone()[0])

    def _row(self, values: Sequence[object]) -> Row:
        read = [None if value is None else reader(value) for value, reader in zip(values, self._readers, strict=True)]
        return self._type(*read)
