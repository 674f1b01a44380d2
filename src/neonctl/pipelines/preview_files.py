"""A preview's record against the checkout: files edited, renamed or removed since, and files that only its source has.

What to do depends on the source. What that has run cannot be changed any more; what only the preview has run is gone
with the preview.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from neonctl.errors import UnsafePlanError
from neonctl.plan.changes import RunMigrations
from neonctl.provision.observe import observe

if TYPE_CHECKING:
    from neonctl.desired.model import MigrationRef
    from neonctl.pipelines.configuration import Configuration
    from neonctl.plan.observed import AppliedVersion, Observed
    from neonctl.plan.plan import Plan
    from neonctl.provision.services import Services

_History = Mapping[str, Mapping[str, "AppliedVersion"]]  # database → version → what ran


def require_unedited(configuration: Configuration, name: str, observed: Observed, services: Services) -> None:
    """Say of each edited file whether to revert it or to start over. Raises ``UnsafePlanError`` MIGRATION_EDITED."""
    source = str(configuration.desired.environments[name].branch.source)
    here, there = _history(name, observed), _of_source(configuration, source, services)
    revert: list[str] = []
    recreate: list[str] = []
    for database, reference, applied in _edited(configuration, here):
        theirs = there.get(database, {}).get(reference.version)
        file = f"{database}/migrations/{reference.script}"
        if theirs is not None and theirs.checksum == applied.checksum:
            revert.append(file)
        else:
            recreate.append(file)
    if not revert and not recreate:
        return
    told = [f"{file} was edited after it was applied to {source}" for file in revert]
    told += [f"{file} is not what {name} has run" for file in recreate]
    hints = ["revert it and write the change as a new migration"] if revert else []
    hints += [f"--recreate deletes {name} and starts over from {source}"] if recreate else []
    raise UnsafePlanError(
        "MIGRATION_EDITED",
        "; ".join(told),
        hint="; ".join(hints),
        details={"environment": name, "revert": revert, "recreate": recreate},
    )


def require_known(
    configuration: Configuration, name: str, observed: Observed, services: Services, *, plan: Plan, fresh: bool
) -> Mapping[str, tuple[str, ...]]:
    """Scripts that have run and that the checkout has not, by database: those of the source, with nothing to run.

    ``fresh``: the branch was copied just now, so whatever ran there ran on the source. Raises ``UnsafePlanError``
    MIGRATION_UNKNOWN where files were removed or renamed since this preview ran them, and where pending migrations
    would run on top of what this checkout does not know.
    """
    source = str(configuration.desired.environments[name].branch.source)
    here = _history(name, observed)
    unknown = {
        database: missing
        for database, versions in sorted(here.items())
        if (missing := tuple(_unknown(configuration, database, versions)))
    }
    if not unknown:
        return {}
    there = here if fresh else _of_source(configuration, source, services)
    pending = {change.database for change in plan.work if isinstance(change, RunMigrations)}
    own, ahead = list[str](), list[str]()
    for database, missing in unknown.items():
        for each in missing:
            if each.version not in there.get(database, {}):
                own.append(f"{database}/migrations/{each.script}")
            elif database in pending:
                ahead.append(f"{database}/migrations/{each.script}")
    if own or ahead:
        told = [f"{name} has run {', '.join(own)}, which this checkout has not"] if own else []
        told += [f"{source} has run {', '.join(ahead)}, which this checkout has not"] if ahead else []
        hints = [f"--recreate deletes {name} and starts over from {source}"] if own else []
        hints += [f"bring the pull request up to date with what was applied to {source}"] if ahead else []
        raise UnsafePlanError(
            "MIGRATION_UNKNOWN",
            "; ".join(told),
            hint="; ".join(hints),
            details={"environment": name, "removed": own, "ahead": ahead},
        )
    return {database: tuple(each.script for each in missing) for database, missing in unknown.items()}


def _history(name: str, observed: Observed) -> _History:
    cluster = observed.environments[name].cluster
    return {
        database: {each.version: each for each in inside.history or ()}
        for database, inside in (cluster.databases.items() if cluster else ())
    }


def _of_source(configuration: Configuration, source: str, services: Services) -> _History:
    return _history(source, observe(configuration.desired, services, selection=[source]))


def _edited(configuration: Configuration, history: _History) -> Iterator[tuple[str, MigrationRef, AppliedVersion]]:
    for database, versions in sorted(history.items()):
        for reference in configuration.desired.migrations.get(database, ()):
            applied = versions.get(reference.version)
            if applied is not None and applied.checksum not in {None, reference.checksum}:
                yield database, reference, applied


def _unknown(
    configuration: Configuration, database: str, versions: Mapping[str, AppliedVersion]
) -> Iterator[AppliedVersion]:
    known = {reference.version for reference in configuration.desired.migrations.get(database, ())}
    for version, applied in versions.items():
        if version not in known and not applied.baseline:
            yield applied
