"""``neonctl plan`` with nothing to do, over three environments, with 50 ms in front of every API answer.

Floor: the critical path of calls (``look``) plus start-up, which is a bare interpreter that imports the libraries
the command cannot do without. What is ours comes on top: our own modules, YAML, clients, judging, and whatever is
not asked side by side. Also ``neonctl apply`` with nothing to do, without latency, against three seconds.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.embedded import LATENCY_MS, embedded, latency, neonctl, settings
from bench.look import IMPORT_LIBRARIES, look, warm
from bench.measure import Figure, command, python, say
from neonctl.local.state import journal
from neonctl.pipelines.configuration import read_configuration
from neonctl.provision.services import Services


def run(runs: int) -> list[Figure]:
    """One platform, provisioned once; plans and replays by turns."""
    with embedded() as platform:
        first = neonctl(platform, "apply")
        say(f"  provisioned in {first:.1f} s")
        desired = read_configuration(Path("config"), Path("db")).desired
        services = Services(settings(platform), desired, purpose="bench")
        warm(desired, services)
        starts: list[float] = []
        paths: list[float] = []
        plans: list[float] = []
        applies: list[float] = []
        neonctl(platform, "plan")
        with latency(platform):
            for _ in range(runs):
                starts.append(command(python("-c", IMPORT_LIBRARIES), os.environ))
                paths.append(look(platform, desired, services))
                journal(platform, clear=True)
                plans.append(neonctl(platform, "plan"))
                calls = len(journal(platform))
        applies = [neonctl(platform, "apply") for _ in range(runs)]
        services.close()
    floor = [start + path for start, path in zip(starts, paths, strict=True)]
    return [
        Figure(
            f"no-op plan, three environments, {LATENCY_MS} ms latency",
            plans,
            floor,
            "importing the libraries + the critical path of calls",
            most_ratio=1.5,
            details={"calls": calls, "start_s": starts, "critical_path_s": paths},
        ),
        Figure(
            "second apply, no latency",
            applies,
            starts,
            "importing the libraries",
            most_s=3.0,
            details={"first_apply_s": first},
        ),
    ]
