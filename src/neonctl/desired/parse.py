"""A document → a frozen model, with every shape problem at its line and in words for people.

When a file has problems, what is sound is still handed on for the cross-field rules: broken parts are cut out
(or replaced by a stand-in where the model needs a value) and remembered, so that no rule speaks about them.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from neonctl.desired.problem import NodePath, Problem, shown
from neonctl.frozen import frozen

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from neonctl.desired.document import Document

M = TypeVar("M", bound=BaseModel)
StandIns = Mapping[NodePath, object]

_KEY = "[key]"  # pydantic's mark for "the key itself"
_TYPES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping (`key: value` lines)",
    "mapping_type": "must be a mapping (`key: value` lines)",
    "model_type": "must be a mapping (`key: value` lines)",
    "model_attributes_type": "must be a mapping (`key: value` lines)",
    "tuple_type": "must be a list",
}
_PATTERNS = {
    r"^[a-z][a-z0-9_]{0,62}$": "must start with a small letter and have only small letters, digits and `_`"
    " (at most 63)",
    r"^[a-z][a-z0-9-]{0,30}$": "must start with a small letter and have only small letters, digits and `-`"
    " (at most 31)",
    r"^[0-9]{12}$": "must be 12 digits, in quotes",
    r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$": "must be `schema.table` in small letters",
}


@frozen
class Parsed(Generic[M]):
    """A file after parsing. ``model`` is None when too little of it is sound."""

    document: Document
    model: M | None
    problems: tuple[Problem, ...]
    broken: frozenset[NodePath]

    def touches_broken(self, path: NodePath) -> bool:
        """Whether a rule about ``path`` would speak of something already reported."""
        return any(path[: len(part)] == part or part[: len(path)] == path for part in self.broken)


def parse(document: Document, model: type[M], stand_ins: StandIns) -> Parsed[M]:
    """Validate ``document`` as ``model``.

    ``stand_ins``: harmless values for what the model requires (path, ``*`` for any key → value).
    """
    data, problems, broken = document.data, list(document.problems), set(document.broken)
    if not isinstance(data, dict):
        if not problems:
            problems.append(document.problem((), "must be a mapping (`key: value` lines)"))
        return Parsed(document, None, tuple(problems), frozenset({()}))
    data = cast("dict[str, object]", data)
    found, first = _validate(model, data), True
    while isinstance(found, ValidationError):
        errors = found.errors(include_url=False, include_input=False, include_context=True)
        if first:
            reported = [e for e in errors if not _already_reported(_path(e), document.broken)]
            problems.extend(_problem(document, model, error) for error in reported)
            first = False
        for error in errors:
            broken |= _repair(data, error, stand_ins)
        if () in broken:
            return Parsed(document, None, tuple(problems), frozenset(broken))
        found = _validate(model, data)
    return Parsed(document, found, tuple(problems), frozenset(broken))


def _validate(model: type[M], data: dict[str, object]) -> M | ValidationError:
    # Strict, so that `yes`, "5" and 1 are not taken for each other; as JSON, so that lists may be tuples.
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        return error


def _already_reported(path: NodePath, broken: frozenset[NodePath]) -> bool:
    return any(path[: len(part)] == part for part in broken if part)


def _path(error: ErrorDetails) -> NodePath:
    return tuple(part for part in error["loc"] if part != _KEY)


def _problem(document: Document, model: type[BaseModel], error: ErrorDetails) -> Problem:
    path, context = _path(error), cast("Mapping[str, Any]", error.get("ctx", {}))
    kind, key = error["type"], path[-1] if path else ""
    if kind == "extra_forbidden":
        message = f"unknown key `{shown(key)}`" + _did_you_mean(key, _keys_at(model, path[:-1]))
    elif kind == "missing":
        message = f"`{shown(key)}` is missing"
    elif kind == "literal_error":
        options = [option.strip("'") for option in str(context["expected"]).replace(" or ", ", ").split(", ")]
        given = key if error["loc"][-1] == _KEY else _at(document.data, path)
        message = f"must be one of {', '.join(options)}" + _did_you_mean(given, options)
    elif kind in _TYPES:
        message = _TYPES[kind] + (_quote_hint(_at(document.data, path)) if kind == "string_type" else "")
    else:
        message = _bounds(kind, context)
    return document.problem(path, message)


def _bounds(kind: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "string_pattern_mismatch":
            return _PATTERNS.get(str(context["pattern"]), "has a form that is not allowed")
        case "greater_than_equal":
            return f"must be at least {context['ge']:.12g}"
        case "less_than_equal":
            return f"must be at most {context['le']:.12g}"
        case "too_short":
            return f"needs at least {context['min_length']} entry"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case _:
            return "has a value that is not allowed"  # pydantic's own text could quote the value


def _did_you_mean(given: object, options: list[str]) -> str:
    near = difflib.get_close_matches(given, options, n=1, cutoff=0.6) if isinstance(given, str) else []
    return f": did you mean `{near[0]}`?" if near else ""


def _quote_hint(value: object) -> str:
    return ": put it in quotes" if isinstance(value, int | float) else ""


def _at(data: object, path: NodePath) -> object:
    for part in path:
        if isinstance(data, dict):
            data = cast("dict[str, object]", data).get(str(part))
        elif isinstance(data, list) and isinstance(part, int):
            data = cast("list[object]", data)[part]
        else:
            return None
    return data


def _keys_at(model: type[BaseModel], path: NodePath) -> list[str]:
    """Keys that the model allows at ``path``."""
    kind: Any = model
    for part in path:
        kind = next(_below(kind, part), None)
    return list(kind.model_fields) if _is_model(kind) else []


def _below(kind: Any, part: str | int) -> Iterator[Any]:
    if _is_model(kind):
        field = kind.model_fields.get(part)
        kinds = [field.annotation] if field else []
    else:
        kinds = [argument for argument in get_args(kind) if argument is not Ellipsis][-1:]
    for found in kinds:
        if type(None) in get_args(found) and get_origin(found) is not dict:  # X | None
            yield from (argument for argument in get_args(found) if argument is not type(None))
        else:
            yield found


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _repair(data: dict[str, object], error: ErrorDetails, stand_ins: StandIns) -> set[NodePath]:
    """Cut out or replace what ``error`` is about; returns the paths that no rule may speak about any more."""
    path = _path(error)
    for pattern, value in stand_ins.items():
        if len(pattern) == len(path) and all(p in ("*", q) for p, q in zip(pattern, path, strict=True)):
            holder = _at(data, path[:-1])
            if isinstance(holder, dict) and cast("dict[str, object]", holder).get(str(path[-1])) != value:
                cast("dict[str, object]", holder)[str(path[-1])] = value
                return {path}
    target = path[:-1] if error["type"] == "missing" else path
    # A list keeps its length while problems are being cut out, or the later paths would point elsewhere.
    while target and isinstance(_at(data, target[:-1]), list):
        target = target[:-1]
    if not target:
        return {()}
    holder = _at(data, target[:-1])
    if isinstance(holder, dict):
        cast("dict[str, object]", holder).pop(str(target[-1]), None)
    return {target}
