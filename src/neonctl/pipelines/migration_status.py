"""Where every database of every environment stands, read from their own records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from neonctl.errors import ServiceError
from neonctl.migrations.check import MigrationHistoryError, compare
from neonctl.migrations.history import live_versions, read_history
from neonctl.pipelines.logins import logged_in
from neonctl.provision.parallel import for_each

if TYPE_CHECKING:
    from datetime import datetime

    from neonctl.desired.model import Desired
    from neonctl.migrations.files import MigrationFolder
    from neonctl.provision.services import Services

State = Literal["current", "pending", "problem", "absent", "unreachable"]


@dataclass(frozen=True)
class DatabaseStatus:
    """One database of one environment. ``version``: the newest in force; ``pending``: scripts still to run."""

    environment: str
    database: str
    state: State
    version: str | None = None
    applied_at: datetime | None = None
    pending: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def migration_status(
    environments: Sequence[str],
    databases: Sequence[str],
    *,
    desired: Desired,
    files: Mapping[str, MigrationFolder],
    services: Services,
) -> tuple[DatabaseStatus, ...]:
    """Every database of these environments, side by side; one that cannot be reached does not hide the others."""

    def one(place: tuple[str, str]) -> DatabaseStatus:
        environment, database = place
        return _status(environment, database, desired, files[database], services)

    return tuple(for_each(one, [(environment, name) for name in databases for environment in environments]))


def _status(
    environment: str, database: str, desired: Desired, files: MigrationFolder, services: Services
) -> DatabaseStatus:
    try:
        with logged_in([database], desired.environments[environment], services) as connections:
            history = read_history(connections[database])
    except ServiceError as error:
        if error.code == "AWS_NOT_FOUND":
            return DatabaseStatus(environment, database, "absent")
        return DatabaseStatus(environment, database, "unreachable", problems=(error.message,))
    live = live_versions(history)
    newest = live[max(live)] if live else None
    try:
        pending = compare(files, history, database=database)
    except MigrationHistoryError as error:
        found = cast("list[dict[str, object]]", error.details["problems"])
        problems, scripts, state = tuple(str(each["message"]).partition("\n")[0] for each in found), (), "problem"
    else:
        problems, scripts = (), tuple(file.script for file in pending.files)
        state = "pending" if scripts else "current"
    return DatabaseStatus(
        environment,
        database,
        state,
        version=newest.version if newest else None,
        applied_at=history[-1].installed_on if history else None,
        pending=scripts,
        problems=problems,
    )
