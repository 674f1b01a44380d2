"""How long the program takes to start.

Subject: ``neonctl --version`` and ``neonctl plan --help``. Floor: the bare interpreter, ``python -c pass``. The
target is in seconds (0.12 where the interpreter takes 0.015), stretched where the interpreter itself is slower.
"""

from __future__ import annotations

import os
import statistics

from bench.measure import Figure, command, python

_VERSION_S, _PYTHON_S = 0.12, 0.015


def run(runs: int) -> list[Figure]:
    """Both commands against the interpreter."""
    floor: list[float] = []
    version: list[float] = []
    usage: list[float] = []
    for _ in range(max(runs, 5) * 2):
        floor.append(command(python("-c", "pass"), os.environ))
        version.append(command(python("-m", "neonctl", "--version"), os.environ))
        usage.append(command(python("-m", "neonctl", "plan", "--help"), os.environ))
    most_s = _VERSION_S * max(1.0, statistics.median(floor) / _PYTHON_S)
    return [
        Figure("neonctl --version", version, floor, "python -c pass", most_s=round(most_s, 4)),
        Figure("neonctl plan --help", usage, floor, "python -c pass"),
    ]
