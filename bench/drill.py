"""A drill of Open Bank Resolution on a bank of a million accounts, end to end, with its parts.

The floor is what activation and unwind cannot do without: a bare UPDATE of two columns of as many rows, there and back,
on a copy of the accounts that has no index.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg

from bench.customers import populate
from bench.embedded import embedded, neonctl
from bench.measure import Figure, python, say, timed

if TYPE_CHECKING:
    from neonctl.local.state import Platform

ACCOUNTS = int(os.environ.get("BENCH_DRILL_ACCOUNTS", "1000000"))
_MOST_RUNS = 3  # each takes a minute or two
_FLOOR = (
    "UPDATE core.bench_floor SET obr_frozen_amount = greatest(balance, 0), obr_available_amount = 1",
    "UPDATE core.bench_floor SET obr_frozen_amount = 0, obr_available_amount = 0",
)


def run(runs: int) -> list[Figure]:
    """Drills of prod and their floor by turns."""
    whole: list[float] = []
    floor: list[float] = []
    parts: list[Mapping[str, float]] = []
    with embedded() as platform, tempfile.TemporaryDirectory() as out:
        say("  provisioning")
        neonctl(platform, "apply", "--yes")
        with psycopg.connect(_uri(platform), autocommit=True) as owner:
            say(f"  {ACCOUNTS:,} accounts: {timed(lambda: populate(owner, ACCOUNTS)):.0f} s")
            for turn in range(min(runs, _MOST_RUNS)):
                floor.append(_floor(owner))
                whole.append(timed(lambda: parts.append(_drill(platform, out))))
                say(f"  {turn + 1}: {whole[-1]:.1f} s, floor {floor[-1]:.1f} s, {json.dumps(parts[-1])}")
    floor_is = "two columns of as many rows written and cleared by bare UPDATEs"
    details = {"accounts": ACCOUNTS, "parts_s": parts[-1]}
    return [Figure("drill of a resolution", whole, floor, floor_is, details=details)]


def _drill(platform: Platform, out: str) -> dict[str, float]:
    said = _said(platform, "obr", "drill", "--env", "prod", "--haircut", "0.25", "--out", out, "-q", "-o", "json")
    found: Any = json.loads(said)
    if not found["passed"]:
        raise RuntimeError(f"the drill failed: {found['report']}")
    report = found["report"]
    parts = {phase["name"]: phase["took_ms"] / 1000 for phase in report["phases"]}
    return parts | {f"activate.{name}": took / 1000 for name, took in report["activation_parts_ms"].items()}


def _floor(owner: psycopg.Connection[tuple[object, ...]]) -> float:
    """The table is no part of what is copied."""
    owner.execute("CREATE TABLE core.bench_floor (LIKE accounts.accounts) WITH (fillfactor = 45)")
    try:
        owner.execute("INSERT INTO core.bench_floor SELECT * FROM accounts.accounts")
        owner.execute("VACUUM ANALYZE core.bench_floor")
        return sum(timed(lambda text=text: owner.execute(text)) for text in _FLOOR)
    finally:
        owner.execute("DROP TABLE core.bench_floor")


def _uri(platform: Platform) -> str:
    asked = ["--env", "prod", "--database", "bank_core", "--role", "migrate_user", "--direct", "--reveal"]
    return _said(platform, "connection-string", *asked).strip()


def _said(platform: Platform, *arguments: str) -> str:
    environment = {**os.environ, "NEONCTL_LOCAL_DIR": str(platform.data_dir), "NEONCTL_TARGET": "local"}
    done = subprocess.run(
        python("-m", "neonctl", *arguments), env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"{arguments[0]} ended with {done.returncode}")
    return done.stdout
