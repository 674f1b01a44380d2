"""What is in a database against what was recorded there: somebody's ALTER by hand is named object by object.

``validate`` asks as the migrate roles; ``schema_drift`` as the owner, for a job that may read no secret's value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from neonctl.errors import ServiceError
from neonctl.migrations.check import MigrationHistoryError, compare
from neonctl.migrations.drift import drifted
from neonctl.migrations.evidence import broken_chain, read_evidence, unguarded
from neonctl.migrations.history import live_versions, read_history
from neonctl.migrations.undo import edited_undos
from neonctl.pipelines.logins import logged_in
from neonctl.provision.observe import owner_access
from neonctl.provision.parallel import by_key, for_each

if TYPE_CHECKING:
    import psycopg

    from neonctl.desired.model import Desired
    from neonctl.migrations.files import MigrationFolder
    from neonctl.plan.observed import Observed
    from neonctl.provision.services import Services


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, in one line."""

    environment: str
    database: str
    kind: Literal["history", "undo", "evidence", "catalogue", "unreachable"]
    message: str

    def __str__(self) -> str:
        return f"{self.environment}/{self.database}: {self.kind}: {self.message}"


def validate(
    environments: Sequence[str],
    databases: Sequence[str],
    *,
    desired: Desired,
    files: Mapping[str, MigrationFolder],
    services: Services,
) -> tuple[Finding, ...]:
    """Files, record, evidence and live catalogue of each database against each other; ``()`` when all agree.

    Pending files are no finding; a database that cannot be asked is one, and hides nothing of the others.
    """

    def one(place: tuple[str, str]) -> tuple[Finding, ...]:
        environment, database = place
        try:
            with logged_in([database], desired.environments[environment], services) as connections:
                found = _of_database(connections[database], database, files[database])
                return tuple(Finding(environment, database, kind, text) for kind, text in found)
        except ServiceError as error:
            return (Finding(environment, database, "unreachable", error.message),)

    places = [(environment, database) for environment in environments for database in databases]
    return tuple(finding for found in for_each(one, places) for finding in found)


_Found = tuple[Literal["history", "undo", "evidence", "catalogue"], str]


def _of_database(connection: psycopg.Connection[Any], database: str, files: MigrationFolder) -> Iterator[_Found]:
    history, evidence = read_history(connection), read_evidence(connection)
    try:
        compare(files, history, database=database, out_of_order=True)
    except MigrationHistoryError as error:
        for problem in cast("list[dict[str, object]]", error.details["problems"]):
            yield "history", str(problem["message"])
    for problem in edited_undos(files.versioned, live_versions(history), evidence):
        yield "undo", str(problem["message"])
    for wrong in (broken_chain(evidence), unguarded(connection)):
        if wrong:
            yield "evidence", wrong
    for difference in drifted(connection, database):
        yield "catalogue", str(difference)


def schema_drift(desired: Desired, observed: Observed, services: Services) -> tuple[Finding, ...]:
    """Where live catalogues differ from the recorded ones, in everything that was observed. Reads no secret."""
    project = observed.project
    places = [
        (name, snapshot.branch.id, database)
        for name, snapshot in observed.environments.items()
        if snapshot.branch is not None and snapshot.cluster is not None
        for database, inside in snapshot.cluster.databases.items()
        if inside.history
    ]
    if project is None or not places:
        return ()
    ways = by_key(
        lambda branch_id: owner_access(desired, services, project.id, branch_id),
        dict.fromkeys(branch_id for _, branch_id, _ in places),
    )

    def one(place: tuple[str, str, str]) -> tuple[Finding, ...]:
        environment, branch_id, database = place
        access = ways[branch_id]
        if access is None:  # went meanwhile
            return ()
        with services.connect_as_owner(access, database) as connection:
            return tuple(
                Finding(environment, database, "catalogue", str(difference))
                for difference in drifted(connection, database)
            )

    return tuple(finding for found in for_each(one, places) for finding in found)
