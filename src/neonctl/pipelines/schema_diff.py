"""The schema of a preview against that of the branch that it grew from, database by database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neonctl.migrations.catalogue import Catalogue, read_catalogue
from neonctl.migrations.history import live_versions, read_history
from neonctl.migrations.schema_diff import SchemaDiff, schema_diff
from neonctl.pipelines.logins import logged_in
from neonctl.provision.parallel import for_each, pair

if TYPE_CHECKING:
    from neonctl.desired.model import EnvironmentSpec
    from neonctl.provision.services import Services


@dataclass(frozen=True)
class DatabaseDiff:
    """One database. ``ahead``: migrations that only the preview has; ``behind``: that only its source has."""

    database: str
    schema: SchemaDiff
    ahead: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Nothing to tell."""
        return not (self.schema.changes or self.ahead or self.behind)


def diff_schemas(
    source: EnvironmentSpec, preview: EnvironmentSpec, databases: Sequence[str], services: Services
) -> tuple[DatabaseDiff, ...]:
    """Read every database on both branches, each as its own migrate role with its own password; in the order given.

    Raises ``ServiceError`` for the first that is not stored or does not let us in.
    """

    def one(database: str) -> DatabaseDiff:
        (before, old), (after, new) = pair(
            lambda: _read(source, database, services), lambda: _read(preview, database, services)
        )
        return DatabaseDiff(
            database,
            schema_diff(before, after, database=database),
            ahead=tuple(each for each in new if each not in old),
            behind=tuple(each for each in old if each not in new),
        )

    return tuple(for_each(one, databases))


def _read(spec: EnvironmentSpec, database: str, services: Services) -> tuple[Catalogue, tuple[str, ...]]:
    with logged_in([database], spec, services) as connections:
        connection = connections[database]
        live = live_versions(read_history(connection))
        return read_catalogue(connection), tuple(live[number].script for number in sorted(live))
