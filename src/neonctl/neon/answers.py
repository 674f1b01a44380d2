"""What an HTTP answer, or its absence, says: read into plain values, worded in ``failures``."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, cast

import httpx

from neonctl.neon.failures import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def refusal(response: httpx.Response, now: datetime, mask: Callable[[str], str]) -> Refusal:
    """What an answer other than success says. ``mask`` hides the API key should Neon quote it."""
    try:
        parsed: object = response.json()
    except ValueError:  # an HTML page of a proxy, for example
        parsed = None
    said: Mapping[str, object] = cast("Mapping[str, object]", parsed) if isinstance(parsed, dict) else {}

    def text(name: str) -> str:
        value = said.get(name)
        return mask(value) if isinstance(value, str) else ""

    return Refusal(
        status=response.status_code,
        message=text("message"),
        code=text("code"),
        request_id=text("request_id") or response.headers.get("x-request-id", ""),
        retry_after=_retry_after(response, now),
    )


def _retry_after(response: httpx.Response, now: datetime) -> float | None:
    """Seconds to wait: the header holds seconds or an HTTP date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    when = _http_date(value)
    if when is None:
        return None
    # Neon's own clock, when it gives one: ours may be wrong.
    since = _http_date(response.headers.get("date", "")) or now
    return max((when - since).total_seconds(), 0.0)


def _http_date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def reason(error: httpx.RequestError) -> str:
    """Why there is no answer, in words that quote no header."""
    if isinstance(error, httpx.ConnectError):
        return str(error)  # the operating system's words
    if isinstance(error, httpx.TimeoutException):
        return "it takes too long"
    if isinstance(error, httpx.ProxyError):
        return "the proxy refuses"
    return "the connection broke"  # other texts may quote headers
