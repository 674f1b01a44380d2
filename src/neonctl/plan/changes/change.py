"""What all changes have in common: where they are, when their turn comes, how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar, Literal

from neonctl.frozen import frozen

Action = Literal["create", "update", "delete", "report"]
Scalar = str | int | float | bool | None
Details = Mapping[str, object]


class Stage(IntEnum):
    """The order of work."""

    PROJECT = 0
    BRANCH = 1
    API = 2  # endpoints, the owner role and databases, through Neon's API
    ROLE = 3
    SCHEMA = 4
    GRANT = 5
    CREDENTIAL = 6
    PARAMETER = 7
    MIGRATION = 8
    FINISH = 9
    REPORT = 10


@frozen(kw_only=True)
class Change:
    """Base of all changes. ``label`` is the address below the environment, filled in from the fields."""

    environment: str = ""
    reason: str = ""

    verb: ClassVar[Action]
    kind: ClassVar[str]
    stage: ClassVar[Stage]
    label: ClassVar[str]

    def __init_subclass__(
        cls,
        *,
        kind: str | None = None,
        stage: Stage = Stage.REPORT,
        label: str = "",
        verb: Action = "update",
    ) -> None:
        if kind is not None:  # a kind of its own; the intermediate bases have none
            cls.verb, cls.kind, cls.stage, cls.label = verb, kind, stage, label

    @property
    def action(self) -> Action:
        """What is done: create, update, delete, or only report."""
        return self.verb

    @property
    def name(self) -> str:
        """The address below the environment."""
        return self.label.format(self=self)

    @property
    def goes_with(self) -> str:
        """For a deletion: whose deletion it is part of, and which name therefore allows it."""
        return self.name

    @property
    def address(self) -> str:
        """Where it is: ``prod/bank_core/bank_core_app_user``; the project's own name for the project."""
        return f"{self.environment}/{self.name}" if self.environment else self.name

    @property
    def before(self) -> Details | None:
        """What is there now."""
        return None

    @property
    def after(self) -> Details | None:
        """What will be there."""
        return None

    @property
    def sort_key(self) -> tuple[int, str, str, str]:
        """Deterministic order of a plan."""
        return (self.stage, self.environment, self.kind, self.name + repr(self.after))

    def __lt__(self, other: Change) -> bool:
        return self.sort_key < other.sort_key


@frozen
class FieldChange:
    """One setting, before and after."""

    name: str
    before: Scalar
    after: Scalar


@frozen(kw_only=True)
class SettingsChange(Change):
    """Base of changes that are a list of settings."""

    fields: tuple[FieldChange, ...]

    @property
    def before(self) -> Details:
        return {each.name: each.before for each in self.fields}

    @property
    def after(self) -> Details:
        return {each.name: each.after for each in self.fields}
