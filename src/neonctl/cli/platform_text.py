"""local status and local faults for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from neonctl.cli.table import table

if TYPE_CHECKING:
    from neonctl.local.platform import Platform


def status_text(platform: Platform, branches: Sequence[Mapping[str, object]]) -> str:
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
        header = ("project", "branch", "id", "state", "direct", "pooled")
        rows = [[str(branch.get(column) or "-") for column in header] for branch in branches]
        lines += ["", table(header, rows)]
    else:
        lines += ["", "no project yet: neonctl apply --local makes it"]
    return "\n".join(lines)


def faults_text(rules: Sequence[Mapping[str, object]]) -> str:
    """The faults in force."""
    if not rules:
        return "no faults"
    return table(
        ("match", "action", "rest"),
        [
            [
                str(rule.get("match", "*")),
                str(rule.get("action", "")),
                " ".join(f"{key}={value}" for key, value in rule.items() if key not in {"match", "action"}),
            ]
            for rule in rules
        ],
    )
