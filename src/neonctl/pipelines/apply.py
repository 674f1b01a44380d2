"""The main road: provision, then migrate dev → uat → prod, then finish what needs tables, then look again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neonctl.errors import DidNotConvergeError
from neonctl.migrations.check import Pending
from neonctl.pipelines.gate import require_promoted
from neonctl.pipelines.migrate import Order, Outcome, migrate_environment, promotion_order
from neonctl.plan.changes import AnyChange, RunMigrations, Stage
from neonctl.plan.diff import diff
from neonctl.provision.apply import Audit, Provisioner
from neonctl.provision.observe import observe
from neonctl.provision.turns import own_turn

if TYPE_CHECKING:
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder
    from neonctl.pipelines.configuration import Configuration
    from neonctl.plan.observed import Observed
    from neonctl.plan.plan import Plan
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services
    from neonctl.provision.world import World


@dataclass(frozen=True)
class Applied:
    """What was done, and what is there now."""

    plan: Plan
    migrations: dict[str, dict[str, tuple[str, ...]]]  # environment → database → versions
    observed: Observed


def apply_plan(
    plan: Plan,
    observed: Observed,
    configuration: Configuration,
    services: Services,
    *,
    selection: Sequence[str] | None,
    progress: Progress,
    audit: Audit,
    provenance: Callable[[str], Provenance],
) -> Applied:
    """Carry out a plan that was shown and confirmed. ``provenance`` answers for one environment's migrations.

    Raises ``DidNotConvergeError`` when, after everything was done, a new plan is not empty.
    """
    desired = configuration.desired
    provisioner = Provisioner(desired, services, progress=progress, audit=audit)
    if not plan.work:
        return Applied(plan, {}, observed)
    _require_promoted(plan, configuration, services)
    world = provisioner.build(plan, observed)
    inside = dict.fromkeys(
        change.environment
        for change in plan.work
        if change.stage > Stage.API and desired.environments[change.environment].state == "present"
    )
    with own_turn(list(inside), world, services):
        provisioner.fill(plan, world)
        ran = _migrate(plan, configuration, services, progress, audit, provenance)
        return _finished(plan, world, ran, provisioner, configuration, services, selection)


def _finished(
    plan: Plan,
    world: World,
    ran: dict[str, dict[str, tuple[str, ...]]],
    provisioner: Provisioner,
    configuration: Configuration,
    services: Services,
    selection: Sequence[str] | None,
) -> Applied:
    """Finish what needs tables, and look again."""
    desired = configuration.desired
    if any(change.stage is Stage.FINISH for change in plan.work) and not ran:
        provisioner.finish(_only_finish(plan), world)
    now = _look_again(configuration, services, selection, world)
    left = diff(desired, now, selection=selection, adopt=True)
    if ran and left.work and all(_needs_tables(change) for change in left.work):
        # Tables exist now: publications, privileges on them and parameters that name them can be brought in line.
        provisioner.finish(left, world)
        now = _look_again(configuration, services, selection, world)
        left = diff(desired, now, selection=selection, adopt=True)
    if left.work:
        addresses = [change.address for change in left.work]
        raise DidNotConvergeError(
            "DID_NOT_CONVERGE",
            f"everything was applied, yet {len(addresses)} changes are left: {', '.join(addresses[:5])}"
            + (" …" if len(addresses) > 5 else ""),
            hint="somebody or something may be changing the platform meanwhile; look at `neonctl plan`",
            details={"changes": addresses},
        )
    return Applied(plan, ran, now)


def _look_again(
    configuration: Configuration, services: Services, selection: Sequence[str] | None, world: World
) -> Observed:
    """A preview changes nothing of its project, so that need not be looked up a second time."""
    desired = configuration.desired
    previews = bool(selection) and all(desired.environments[name].kind == "preview" for name in selection or ())
    return observe(desired, services, selection=selection, project=world.project if previews else None)


def _migrate(
    plan: Plan,
    configuration: Configuration,
    services: Services,
    progress: Progress,
    audit: Audit,
    provenance: Callable[[str], Provenance],
) -> dict[str, dict[str, tuple[str, ...]]]:
    pending = [change for change in plan.work if isinstance(change, RunMigrations)]
    environments = promotion_order(configuration.desired, list(dict.fromkeys(c.environment for c in pending)))
    ran: dict[str, dict[str, tuple[str, ...]]] = {}
    outcomes: list[Outcome] = []
    for environment in environments:
        changes = {change.database: change for change in pending if change.environment == environment}
        told: set[str] = set()

        def after(outcome: Outcome, changes: Mapping[str, RunMigrations] = changes, told: set[str] = told) -> None:
            told.add(outcome.database)
            outcomes.append(outcome)
            audit(changes[outcome.database], outcome.state)

        try:
            run = migrate_environment(
                environment,
                list(changes),
                desired=configuration.desired,
                files=configuration.migrations,
                services=services,
                progress=progress,
                provenance=lambda name=environment: provenance(name),
                order=Order(),
                before=lambda intent: None,  # the plan said so, and was confirmed
                after=after,
            )
        except BaseException as error:
            for change in changes.values():
                if change.database not in told:
                    audit(change, "failed")
            for outcome in outcomes:
                error.add_note(str(outcome))
            raise
        for change in changes.values():
            if change.database not in told:  # another run was faster
                audit(change, "done")
        ran[environment] = {database: result.applied for database, result in run.results.items()}
    return ran


def _require_promoted(plan: Plan, configuration: Configuration, services: Services) -> None:
    """Refuse before anything is made what must run elsewhere first, where that is no part of this very run."""
    pending = [change for change in plan.work if isinstance(change, RunMigrations)]
    here = {change.environment for change in pending}
    for environment in here:
        before = configuration.desired.environments[environment].migrations.promoted_from
        if before is None or before in here:
            continue
        files = {
            change.database: _files_of(change, configuration.migrations[change.database])
            for change in pending
            if change.environment == environment
        }
        require_promoted(environment, before, files, desired=configuration.desired, services=services)


def _files_of(change: RunMigrations, folder: MigrationFolder) -> Pending:
    return Pending(
        tuple(file for file in folder.versioned if file.version in change.versions),
        tuple(file for file in folder.repeatable if file.script in change.repeatables),
    )


def _only_finish(plan: Plan) -> Plan:
    return type(plan)(tuple(change for change in plan.changes if change.stage is Stage.FINISH))


def _needs_tables(change: AnyChange) -> bool:
    return change.stage in {Stage.GRANT, Stage.FINISH, Stage.PARAMETER} and change.action != "delete"
