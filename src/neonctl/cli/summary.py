"""What a newcomer reads when apply is through: what exists, where, how to look at it, what next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from neonctl.cli.table import table
from neonctl.plan.observed import ClusterSnapshot

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.plan.observed import EnvironmentSnapshot, Observed


def platform_document(desired: Desired, observed: Observed) -> dict[str, object]:
    """What is there, as JSON."""
    project = observed.project
    return {
        "project_id": project.id if project else None,
        "region": project.region if project else None,
        "environments": [
            _environment(name, observed.environments[name], desired)
            for name in desired.environments
            if name in observed.environments and observed.environments[name].branch is not None
        ],
    }


def _environment(name: str, snapshot: EnvironmentSnapshot, desired: Desired) -> dict[str, object]:
    branch, cluster = snapshot.branch, snapshot.cluster
    assert branch is not None
    databases = (cluster or ClusterSnapshot()).databases
    return {
        "name": name,
        "branch": branch.name,
        "branch_id": branch.id,
        "default": branch.default,
        "protected": branch.protected,
        "direct_host": str(snapshot.addresses.direct) if snapshot.addresses else None,
        "pooled_host": str(snapshot.addresses.pooled) if snapshot.addresses else None,
        "secrets": sum(1 for secret in snapshot.secrets.values() if not secret.deleted),
        "databases": [
            {
                "name": database,
                "schemas": sorted(found.schemas.keys() - {"public"}),
                "tables": len(_own_tables(database, found.tables, desired)),
                "version": found.history[-1].version if found.history else None,
            }
            for database, found in sorted(databases.items())
        ],
    }


def _own_tables(database: str, tables: frozenset[str], desired: Desired) -> list[str]:
    schemas = desired.platform.databases[database].schemas
    return [table for table in tables if table.split(".", 1)[0] in schemas]


def platform_text(desired: Desired, observed: Observed, *, local: bool) -> str:
    """What is there, for people, and what to try next."""
    project = observed.project
    assert project is not None
    lines = [f"Project {project.name} ({project.id}), {project.region}, Postgres {project.postgres_version}", ""]
    rows: list[tuple[str, ...]] = [("environment", "branch", "direct", "pooled", "databases", "tables", "secrets")]
    for name, snapshot in observed.environments.items():
        if snapshot.branch is not None:
            rows.append(_row(name, snapshot, desired))
    lines += [f"  {line}" for line in table(rows[0], rows[1:]).splitlines()]
    return "\n".join([*lines, "", *_next_steps(desired, local=local)])


def _row(name: str, snapshot: EnvironmentSnapshot, desired: Desired) -> tuple[str, ...]:
    branch, addresses = snapshot.branch, snapshot.addresses
    assert branch is not None
    databases = (snapshot.cluster or ClusterSnapshot()).databases
    marks = [word for word, on in (("default", branch.default), ("protected", branch.protected)) if on]
    tables = sum(len(_own_tables(database, found.tables, desired)) for database, found in databases.items())
    return (
        name,
        branch.name + (f" ({', '.join(marks)})" if marks else ""),
        str(addresses.direct) if addresses else "-",
        str(addresses.pooled) if addresses else "-",
        str(len(databases)),
        str(tables),
        str(sum(1 for secret in snapshot.secrets.values() if not secret.deleted)),
    )


def _next_steps(desired: Desired, *, local: bool) -> list[str]:
    lowest = list(desired.environments)[-1] if "dev" not in desired.environments else "dev"
    database = next(iter(desired.platform.databases))
    flag = " --local" if local else ""
    program = "uv run neonctl" if "UV" in os.environ else "neonctl"  # as this very command was given
    connect = f"{program} connection-string{flag} --env {lowest} --database {database} --role readonly --reveal"
    steps: Mapping[str, str] = {
        "prove every privilege by logging in": f"{program} verify{flag}",
        "a psql prompt": f'psql "$({connect})"',
        "the stored credentials, without their values": f"{program} secrets list{flag}",
        "change the YAML in config/, then see what would happen": f"{program} plan{flag}",
    }
    if local:
        steps = {**steps, "what runs on this machine, and stop it": f"{program} local status; {program} local down"}
    return ["Next:", *(f"  {command}\n      {what}" for what, command in steps.items())]
