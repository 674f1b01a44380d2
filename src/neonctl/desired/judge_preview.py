"""Rules about ``preview.yaml``: what pull-request branches may grow from."""

from __future__ import annotations

from collections.abc import Iterator

from neonctl.desired.judge_environments import data_findings, source_findings
from neonctl.desired.model import EnvironmentSpec
from neonctl.desired.subject import PREVIEW, Finding, Subject

BRANCH_NAME = "pr-{number}"


def preview_findings(subject: Subject) -> Iterator[Finding]:
    """Every broken rule of ``preview.yaml``."""
    spec = subject.preview
    if spec is None:
        return
    if spec.kind != "preview":
        yield Finding(PREVIEW, ("kind",), "preview.yaml must say `kind: preview`")
    if spec.preview is None:
        message = "`preview: {ttl_seconds: …}` is missing: a preview branch must expire"
        yield Finding(PREVIEW, ("preview",), message)
    if spec.branch.name != BRANCH_NAME:
        yield Finding(PREVIEW, ("branch", "name"), f"must be `{BRANCH_NAME}`: preview branches are called so")
    if spec.branch.default or spec.branch.protected:
        key = "default" if spec.branch.default else "protected"
        message = "a preview branch expires, so it is neither default nor protected"
        yield Finding(PREVIEW, ("branch", key), message)
    if spec.production_data:
        yield Finding(PREVIEW, ("production_data",), "a preview never holds production data")
    if spec.cdc:
        yield Finding(PREVIEW, ("cdc",), "a preview has no change data capture")
    yield from _source(subject, spec)


def _source(subject: Subject, spec: EnvironmentSpec) -> Iterator[Finding]:
    source, where = spec.branch.source, ("branch", "source")
    if source is None:
        yield Finding(PREVIEW, where, "is missing: name the persistent environment that previews grow from")
        return
    yield from source_findings(subject, PREVIEW, source)
    parent = subject.environments.get(source)
    if parent is None:
        return
    if parent.production_data:
        yield Finding(
            PREVIEW, where, f"{source} holds production data: previews grow from a lower one", "DATA_FLOWS_DOWN"
        )
    elif parent.branch.protected:
        # Neon generates new passwords for children of a protected branch, and such a branch takes no expiring child.
        yield Finding(PREVIEW, where, f"{source} is protected: previews grow from an unprotected one")
    if not parent.production_data:
        yield from data_findings(subject, PREVIEW, spec)
