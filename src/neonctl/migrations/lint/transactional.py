"""Statements that PostgreSQL refuses inside a transaction, recognised by their node."""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

_ALWAYS = {
    "createdb_stmt": "CREATE DATABASE",
    "dropdb_stmt": "DROP DATABASE",
    "create_table_space_stmt": "CREATE TABLESPACE",
    "drop_table_space_stmt": "DROP TABLESPACE",
    "alter_system_stmt": "ALTER SYSTEM",
}
_WHOLE = ("REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_DATABASE", "REINDEX_OBJECT_SYSTEM")
_NO = ("false", "off", "no", "0")


def needs_no_transaction(node: Any) -> str | None:
    """What this statement is called if it cannot run in a transaction; None if it can.

    Left to the server, because it depends on what is there: REINDEX of a partitioned table, CALL of a procedure that
    commits.
    """
    kind = node.WhichOneof("node")
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    statement: Any = getattr(node, kind) if kind else None
    match kind:
        case "index_stmt" if statement.concurrent:
            return "CREATE INDEX CONCURRENTLY"
        case "drop_stmt" if statement.concurrent:
            return "DROP INDEX CONCURRENTLY"
        case "reindex_stmt":
            return _reindex(statement)
        case "vacuum_stmt" if statement.is_vacuumcmd:
            return "VACUUM"
        case "cluster_stmt" if not statement.HasField("relation"):
            return "CLUSTER without a table"
        case "discard_stmt" if statement.target == _enum(statement, "target", "DISCARD_ALL"):
            return "DISCARD ALL"
        case "alter_table_stmt":
            return _detach(statement)
        case "alter_database_stmt" if any(each.def_elem.defname == "tablespace" for each in statement.options):
            return "ALTER DATABASE SET TABLESPACE"
        case "create_subscription_stmt" if not _option_off(statement.options, "connect", "create_slot"):
            return "CREATE SUBSCRIPTION"
        case "drop_subscription_stmt":
            return "DROP SUBSCRIPTION"
        case _:
            return None


def _reindex(statement: Any) -> str | None:
    if any(each.def_elem.defname == "concurrently" and _on(each.def_elem) for each in statement.params):
        return "REINDEX CONCURRENTLY"
    if statement.kind in [_enum(statement, "kind", name) for name in _WHOLE]:
        return "REINDEX of a schema or database"
    return None


def _detach(statement: Any) -> str | None:
    for each in statement.cmds:
        command = each.alter_table_cmd
        definition = getattr(command, "def")
        if definition.WhichOneof("node") == "partition_cmd" and definition.partition_cmd.concurrent:
            return "DETACH PARTITION CONCURRENTLY"
    return None


def _option_off(options: Any, *names: str) -> bool:
    return any(each.def_elem.defname in names and not _on(each.def_elem) for each in options)


def _on(option: Any) -> bool:
    """A boolean option: without a value it is on."""
    if not option.HasField("arg"):
        return True
    kind = option.arg.WhichOneof("node")
    if kind == "boolean":
        return option.arg.boolean.boolval
    if kind == "integer":
        return option.arg.integer.ival != 0
    return option.arg.string.sval.lower() not in _NO


def _enum(message: Any, name: str, value: str) -> int:
    """The number that protobuf gives an enumeration's value."""
    return message.DESCRIPTOR.fields_by_name[name].enum_type.values_by_name[value].number
