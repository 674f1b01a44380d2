"""A preview as people and as pipelines read it: names and ids, never values."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from neonctl.cli.table import table
from neonctl.desired.model import role_name, secret_name
from neonctl.plan.preview import refreshed_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neonctl.desired.model import Desired
    from neonctl.pipelines.preview import Preview
    from neonctl.pipelines.preview_removal import Prunable, Pruned, Removal, Standing
    from neonctl.provision.preview_traces import Traces


def preview_document(made: Preview, desired: Desired) -> dict[str, object]:
    """What was made, as JSON."""
    snapshot = made.snapshot
    branch, addresses, cluster = snapshot.branch, snapshot.addresses, snapshot.cluster
    assert branch is not None
    stage = desired.environments[made.environment].stage
    return {
        "environment": made.environment,
        "state": made.state,
        "branch": branch.name,
        "branch_id": branch.id,
        "source": made.source,
        "expires_at": rfc3339(branch.expires_at),
        "direct_host": str(addresses.direct) if addresses else None,
        "pooled_host": str(addresses.pooled) if addresses else None,
        "databases": [
            {"name": name, "version": inside.history[-1].version if inside.history else None}
            for name, inside in sorted(cluster.databases.items())
        ]
        if cluster
        else [],
        "secrets": [
            {
                "name": secret_name(stage, database, kind),
                "database": database,
                "role": role_name(database, kind),
                "version_id": found.current_version,
            }
            for database, wanted in desired.platform.databases.items()
            for kind in wanted.roles
            if (found := snapshot.secrets.get(secret_name(stage, database, kind))) is not None and not found.deleted
        ],
        "parameters": sorted(snapshot.parameters),
        "migrations": [
            {"database": database, "applied": list(versions)} for database, versions in sorted(made.migrations.items())
        ],
        "unknown": [
            {"database": database, "scripts": list(scripts)} for database, scripts in sorted(made.unknown.items())
        ],
    }


def rfc3339(moment: datetime | None) -> str | None:
    """A time as JSON has it."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def preview_text(made: Preview, desired: Desired, *, local: bool) -> str:
    """What was made, for people, and what to do with it."""
    snapshot = made.snapshot
    branch, addresses, cluster = snapshot.branch, snapshot.addresses, snapshot.cluster
    assert branch is not None
    until = f", until {branch.expires_at:%Y-%m-%d %H:%M} UTC" if branch.expires_at else ""
    lines = [f"Preview {made.environment} {made.state} from {made.source} ({branch.id}){until}", ""]
    if addresses is not None:
        lines += [f"  direct {addresses.direct}, pooled {addresses.pooled}", ""]
    rows = [
        [
            name,
            inside.history[-1].version if inside.history else "-",
            ", ".join(made.migrations.get(name, ())) or "-",
            str(sum(1 for secret in snapshot.secrets if f"/{name}/" in secret)),
        ]
        for name, inside in sorted(cluster.databases.items() if cluster else ())
    ]
    lines += [f"  {line}" for line in table(["database", "version", "applied now", "secrets"], rows).splitlines()]
    for database, scripts in sorted(made.unknown.items()):
        lines += ["", f"{made.source} is ahead: {database} has {', '.join(scripts)}, which this checkout has not."]
    flag = " --local" if local else ""
    program = "uv run neonctl" if "UV" in os.environ else "neonctl"
    database = next(iter(desired.platform.databases))
    number = made.environment.removeprefix("pr-")
    uri = f"{program} connection-string{flag} --env {made.environment} --database {database} --role readonly --reveal"
    lines += [
        "",
        "Next:",
        f'  psql "$({uri})"',
        "      a psql prompt",
        f"  {program} verify{flag} --env {made.environment}",
        "      prove every privilege by logging in",
        f"  {program} preview delete{flag} {number}",
        "      branch, secrets and parameters gone",
    ]
    return "\n".join(lines)


def removal_document(removal: Removal) -> dict[str, object]:
    """What was deleted, as JSON."""
    return {
        "environment": removal.environment,
        "branch_id": removal.branch_id,
        "secrets": list(removal.traces.secrets),
        "parameters": list(removal.traces.parameters),
        "left_alone": list(removal.traces.foreign),
    }


def removal_text(removal: Removal) -> str:
    """What was deleted, for people."""
    parts = [f"branch {removal.branch_id}"] if removal.branch_id else []
    parts += _counted(removal.traces)
    text = f"Preview {removal.environment} deleted: {', '.join(parts)}."
    if not parts:
        text = f"There is nothing of preview {removal.environment}."
    foreign = [f"{name} is not ours: left alone" for name in removal.traces.foreign]
    return "\n".join([text, *foreign])


def _counted(traces: Traces) -> list[str]:
    counts = ((len(traces.secrets), "secret"), (len(traces.parameters), "parameter"))
    return [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]


def standing_document(found: Sequence[Standing]) -> dict[str, object]:
    """Every preview, as JSON."""
    return {
        "previews": [
            {
                "environment": each.environment,
                "pull_request": each.pull_request.number,
                "repository": each.pull_request.repository,
                "commit": each.pull_request.commit,
                "branch_id": each.branch.id if each.branch else None,
                "created_at": rfc3339(each.branch.created_at) if each.branch else None,
                "refreshed_at": rfc3339(refreshed_at(each.branch)) if each.branch else None,
                "expires_at": rfc3339(each.branch.expires_at) if each.branch else None,
                "secrets": len(each.traces.secrets),
                "parameters": len(each.traces.parameters),
            }
            for each in found
        ]
    }


def standing_text(found: Sequence[Standing]) -> str:
    """Every preview, for people."""
    if not found:
        return "There are no previews."
    header = ["preview", "repository", "commit", "branch", "refreshed", "expires", "secrets"]
    return table(
        header,
        [
            [
                each.environment,
                each.pull_request.repository or "-",
                (each.pull_request.commit or "-")[:12],
                each.branch.id if each.branch else "(gone)",
                _minute(refreshed_at(each.branch)) if each.branch else "-",
                _minute(each.branch.expires_at) if each.branch else "-",
                str(len(each.traces.secrets)),
            ]
            for each in found
        ],
    )


def _minute(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


_WHAT = {
    "preview": "preview, no longer needed",
    "expired": "its branch is gone",
    "throw-away": "left by a proof or rehearsal",
}


def prunable_text(items: Sequence[Prunable]) -> str:
    """What would be deleted, for people."""
    if not items:
        return "There is nothing to prune."
    return table(
        ["name", "what", "deleted"],
        [
            [
                item.name,
                _WHAT[item.kind],
                f"no: {item.kept}"
                if item.kept
                else ", ".join([*(["branch"] if item.branch else []), *_counted(item.traces)]),
            ]
            for item in items
        ],
    )


def pruned_document(items: Sequence[Prunable], pruned: Sequence[Pruned] | None) -> dict[str, object]:
    """What was deleted, or would be (``pruned`` None), as JSON."""
    errors = {each.item.name: each.error for each in pruned or ()}

    def outcome(item: Prunable) -> str:
        if item.kept is not None:
            return "kept"
        if pruned is None:
            return "would be deleted"
        return "failed" if errors[item.name] else "deleted"

    return {
        "dry_run": pruned is None,
        "items": [
            {
                "name": item.name,
                "kind": item.kind,
                "branch_id": item.branch.id if item.branch else None,
                "secrets": len(item.traces.secrets),
                "parameters": len(item.traces.parameters),
                "outcome": outcome(item),
                "reason": item.kept or (error.message if (error := errors.get(item.name)) else None),
            }
            for item in items
        ],
    }


def pruned_text(pruned: Sequence[Pruned]) -> str:
    """What was deleted, for people."""
    failed = [each for each in pruned if each.error]
    done = [each.item.name for each in pruned if not each.error]
    lines = [f"Deleted: {', '.join(done) or 'nothing'}."]
    lines += [f"FAILED  {each.item.name}: {each.error.message}" for each in failed if each.error]
    return "\n".join(lines)
