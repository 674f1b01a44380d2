"""local status and local faults for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from neonctl.cli.table import table

if TYPE_CHECKING:
    from neonctl.local.state import LocalBranch, Platform


def status_text(platform: Platform, branches: Sequence[LocalBranch]) -> str:
    """Where everything is, and how to point other tools at it."""
    pooler = (
        f"PgBouncer {platform.pooler}, transaction mode"
        if platform.pooler
        else "PgBouncer is not installed: the pooled ports reach Postgres directly (apt install pgbouncer)"
    )
    lines = [
        f"running, process {platform.pid}, state in {platform.data_dir}",
        "",
        f"  Neon API       {platform.api_url}",
        "  API key        in platform.json there; shown by -o json",
        f"  AWS endpoints  {platform.aws_endpoint_url}",
        f"  TLS authority  {platform.ca_file}",
        f"  pooled ports   {pooler}",
    ]
    if branches:
        header = ("project", "branch", "id", "compute", "direct", "pooled")
        rows = [
            [
                branch.project,
                branch.branch + (" (protected)" if branch.protected else ""),
                branch.branch_id,
                branch.compute or "-",
                f"localhost:{branch.direct_port}" if branch.direct_port else "-",
                f"localhost:{branch.pooled_port}" if branch.pooled_port else "-",
            ]
            for branch in branches
        ]
        lines += ["", table(header, rows)]
    else:
        lines += ["", "no project yet: neonctl apply --local makes it"]
    return "\n".join(lines)


def faults_text(rules: Sequence[Mapping[str, object]]) -> str:
    """The faults in force."""
    if not rules:
        return "no faults"
    rows: list[list[str]] = []
    for rule in rules:
        known = {name: value for name, value in rule.items() if value not in {None, "", 0}}
        facts = " ".join(f"{name}={value}" for name, value in known.items() if name not in {"target", "seen", "struck"})
        rows.append([str(rule.get("target", "")), facts, str(rule.get("seen", 0)), str(rule.get("struck", 0))])
    return table(("on", "fault", "seen", "struck"), rows)
