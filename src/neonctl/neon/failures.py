"""HTTP and silence → errors a person can act on. The only place that words what Neon refuses.

Each message reads ``X could not be Yed: human cause; Neon said: "…" (request id …)`` and carries one hint.
Response bodies never get further than this module, and its texts are cleaned of credentials.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neonctl.errors import ServiceError
from neonctl.frozen import frozen
from neonctl.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_QUOTE = 300
_PLAN_LIMIT = re.compile(r"\b(?:limits?|quota|plan)\b|\bexceed", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(://[^\s:/@]*):[^\s@]*@|npg_\w+|napi_\w+|(?<=Bearer )\S+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


class TemporaryServiceError(ServiceError):
    """Neon is busy or out of reach: running the same command again may succeed, finished steps are kept."""

    retryable = True


@frozen
class Doing:
    """What is being tried, for messages: ``Doing("branch `dev`", "created")``."""

    subject: str
    verb: str

    def __str__(self) -> str:
        return f"{self.subject} could not be {self.verb}"


@frozen
class Refusal:
    """What an HTTP answer says about itself. ``message`` and ``code`` are Neon's own (GeneralError)."""

    status: int
    message: str = ""
    code: str = ""
    request_id: str = ""
    retry_after: float | None = None

    @property
    def not_ready(self) -> bool:
        """A branch just made may refuse with 422 until it is ready (facts.md 3): nothing was done."""
        return self.status == 422 and "not ready" in self.message.lower()


@frozen
class _Wording:
    code: str
    cause: str
    hint: str
    temporary: bool = False


_AGAIN = "run the same command again in a while; finished steps are kept"

_WORDINGS: Mapping[int, _Wording] = {
    401: _Wording(
        "NEON_UNAUTHORIZED",
        "Neon does not accept the API key",
        "check NEON_API_KEY (or the secret that neon.api_key_secret names): it may be mistyped or revoked",
    ),
    403: _Wording(
        "NEON_FORBIDDEN",
        "the API key may not do this",
        "use a key of the organization that owns the project, with the right to change it",
    ),
    404: _Wording(
        "NEON_NOT_FOUND",
        "Neon does not know it",
        "it may have been deleted meanwhile: run `neonctl plan` to see what is there",
    ),
    409: _Wording(
        "NEON_CONFLICT",
        "it conflicts with what exists already",
        "run `neonctl plan` to see what is there; something else may be changing the project",
    ),
    412: _Wording(
        "NEON_PRECONDITION",
        "the project is not set up for it",
        "passwords can be read only where the project stores them (store_passwords)",
    ),
    422: _Wording(
        "NEON_INVALID",
        "Neon does not accept the values",
        "correct the named value in the YAML and run the same command again",
    ),
    423: _Wording(
        "NEON_LOCKED",
        "the project is locked by other operations that are still running",
        _AGAIN,
        temporary=True,
    ),
    429: _Wording("NEON_RATE_LIMITED", "Neon's rate limit is used up", _AGAIN, temporary=True),
}
_PLAN_LIMIT_WORDING = _Wording(
    "NEON_PLAN_LIMIT",
    "the Neon plan in use does not allow it",
    "delete what is no longer needed, or move the organization to a larger Neon plan",
)
_SERVER = _Wording("NEON_FAILED", "Neon failed to answer properly", f"{_AGAIN} (see https://neonstatus.com)", True)
_OTHER = _Wording("NEON_REFUSED", "Neon refused", "check the values in the YAML against Neon's message")


def refused(doing: Doing, refusal: Refusal) -> ServiceError:
    """The error for an HTTP answer other than success."""
    wording = _wording(refusal)
    text = f"{doing}: {wording.cause}"
    if refusal.retry_after is not None:
        text += f" (it asks to wait {refusal.retry_after:g} s)"
    details: dict[str, object] = {"status": refusal.status}
    if said := _clean(refusal.message):
        text += f'; Neon said: "{said}"'
        details["neon_message"] = said
    if code := _clean(refusal.code):
        details["neon_code"] = code
    if request_id := _clean(refusal.request_id):
        text += f" (request id {request_id})"
        details["request_id"] = request_id
    kind = TemporaryServiceError if wording.temporary else ServiceError
    return kind(wording.code, text, hint=wording.hint, details=details)


def unreachable(doing: Doing, host: str, reason: str) -> ServiceError:
    """The error for no HTTP answer at all. ``reason``: why, in words that hold no credentials."""
    return TemporaryServiceError(
        "NEON_UNREACHABLE",
        f"{doing}: no answer from {host}: {_clean(reason)}",
        hint="check the network, a proxy and NEON_API_HOST; `--local` works without Neon",
        details={"host": host},
    )


def operation_failed(doing: Doing, *, action: str, status: str, error: str, details: dict[str, object]) -> ServiceError:
    """The error for accepted work that Neon did not finish."""
    why = _clean(error) or "Neon gives no reason"
    place = f" on branch {details['branch_id']}" if details.get("branch_id") else ""
    return ServiceError(
        "NEON_OPERATION_FAILED",
        f"{doing}: Neon's operation {action}{place} {_ENDED.get(status, 'failed')}: {why}",
        hint=f"{_AGAIN}; if it fails again, tell Neon's support the operation {details.get('operation_id')}",
        details={**details, "action": action, "operation_status": status, "neon_message": why},
    )


_ENDED: Mapping[str, str] = {"cancelled": "was cancelled"}


def took_too_long(doing: Doing, awaited: str, budget: float) -> ServiceError:
    """The error for accepted work that is not finished when patience ends."""
    return TemporaryServiceError(
        "NEON_TIMEOUT",
        f"{doing}: {awaited} is not finished after {budget:g} s",
        hint="Neon goes on working: run the same command again to continue where this stopped",
        details={"awaited": awaited},
    )


def unexpected(doing: Doing, what: str) -> ServiceError:
    """The error for an answer that is not what Neon's API document says."""
    return ServiceError(
        "NEON_UNEXPECTED",
        f"{doing}: Neon's answer is not understood: {_clean(what)}",
        hint="check that NEON_API_HOST ends with /api/v2; a newer neonctl may know this answer",
    )


def _wording(refusal: Refusal) -> _Wording:
    if refusal.status in (402, 403, 409, 422) and _names_a_limit(refusal):
        return _PLAN_LIMIT_WORDING
    if refusal.status >= 500:
        return _SERVER
    return _WORDINGS.get(refusal.status, _OTHER)


def _names_a_limit(refusal: Refusal) -> bool:
    return "LIMIT" in refusal.code.upper() or bool(_PLAN_LIMIT.search(refusal.message))


def _clean(text: str) -> str:
    """One line, of bounded length, in which nothing looks like a password, key or URI with a password."""
    line = _CONTROL.sub(" ", text).strip()
    line = _CREDENTIALS.sub(lambda match: f"{match[1]}:{MASK}@" if match[1] else MASK, line)
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"
