"""What a migration makes and its undo does not drop: a hint, long before the proof."""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neonctl.migrations.lint.finding import Finding
from neonctl.migrations.lint.fragment import Fragment, Script
from neonctl.migrations.lint.rules import NOT_TAKEN_BACK
from neonctl.migrations.lint.statements import parsed

_TEMPORARY = "t"


@dataclass(frozen=True)
class _Thing:
    """Something with a name. ``holder`` is the table it goes with, or the schema it goes with under CASCADE."""

    kind: str
    name: str
    holder: str = ""
    start: int = 0


def twin_findings(up: Script, down: Script) -> tuple[Finding, ...]:
    """Each object that ``up`` makes and ``down`` neither drops nor makes anew. Names are compared without schemas.

    An undo with a DO block is taken at its word: what it drops cannot be read from it.
    """
    fragment = Fragment(up.path, up.sql, whole=True)
    made, undone = parsed(fragment), parsed(Fragment(down.path, down.sql))
    if isinstance(made, Finding) or isinstance(undone, Finding):
        return ()
    if any(each.stmt.WhichOneof("node") == "do_stmt" for each in undone):
        return ()
    gone = {name for each in (*made, *undone) for name in _dropped(each.stmt)}
    gone |= {thing.name for each in undone for thing in _made(each.stmt, 0)}
    return tuple(
        fragment.finding(
            NOT_TAKEN_BACK,
            f"{thing.kind} {thing.name} is made here, and {down.path.name} does not drop it",
            fragment.offset(thing.start),
        )
        for each in made
        for thing in _made(each.stmt, each.stmt_location)
        if thing.name and thing.name not in gone and thing.holder not in gone
    )


def _made(node: Any, start: int) -> Iterator[_Thing]:
    kind = node.WhichOneof("node")
    statement: Any = getattr(node, kind) if kind else None
    match kind:
        case "create_stmt" if statement.relation.relpersistence != _TEMPORARY:
            yield _relation("table", statement.relation, start)
        case "create_table_as_stmt" if statement.into.rel.relpersistence != _TEMPORARY:
            yield _relation("table", statement.into.rel, start)
        case "view_stmt" if statement.view.relpersistence != _TEMPORARY:
            yield _relation("view", statement.view, start)
        case "create_seq_stmt" if statement.sequence.relpersistence != _TEMPORARY:
            yield _relation("sequence", statement.sequence, start)
        case "composite_type_stmt":
            yield _relation("type", statement.typevar, start)
        case "index_stmt":
            yield _Thing("index", statement.idxname, statement.relation.relname, start)
        case "create_trig_stmt":
            yield _Thing("trigger", statement.trigname, statement.relation.relname, start)
        case "create_policy_stmt":
            yield _Thing("policy", statement.policy_name, statement.table.relname, start)
        case "create_enum_stmt" | "create_range_stmt":
            yield _named("type", statement.type_name, start)
        case "create_domain_stmt":
            yield _named("domain", statement.domainname, start)
        case "create_function_stmt":
            yield _named("procedure" if statement.is_procedure else "function", statement.funcname, start)
        case "create_stats_stmt":
            yield _named("statistics", statement.defnames, start)
        case "create_schema_stmt":
            yield _Thing("schema", statement.schemaname, start=start)
        case "create_publication_stmt":
            yield _Thing("publication", statement.pubname, start=start)
        case "create_extension_stmt":
            yield _Thing("extension", statement.extname, start=start)
        case "alter_table_stmt":
            yield from _added(statement, start)
        case _:
            pass


def _added(statement: Any, start: int) -> Iterator[_Thing]:
    for each in statement.cmds:
        definition = getattr(each.alter_table_cmd, "def")
        kind = definition.WhichOneof("node")
        if kind == "constraint":
            yield _Thing("constraint", definition.constraint.conname, statement.relation.relname, start)
        elif kind == "column_def" and each.alter_table_cmd.name == "":  # with a name, it is ALTER COLUMN
            yield _Thing("column", definition.column_def.colname, statement.relation.relname, start)


def _relation(kind: str, relation: Any, start: int) -> _Thing:
    return _Thing(kind, relation.relname, relation.schemaname, start)


def _named(kind: str, names: Any, start: int) -> _Thing:
    words = [each.string.sval for each in names]
    return _Thing(kind, words[-1], words[0] if len(words) > 1 else "", start)


def _dropped(node: Any) -> Iterator[str]:
    kind = node.WhichOneof("node")
    if kind == "drop_stmt":
        for each in node.drop_stmt.objects:
            yield from _last_name(each)
    elif kind == "alter_table_stmt":
        for each in node.alter_table_stmt.cmds:
            if each.alter_table_cmd.name and not each.alter_table_cmd.HasField("def"):
                yield each.alter_table_cmd.name  # DROP COLUMN, DROP CONSTRAINT
    elif kind == "rename_stmt":
        yield node.rename_stmt.subname or node.rename_stmt.relation.relname


def _last_name(dropped: Any) -> Iterator[str]:
    match dropped.WhichOneof("node"):
        case "list":
            yield dropped.list.items[-1].string.sval
        case "string":
            yield dropped.string.sval
        case "type_name":
            yield dropped.type_name.names[-1].string.sval
        case "object_with_args":
            yield dropped.object_with_args.objname[-1].string.sval
        case _:
            pass
