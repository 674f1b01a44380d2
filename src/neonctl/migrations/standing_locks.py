"""The locks of statements that run outside a transaction.

When such a statement ends, its locks are gone, so nobody can look at them afterwards; but which ones it holds all the
while is known from its kind (PostgreSQL's documentation of explicit locking).
"""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_WEAK, _STRONG = "SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"


@dataclass(frozen=True)
class StandingLock:
    """A relation by its name as written, and the mode. ``of_index``: the table of that index is meant too."""

    name: tuple[str, ...]
    mode: str
    of_index: bool = False


def standing_locks(node: Any) -> tuple[StandingLock, ...]:
    """What this statement holds while it runs; ``()`` for a kind that locks no relation that can be named."""
    return tuple(_locks(node))


def _locks(node: Any) -> Iterator[StandingLock]:
    kind = node.WhichOneof("node")
    statement: Any = getattr(node, kind)
    match kind:
        case "index_stmt":
            yield StandingLock(_name(statement.relation), _WEAK if statement.concurrent else "SHARE")
        case "drop_stmt" if statement.concurrent:
            for item in statement.objects:
                yield StandingLock(tuple(part.string.sval for part in item.list.items), _WEAK, of_index=True)
        case "reindex_stmt" if statement.HasField("relation"):
            concurrent = any(each.def_elem.defname == "concurrently" for each in statement.params)
            yield StandingLock(_name(statement.relation), _WEAK if concurrent else "SHARE", of_index=True)
        case "vacuum_stmt":
            full = any(each.def_elem.defname == "full" for each in statement.options)
            for each in statement.rels:
                yield StandingLock(_name(each.vacuum_relation.relation), _STRONG if full else _WEAK)
        case "cluster_stmt" if statement.HasField("relation"):
            yield StandingLock(_name(statement.relation), _STRONG)
        case "alter_table_stmt":
            yield StandingLock(_name(statement.relation), _WEAK)
            for each in statement.cmds:
                definition = getattr(each.alter_table_cmd, "def")
                if definition.WhichOneof("node") == "partition_cmd":
                    # At its end only, for a moment; counted from the beginning like everything here.
                    yield StandingLock(_name(definition.partition_cmd.name), _STRONG)
        case _:
            return


def _name(relation: Any) -> tuple[str, ...]:
    return (relation.schemaname, relation.relname) if relation.schemaname else (relation.relname,)
