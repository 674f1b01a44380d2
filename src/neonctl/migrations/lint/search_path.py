"""SECURITY DEFINER runs with its owner's rights, so it must not find what its caller put in the way."""

# The parser's nodes are made by protobuf at run time.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def unsafe_search_path(node: Any) -> str | None:
    """Why this CREATE or ALTER of a function leaves its search_path to others; None if it does not.

    pg_temp must be named, and last: unnamed, it is searched first, for tables and types. An ALTER that touches
    search_path is held to the same, since what the function was made with cannot be seen from here.
    """
    kind = node.WhichOneof("node")
    if kind == "create_function_stmt":
        statement = node.create_function_stmt
        name = ".".join(each.string.sval for each in statement.funcname)
        options = [each.def_elem for each in statement.options]
    elif kind == "alter_function_stmt":
        statement = node.alter_function_stmt
        name = ".".join(each.string.sval for each in statement.func.objname)
        options = [each.def_elem for each in statement.actions]
    else:
        return None
    settings = [each.arg.variable_set_stmt for each in options if each.defname == "set"]
    paths = [each for each in settings if each.name.lower() == "search_path" or _resets_all(each)]
    definer = any(each.defname == "security" and each.arg.boolean.boolval for each in options)
    if paths and _ends_with_pg_temp(paths[-1]):
        return None
    if definer:
        return f"{name} is SECURITY DEFINER without SET search_path = …, pg_temp"
    if kind == "alter_function_stmt" and paths:
        return f"{name} gets a search_path that does not end with pg_temp"
    return None


def _resets_all(setting: Any) -> bool:
    return not setting.name and not setting.args


def _ends_with_pg_temp(setting: Any) -> bool:
    names: Sequence[Any] = [each.a_const.sval.sval for each in setting.args]
    return bool(names) and names[-1] == "pg_temp"
