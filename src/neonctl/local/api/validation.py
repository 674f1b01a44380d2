"""Small rules for JSON bodies and query strings, in the terms of OpenAPI 3.0.

A rule takes a value and the place where it stands, and returns the value (a date-time comes back as an aware
``datetime``) or raises ``ApiError`` 400. Properties that no rule names are ignored, as Neon ignores them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from neonctl.local.api.failures import bad_request

Rule = Callable[[object, str], Any]

_DATE_TIME = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$")
ID_PATTERN = re.compile(r"^[a-z0-9-]{1,60}$")


def string(
    *,
    minimum: int = 0,
    maximum: int | None = None,
    pattern: re.Pattern[str] | None = None,
    one_of: tuple[str, ...] | None = None,
) -> Rule:
    """Text whose length lies in ``minimum..maximum`` characters, that matches and is listed."""

    def rule(value: object, where: str) -> str:
        if not isinstance(value, str):
            raise bad_request(f"{where} must be a string")
        if len(value) < minimum or (maximum is not None and len(value) > maximum):
            raise bad_request(f"{where} must have {minimum} to {maximum or 'any number of'} characters")
        if pattern is not None and not pattern.match(value):
            raise bad_request(f"{where} must match {pattern.pattern}")
        if one_of is not None and value not in one_of:
            raise bad_request(f"{where} must be one of {', '.join(one_of)}")
        return value

    return rule


def integer(*, minimum: int | None = None, maximum: int | None = None) -> Rule:
    """A whole number in ``minimum..maximum``; ``true`` is not one."""

    def rule(value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise bad_request(f"{where} must be an integer")
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            raise bad_request(f"{where} must be between {minimum} and {maximum}")
        return int(value)

    return rule


def number(*, minimum: float) -> Rule:
    """A number not below ``minimum``."""

    def rule(value: object, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad_request(f"{where} must be a number")
        if value < minimum:
            raise bad_request(f"{where} must be at least {minimum}")
        return float(value)

    return rule


def boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise bad_request(f"{where} must be a boolean")
    return value


def moment(value: object, where: str) -> datetime:
    """RFC 3339 with a zone, returned in UTC."""
    if not isinstance(value, str) or not _DATE_TIME.match(value):
        raise bad_request(f"{where} must be an RFC 3339 date-time with a zone")
    try:
        return datetime.fromisoformat(value.upper().replace("Z", "+00:00")).astimezone(UTC)
    except ValueError as error:
        raise bad_request(f"{where} must be an RFC 3339 date-time with a zone") from error


def nullable(inner: Rule) -> Rule:
    """The same, or null."""

    def rule(value: object, where: str) -> Any:
        return None if value is None else inner(value, where)

    return rule


def array(inner: Rule) -> Rule:
    """A list of such values."""

    def rule(value: object, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise bad_request(f"{where} must be an array")
        items = cast("list[object]", value)
        return [inner(item, f"{where}[{index}]") for index, item in enumerate(items)]

    return rule


def mapping(*, maximum: int | None = None) -> Rule:
    """Free keys with text values, ``maximum`` of them at most."""

    def rule(value: object, where: str) -> dict[str, str]:
        if not isinstance(value, dict):
            raise bad_request(f"{where} must be an object")
        entries = cast("dict[str, object]", value)
        if maximum is not None and len(entries) > maximum:
            raise bad_request(f"{where} may have {maximum} properties at most")
        text = string()
        return {key: text(item, f"{where}.{key}") for key, item in entries.items()}

    return rule


def members(properties: Mapping[str, Rule], *, required: tuple[str, ...] = ()) -> Rule:
    """An object; only the named properties come back."""

    def rule(value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise bad_request(f"{where} must be an object")
        entries = cast("dict[str, object]", value)
        for name in required:
            if name not in entries:
                raise bad_request(f"{where}.{name} is required")
        return {name: inner(entries[name], f"{where}.{name}") for name, inner in properties.items() if name in entries}

    return rule


def whole_number_text(*, minimum: int, maximum: int) -> Rule:
    """A whole number as it stands in a query string."""
    check = integer(minimum=minimum, maximum=maximum)

    def rule(value: object, where: str) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
            raise bad_request(f"{where} must be an integer")
        return check(int(value), where)

    return rule


def truth_text(value: object, where: str) -> bool:
    """``true`` or ``false`` as it stands in a query string."""
    if value not in ("true", "false"):
        raise bad_request(f"{where} must be true or false")
    return value == "true"


identifier = string(pattern=ID_PATTERN)
