"""A preview as people and as pipelines read it: names and ids, never values."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from neonctl.cli.table import table
from neonctl.desired.model import role_name, secret_name

if TYPE_CHECKING:
    from datetime import datetime

    from neonctl.desired.model import Desired
    from neonctl.pipelines.preview import Preview


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
