"""Rules about environments: where data may flow, branches, promotion, accounts, what the Neon plan allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from neonctl.desired.model import AwsSpec, EnvironmentSpec
from neonctl.desired.problem import NodePath, ProblemCode, shown
from neonctl.desired.subject import PLATFORM, PREVIEW, Finding, Subject

_PREVIEW_NAME = re.compile(r"pr-([0-9]+|\{number\})")
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/[A-Za-z0-9+=,.@_/-]+")
_AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_MAX_TAGS = 50


def environment_findings(subject: Subject) -> Iterator[Finding]:
    """Every broken rule between and within environments."""
    yield from _production(subject)
    for name, spec in subject.environments.items():
        yield from _kind(name, spec)
        yield from _branch(subject, name, spec)
    yield from _duplicates(subject)
    for name, spec in subject.everywhere():
        yield from _promotion(subject, name, spec)
        yield from _cdc(subject, name, spec)
        yield from _aws(name, spec.aws)
    yield from _plan_limits(subject)


def _production(subject: Subject) -> Iterator[Finding]:
    environments = subject.environments
    holders = [name for name, spec in environments.items() if spec.production_data]
    defaults = [name for name, spec in environments.items() if spec.branch.default]
    if not holders and subject.complete and environments:
        where = (defaults or list(environments))[0]
        message = "exactly one environment holds production data: say `production_data: true` there"
        rests_on = tuple((name, ("production_data",)) for name in environments)
        yield Finding(where, ("production_data",), message, rests_on=rests_on)
        if not defaults:
            yield Finding(where, ("branch",), "exactly one environment is the default branch", rests_on=rests_on)
    for names, path, what in (
        (holders, ("production_data",), "holds production data"),
        (defaults, ("branch", "default"), "is the default branch"),
    ):
        for name in names if len(names) > 1 else ():
            yield Finding(name, path, f"exactly one environment {what}; here {' and '.join(names)} do")
    for name in holders:
        branch = subject.environments[name].branch
        if not branch.default:
            message = "the environment with production data must be the default branch (`default: true`)"
            yield Finding(name, ("branch", "default"), message)
        if not branch.protected:
            message = "the environment with production data must be protected (`protected: true`)"
            yield Finding(name, ("branch", "protected"), message)
    for name, spec in subject.environments.items():
        if spec.production_data and spec.state == "absent":
            yield Finding(name, ("state",), "the environment with production data cannot be absent")


def _kind(name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    if spec.kind == "preview":
        yield Finding(name, ("kind",), "only preview.yaml is of kind preview")
    if spec.preview is not None:
        yield Finding(name, ("preview",), "belongs in preview.yaml only")
    for path, text in ((("branch", "name"), spec.branch.name), (("stage",), spec.stage)):
        if _PREVIEW_NAME.fullmatch(text):
            yield Finding(name, path, "pr-NUMBER names a preview branch: choose another name")
    if _PREVIEW_NAME.fullmatch(name):
        yield Finding(name, (), "pr-NUMBER names a preview branch: rename this file")


def _branch(subject: Subject, name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    branch, where = spec.branch, ("branch", "source")
    if branch.default:
        if branch.source is not None:
            yield Finding(name, where, "the default branch is the root: it cannot have a source")
        if branch.init is not None:
            yield Finding(name, ("branch", "init"), "the default branch is the root: it cannot have an init")
        return
    if branch.source is None:
        # Neon would take the default branch as the parent, with all its data.
        yield Finding(name, where, "is missing: only the default branch has no source")
        return
    yield from source_findings(subject, name, branch.source)
    if branch.source == name or _in_cycle(name, lambda other: _source(subject, other)):
        yield Finding(name, where, "the sources go round in a circle")
        return
    yield from data_findings(subject, name, spec)


def source_findings(subject: Subject, name: str, source: str) -> Iterator[Finding]:
    """The source of a branch must be a persistent environment that is there."""
    if source == PREVIEW:
        yield Finding(name, ("branch", "source"), "a preview cannot be a source")
    elif source not in subject.names:
        yield Finding(name, ("branch", "source"), f"there is no environment {source} (environments/{source}.yaml)")
    elif source in subject.environments and subject.environments[source].state == "absent":
        yield Finding(name, ("branch", "source"), f"{source} is to be absent: it cannot be a source")


def data_findings(subject: Subject, name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    """Production's data must not reach ``name`` through its source, however far up that comes from."""
    init, chain = spec.branch.init, subject.data_from(spec.branch.source or "")
    if init == "schema-only" or not chain or not subject.environments[chain[-1]].production_data:
        return
    giver = chain[-1]
    said = "without `init`" if init is None else f"with `init: {init}`"
    message = (
        f"{said} this branch would get the production data of {giver}; "
        "prod's data never flows down (MOD-103): use `init: schema-only`"
    )
    path: NodePath = ("branch", "init") if init else ("branch",)
    rests_on = tuple((other, ("branch",)) for other in chain[:-1])
    yield Finding(name, path, message, "DATA_FLOWS_DOWN", rests_on)


def _source(subject: Subject, name: str) -> str | None:
    spec = subject.environments.get(name)
    return spec.branch.source if spec and not spec.branch.default else None


def _promoted_from(subject: Subject, name: str) -> str | None:
    spec = subject.environments.get(name)
    return spec.migrations.promoted_from if spec else None


def _in_cycle(start: str, following: Callable[[str], str | None]) -> bool:
    seen: set[str] = set()
    current = following(start)
    while current is not None and current not in seen:
        if current == start:
            return True
        seen.add(current)
        current = following(current)
    return False


def _duplicates(subject: Subject) -> Iterator[Finding]:
    stages: dict[str, str] = {}
    branches: dict[str, str] = {}
    for name, spec in subject.everywhere():
        for taken, text, path, what in (
            (stages, spec.stage, ("stage",), "stage"),
            (branches, spec.branch.name, ("branch", "name"), "branch name"),
        ):
            if text in taken:
                yield Finding(name, path, f"{taken[text]} already has this {what}: {shown(text)}")
            taken.setdefault(text, name)


def _promotion(subject: Subject, name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    before, where = spec.migrations.promoted_from, ("migrations", "promoted_from")
    if before is None:
        return
    if before not in subject.names:
        yield Finding(name, where, f"there is no environment {before} (environments/{before}.yaml)")
    elif before in subject.environments and subject.environments[before].state == "absent":
        yield Finding(name, where, f"{before} is to be absent: nothing can be promoted from it")
    elif _in_cycle(name, lambda other: _promoted_from(subject, other)):
        yield Finding(name, where, "the promotions go round in a circle")


def _cdc(subject: Subject, name: str, spec: EnvironmentSpec) -> Iterator[Finding]:
    if spec.cdc and subject.platform and not subject.platform.project.logical_replication:
        message = "needs `project.logical_replication: true` in platform.yaml (it cannot be switched off again)"
        yield Finding(name, ("cdc",), message, rests_on=((PLATFORM, ("project", "logical_replication")),))


def _aws(name: str, aws: AwsSpec) -> Iterator[Finding]:
    if not _AWS_REGION.fullmatch(aws.region):
        yield Finding(name, ("aws", "region"), "is not an AWS region, like ap-southeast-2")
    for key, role in (("role_arn", aws.role_arn), ("plan_role_arn", aws.plan_role_arn)):
        arn = _ROLE_ARN.fullmatch(role) if role is not None else None
        if role is not None and arn is None:
            yield Finding(name, ("aws", key), "must be the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME")
        elif arn is not None and arn[1] != aws.account_id:
            yield Finding(name, ("aws", key), f"is a role of account {arn[1]}, but account_id is {aws.account_id}")
    if len(aws.tags) > _MAX_TAGS:
        yield Finding(name, ("aws", "tags"), f"AWS allows {_MAX_TAGS} tags")
    for key, value in aws.tags.items():
        where: NodePath = ("aws", "tags", key)
        if key.lower().startswith("aws:"):
            yield Finding(name, where, "tags that start with aws: are AWS's own")
        if not 1 <= len(key) <= 128 or len(value) > 256:
            yield Finding(name, where, "a tag has at most 128 characters, its value at most 256")


def _plan_limits(subject: Subject) -> Iterator[Finding]:
    """The configuration's own branches must fit the Neon plan (a schema-only branch is a root branch: facts.md 3)."""
    if subject.platform is None:
        return
    neon = subject.platform.neon
    present = [spec for spec in subject.environments.values() if spec.state == "present"]
    if subject.preview is not None:  # one preview at least must have room
        present.append(subject.preview)
    protected = sum(bool(spec.branch.protected) for spec in present)
    roots = sum(spec.branch.default or spec.branch.init == "schema-only" for spec in present)
    code: ProblemCode = "PLAN_LIMIT"
    for count, limit, key, what in (
        (len(present), neon.max_branches, "max_branches", "branches"),
        (roots, neon.max_root_branches, "max_root_branches", "root branches (the default and schema-only ones)"),
        (protected, neon.max_protected_branches, "max_protected_branches", "protected branches"),
    ):
        if limit is not None and count > limit:
            message = f"the environments need {count} {what}, the Neon plan allows {limit}"
            yield Finding(PLATFORM, ("neon", key), message, code)
