"""What the API refuses, as Neon words it: a status, a code (often empty) and a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """A refusal that is answered as ``{"request_id", "code", "message"}`` (GeneralError of the document)."""

    def __init__(self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def not_found(what: str) -> ApiError:
    return ApiError(404, f"{what} not found")


def unprocessable(message: str, code: str = "") -> ApiError:
    return ApiError(422, message, code=code)


def locked() -> ApiError:
    """Operations of a project run one after another; nothing new is scheduled meanwhile (facts.md 6)."""
    return ApiError(423, "project already has running conflicting operations, scheduling of new ones is prohibited")
