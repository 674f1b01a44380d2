"""What previews leave at AWS beside their branches: secrets and parameters, found by name and by listing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neonctl.desired.preview import preview_number, preview_spec
from neonctl.plan.credentials import MANAGED_TAG
from neonctl.provision.observe import parameter_names, secret_names
from neonctl.provision.parallel import for_each, pair

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.plan.observed import SecretSnapshot
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.services import Services

_STAGE = re.compile(r"(?:bank-neon|/bank)/(pr-[0-9]+)/")


@dataclass(frozen=True)
class Traces:
    """What belongs to one stage. ``foreign``: secrets in its place that neonctl did not make; they are left alone."""

    secrets: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    scheduled: frozenset[str] = field(default=frozenset(), repr=False)  # of ``secrets``: deletion with a window

    def __bool__(self) -> bool:
        return bool(self.secrets or self.parameters)


def traces_of(desired: Desired, services: Services, environment: str) -> Traces:
    """Everything of one preview. By name too: listings lag, and would hide what the last run wrote."""
    spec = desired.environments[environment]
    access = services.aws(spec.aws)
    secrets, parameters = access.secrets(), access.parameters()

    def secret_side() -> Mapping[str, SecretSnapshot]:
        by_name, listed = pair(
            lambda: secrets.describe(secret_names(desired, spec)),
            lambda: tuple(secrets.list(f"bank-neon/{spec.stage}/")),
        )
        return {**{each.snapshot.name: each.snapshot for each in listed}, **by_name}

    def parameter_side() -> Sequence[str]:
        by_name, listed = pair(
            lambda: parameters.read(parameter_names(desired, spec)),
            lambda: tuple(parameters.list(f"/bank/{spec.stage}/")),
        )
        return sorted({*by_name, *listed})

    found, names = pair(secret_side, parameter_side)
    return _traces(found.values(), names)


def all_traces(desired: Desired, services: Services) -> Mapping[str, Traces]:
    """Stage ``pr-N`` → what the listings say of it, for every stage of a preview that has something."""
    access = services.aws(preview_spec(desired).aws)
    listed, names = pair(
        lambda: [each.snapshot for each in access.secrets().list("bank-neon/pr-")],
        lambda: tuple(access.parameters().list("/bank/pr-")),
    )
    stages: dict[str, tuple[list[SecretSnapshot], list[str]]] = {}
    for each in listed:
        if stage := _stage(each.name):
            stages.setdefault(stage, ([], []))[0].append(each)
    for name in names:
        if stage := _stage(name):
            stages.setdefault(stage, ([], []))[1].append(name)
    found = {stage: _traces(secrets, sorted(parameters)) for stage, (secrets, parameters) in stages.items()}
    return {stage: traces for stage, traces in found.items() if traces}


def remove_traces(desired: Desired, services: Services, environment: str, traces: Traces, audit: AuditLog) -> None:
    """Delete secrets, without a recovery window, and parameters; what is gone already is success."""
    access = services.aws(preview_spec(desired).aws)
    secrets, parameters = access.secrets(), access.parameters()

    def secret(name: str) -> None:
        if name in traces.scheduled:
            secrets.restore(name)  # AWS refuses to delete at once what waits for its deletion
        secrets.delete(name, recovery_days=None)
        audit.record("secret.delete", f"{environment}/{name}", environment, "done")

    for_each(secret, traces.secrets, width=10)
    if traces.parameters:
        parameters.delete(traces.parameters)
        for name in traces.parameters:
            audit.record("parameter.delete", f"{environment}{name}", environment, "done")


def _stage(name: str) -> str | None:
    found = _STAGE.match(name)
    return found[1] if found and preview_number(found[1]) is not None else None


def _traces(secrets: Collection[SecretSnapshot], parameters: Sequence[str]) -> Traces:
    ours = [each for each in secrets if each.tags.get(MANAGED_TAG) == "neonctl"]
    return Traces(
        tuple(sorted(each.name for each in ours)),
        tuple(parameters),
        tuple(sorted(each.name for each in secrets if each not in ours)),
        frozenset(each.name for each in ours if each.deleted),
    )
