"""Pages and their tokens. A token names the last row that was given, so rows that come or go between two
pages neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, TypeVar, cast

from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def page(
    rows: Iterable[T],
    *,
    key: Callable[[T], tuple[float | str, ...]],
    limit: int,
    token: str | None,
    refusal: str,
    descending: bool = False,
) -> tuple[list[T], str | None]:
    """Sort ``rows`` by ``key`` (which must be unique) and cut one page.

    Returns the page and the next token, None on the last page. A token that is not ours raises
    AwsError(``refusal``).
    """
    ordered = sorted(rows, key=key, reverse=descending)
    if token is not None:
        last = _decode(token, refusal)
        try:
            ordered = [row for row in ordered if (key(row) < last if descending else key(row) > last)]
        except TypeError:
            raise AwsError(refusal, "The specified token is not valid") from None
    taken = ordered[:limit]
    more = len(ordered) > limit
    return taken, _encode(key(taken[-1])) if more else None


def _encode(key: tuple[float | str, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _decode(token: str, refusal: str) -> tuple[Any, ...]:
    try:
        value: object = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error):
        value = None
    if not isinstance(value, list) or not value:
        raise AwsError(refusal, "The specified token is not valid")
    return tuple(cast("list[Any]", value))
