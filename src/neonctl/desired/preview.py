"""One preview as an environment of its own: ``preview.yaml`` with a pull request's number put in."""

from __future__ import annotations

import re

from neonctl.desired.model import Desired, EnvironmentSpec
from neonctl.errors import UsageError

_NAME = re.compile(r"pr-([1-9][0-9]{0,8})")


def preview_name(number: int) -> str:
    """What the environment, the branch and the stage of a pull request are called: ``pr-42``."""
    return f"pr-{number}"


def preview_number(name: str) -> int | None:
    """``pr-42`` → 42; None for any other name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def preview_spec(desired: Desired) -> EnvironmentSpec:
    """The pattern of previews. Raises ``UsageError`` NO_PREVIEWS when the configuration has none."""
    if desired.preview is None:
        raise UsageError(
            "NO_PREVIEWS",
            "the configuration has no previews",
            hint="describe them in config/environments/preview.yaml",
        )
    return desired.preview


def with_preview(desired: Desired, number: int) -> Desired:
    """The configuration with one more environment, ``pr-N``: what works on any environment then works on it.

    Raises ``UsageError`` NO_PREVIEWS when the configuration has none.
    """
    pattern, name = preview_spec(desired), preview_name(number)
    spec = pattern.model_copy(
        update={"stage": name, "branch": pattern.branch.model_copy(update={"name": name})},
    )
    return desired.model_copy(update={"environments": {**desired.environments, name: spec}})
