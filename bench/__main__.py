"""``python -m bench [NAME …]``: run benchmarks (all without names) and print one JSON document."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime

from bench import apply, branch, drill, ledger, migrate, migrate_noop, noop, obr, preview, prove, startup
from bench.measure import Figure, say

BENCHMARKS = {
    "startup": startup.run,
    "noop": noop.run,
    "migrate": migrate.run,
    "migrate_noop": migrate_noop.run,
    "apply": apply.run,
    "branch": branch.run,
    "preview": preview.run,
    "prove": prove.run,
    "ledger": ledger.run,
    "obr": obr.run,
    "drill": drill.run,
}


def main() -> int:
    """Exit 1 when a target is missed, with all figures printed all the same."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which; all when none is named")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, interleaved with the floor's [5]")
    given = parser.parse_args()
    figures: list[Figure] = []
    for name in given.names or BENCHMARKS:
        say(f"{name} …")
        figures += BENCHMARKS[name](given.runs)
    document = {
        "schema_version": 1,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "runs": given.runs,
        "figures": [figure.document() for figure in figures],
    }
    print(json.dumps(document, indent=2))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
