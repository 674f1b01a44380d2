"""A boto3 client that is cut, answered late or repeated at a chosen call; the calls themselves are real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ReadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed(BaseException):
    """The process ends here: nothing may catch it."""


class Cutting:
    """``at``: the number of the call, from 1. ``how``: before or after (killed), lost (no answer came)."""

    def __init__(self, client: Any, *, at: int = 0, how: str = "") -> None:
        self._client = client
        self._at = at
        self._how = how
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._client, name)

        def call(**arguments: Any) -> Any:
            self.calls.append(name)
            chosen = len(self.calls) == self._at
            if chosen and self._how == "before":
                raise Killed
            try:
                return function(**arguments)
            finally:  # a refusal is an answer too
                if chosen and self._how == "after":
                    raise Killed
                if chosen and self._how == "lost":
                    raise ReadTimeoutError(endpoint_url="https://aws.example")

        return call


class Repeating:
    """Every call is made twice, as the SDK does when the first answer is lost; the second answer counts."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._client, name)

        def call(**arguments: Any) -> Any:
            function(**arguments)
            return function(**arguments)

        return call
