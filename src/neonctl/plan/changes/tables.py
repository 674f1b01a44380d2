"""Migrations, what needs their tables, and what is only reported."""

from __future__ import annotations

from dataclasses import field

from neonctl.frozen import frozen
from neonctl.plan.changes.change import Action, Change, Details, Stage


@frozen(kw_only=True)
class RunMigrations(Change, kind="migration", stage=Stage.MIGRATION, label="{self.database}"):
    """Apply pending versions, then finish what needs tables: publication, column grants, table privileges."""

    database: str
    versions: tuple[str, ...]
    repeatables: tuple[str, ...] = ()  # scripts

    @property
    def after(self) -> Details:
        return {
            "versions": list(self.versions),
            **({"repeatables": list(self.repeatables)} if self.repeatables else {}),
        }


@frozen(kw_only=True)
class SetPublication(Change, kind="publication", stage=Stage.FINISH, label="{self.database}/{self.publication}"):
    """Bring the CDC publication of a database to its tables."""

    database: str
    publication: str
    owner: str
    old_tables: tuple[str, ...] | None
    tables: tuple[str, ...]
    was_whole: bool = True

    @property
    def action(self) -> Action:
        return "create" if self.old_tables is None else "update"

    @property
    def before(self) -> Details | None:
        if self.old_tables is None:
            return None
        return {"tables": list(self.old_tables), **({} if self.was_whole else {"publishes": "a part of the changes"})}

    @property
    def after(self) -> Details:
        return {"tables": list(self.tables), **({} if self.was_whole else {"publishes": "every change"})}


@frozen(kw_only=True)
class Report(Change, kind="unmanaged", stage=Stage.REPORT, label="{self.subject}", verb="report"):
    """Something that exists and is not declared: said, and left alone."""

    subject: str
    found: Details = field(default_factory=dict[str, object])

    @property
    def before(self) -> Details | None:
        return self.found or None
