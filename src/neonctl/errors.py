"""The tree of errors. Each carries what a user and a script need; adapters translate foreign errors into these.

    NeonctlError                1   failed
      UnsafePlanError           3   refused, or confirmation missing
      PlanChangedError          4   the plan is not the reviewed one
      DidNotConvergeError       4   something is left to do after everything was done
      ServiceError              5   Neon, AWS or Postgres refused or was unreachable
      UsageError               64   the command or its files are wrong
        ConfigError            64   the YAML is wrong (every problem at once)
      RetryableError           75   try again (lock, concurrent modification)

130 (interrupted) is given by the terminal itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class NeonctlError(Exception):
    """A failure that is told to the user in one line, without a traceback.

    ``code`` is stable and upper case (``NEON_LOCKED``); ``hint`` says what to do next; ``details`` holds
    JSON-safe facts and never a secret.
    """

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details: dict[str, object] = dict(details or {})


class UnsafePlanError(NeonctlError):
    """The plan would do what nobody allowed, or confirmation is missing."""

    exit_code = 3


class PlanChangedError(NeonctlError):
    """``--expect`` names another plan than the one at hand."""

    exit_code = 4


class DidNotConvergeError(NeonctlError):
    """Everything was applied, yet a new plan is not empty."""

    exit_code = 4


class ServiceError(NeonctlError):
    """Neon, AWS or Postgres refused, failed or could not be reached."""

    exit_code = 5


class UsageError(NeonctlError):
    """The command line, or a file it names, is wrong."""

    exit_code = 64


class ConfigError(UsageError):
    """The YAML is wrong. ``details["problems"]`` lists every problem as ``{"file", "line", "path", "message"}``."""


class RetryableError(NeonctlError):
    """Nothing was changed; the same command can be run again."""

    exit_code = 75
    retryable = True
