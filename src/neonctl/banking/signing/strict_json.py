"""JSON that means one thing only: what is signed must not read differently elsewhere."""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

_LARGEST = 2**53 - 1  # beyond it readers disagree about whole numbers (RFC 8785, I-JSON)


def object_of(text: bytes | str) -> dict[str, Any]:
    """The JSON object in ``text``.

    Raises ``ValueError`` for anything else, duplicate members, fractions, NaN, numbers beyond 2^53, text that is not
    UTF-8, and nesting that no document here has.
    """
    try:
        plain = text.decode("utf-8") if isinstance(text, bytes) else text
        found = json.loads(
            plain, object_pairs_hook=_once, parse_float=_refused, parse_constant=_refused, parse_int=_whole
        )
        plain.encode("utf-8")  # no half of a surrogate pair
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # the text is wrong, not the caller
    return cast("dict[str, Any]", found)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    for name, value in pairs:
        for each in (name, value):
            if isinstance(each, str):
                each.encode("utf-8")
    return members


def _whole(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _LARGEST:
        raise ValueError("a number is too large")
    return int(digits)


def _refused(_: str) -> NoReturn:
    raise ValueError("a number is not whole")
