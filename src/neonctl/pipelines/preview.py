"""A preview: a copy of its source with passwords, secrets and parameters of its own, and the checkout's migrations.

The branch is made first; from then on it is an environment like any other, brought to what the configuration says by
the same plan and the same steps. So a run that was killed anywhere is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from neonctl.desired.preview import preview_name
from neonctl.errors import NeonctlError, UnsafePlanError
from neonctl.migrations.check import MigrationHistoryError
from neonctl.pipelines.apply import apply_plan
from neonctl.pipelines.preview_files import require_known, require_unedited
from neonctl.plan.diff import diff
from neonctl.provision.observe import observe, observe_aws
from neonctl.provision.parallel import pair
from neonctl.provision.preview import PreviewBranch, PreviewSite, State

if TYPE_CHECKING:
    from datetime import datetime

    from neonctl.migrations.evidence import Provenance
    from neonctl.pipelines.configuration import Configuration
    from neonctl.plan.observed import EnvironmentSnapshot, Observed
    from neonctl.plan.ownership import PullRequest
    from neonctl.plan.plan import Plan
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services


@dataclass(frozen=True)
class Preview:
    """A preview that is ready. ``migrations``: database → the versions that this run applied.

    ``unknown``: database → scripts that have run there and that the checkout has not.
    """

    environment: str
    source: str
    state: State
    expires_at: datetime | None
    plan: Plan
    observed: Observed
    migrations: Mapping[str, tuple[str, ...]]
    unknown: Mapping[str, tuple[str, ...]]

    @property
    def snapshot(self) -> EnvironmentSnapshot:
        """What is there now."""
        return self.observed.environments[self.environment]


def create_preview(
    pull_request: PullRequest,
    configuration: Configuration,
    services: Services,
    *,
    recreate: bool,
    progress: Progress,
    audit: AuditLog,
    provenance: Callable[[str], Provenance],
) -> Preview:
    """Bring the preview of a pull request to what the checkout says, whatever is there of it.

    ``configuration`` has the preview in it (``with_previews``). Raises ``UnsafePlanError`` for what is refused,
    MIGRATION_EDITED and MIGRATION_UNKNOWN with what to do about it, and what ``apply_plan`` raises.
    """
    with services.keeping_connections():
        return _create(
            pull_request,
            configuration,
            services,
            recreate=recreate,
            progress=progress,
            audit=audit,
            provenance=provenance,
        )


def _create(
    pull_request: PullRequest,
    configuration: Configuration,
    services: Services,
    *,
    recreate: bool,
    progress: Progress,
    audit: AuditLog,
    provenance: Callable[[str], Provenance],
) -> Preview:
    name = preview_name(pull_request.number)
    desired = configuration.desired
    site = PreviewSite(desired, services, progress=progress, audit=audit)
    made, aws = pair(
        lambda: site.ensure(pull_request, recreate=recreate), lambda: observe_aws(desired, services, [name])
    )
    looked = observe(desired, services, selection=[name], project=made.project, aws=aws)
    observed = _with_owner_renewed(looked, name, made)
    try:
        plan = diff(desired, observed, selection=[name], adopt=True)
    except UnsafePlanError as refusal:
        if _says(refusal, "DATA_FLOWS_DOWN"):
            site.delete(made.project.id, made.branch)  # what must not be here does not stay here
            raise _holds_production(made.parent.name) from None
        if _says(refusal, "MIGRATION_EDITED"):
            require_unedited(configuration, name, observed, services)
        raise
    unknown = require_known(configuration, name, observed, services, plan=plan, fresh=made.state != "refreshed")
    try:
        applied = apply_plan(
            plan,
            observed,
            configuration,
            services,
            selection=[name],
            progress=progress,
            audit=audit.change,
            provenance=provenance,
        )
    except MigrationHistoryError as error:
        error.hint = f"--recreate starts over from {made.parent.name}; if it has the file too, restore the file"
        raise
    snapshot = applied.observed.environments[name]
    return Preview(
        name,
        made.parent.name,
        made.state,
        snapshot.branch.expires_at if snapshot.branch else None,
        plan,
        applied.observed,
        applied.migrations.get(name, {}),
        unknown,
    )


def _with_owner_renewed(observed: Observed, name: str, made: PreviewBranch) -> Observed:
    """What this run knows and no look can tell."""
    snapshot = observed.environments[name]
    if made.state == "refreshed" or snapshot.branch is None or snapshot.branch.id != made.branch.id:
        return observed
    return replace(observed, environments={**observed.environments, name: replace(snapshot, owner_renewed=True)})


def _holds_production(parent: str) -> UnsafePlanError:
    return UnsafePlanError(
        "DATA_FLOWS_DOWN",
        f"branch {parent} holds production data, which a restore brought there: its copy was deleted again",
        hint=f"restore branch {parent} from its own past, or delete it (state: absent, --allow-delete {parent}) and "
        "apply again",
    )


def _says(refusal: NeonctlError, code: str) -> bool:
    found = cast("Sequence[Mapping[str, object]]", refusal.details.get("refusals", ()))
    return any(each["code"] == code for each in found)
