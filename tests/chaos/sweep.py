"""Every point of a scenario on its own: prepare, apply with the fault, apply again, judge."""

from __future__ import annotations

import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .faults import HOWS, KILLED, Fault, Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .scenarios import Scenario
    from .site import Run, Site

_RECORDS = 3  # runs whose common calls are the points: how often something is polled differs from run to run
_CLEAN = frozenset({0, 5, 75})  # how a run whose calls are cut may end
_SLOW_S = 30.0


@dataclass
class Tally:
    """What a sweep found; ``str`` is its report."""

    scenario: str
    points: int = 0
    polls: int = 0  # calls that some recorded runs made and others did not
    runs: Counter[str] = field(default_factory=Counter)
    exits_after_cut: Counter[str] = field(default_factory=Counter)
    not_reached: list[str] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)  # a lost answer of an API that the run did not get over
    slow: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        hows = ", ".join(f"{how} {count}" for how, count in self.runs.items())
        lines = [
            f"sweep of {self.scenario}: {self.points} points, {sum(self.runs.values())} runs with a fault ({hows})",
            f"  {len(self.failures)} failures, {len(self.not_reached)} not reached",
            f"  calls that recorded runs do not have in common, left out: {self.polls}",
            f"  exit codes after a cut: {dict(self.exits_after_cut)}",
            *(f"  not reached: {text}" for text in self.not_reached),
            *(f"  gave up: {text}" for text in self.gave_up),
            *(f"  slow: {text}" for text in self.slow),
            *(f"  FAILED: {text}" for text in self.failures),
        ]
        return "\n".join(lines)


def sweep(site: Site, scenario: Scenario, *, shard: tuple[int, int], only: str) -> Iterator[Tally]:
    """Yields the growing tally after each trial."""
    tally = Tally(scenario.name)
    points = _record(site, scenario, tally)
    index, count = shard
    for fault in (Fault(how, point) for point in points for how in HOWS):
        mine = zlib.crc32(str(fault).encode()) % count == index - 1  # the same in every shard's own record
        if mine and only in str(fault):
            _trial(site, scenario, tally, fault)
            yield tally


def _record(site: Site, scenario: Scenario, tally: Tally) -> list[Point]:
    records: list[Run] = []
    for _ in range(_RECORDS):
        site.clear()
        scenario.prepare(site)
        run = site.run(scenario.config, scenario.command)
        assert run.exit_code == 0, run
        records.append(run)
    seen = [Counter(run.calls) for run in records]
    common = seen[0] & seen[1] & seen[2]
    tally.points = common.total()
    tally.polls = (seen[0] | seen[1] | seen[2]).total() - common.total()
    return [Point(label, nth) for label in records[0].calls for nth in range(1, common[label] + 1)]


def _trial(site: Site, scenario: Scenario, tally: Tally, fault: Fault) -> None:
    site.clear()
    scenario.prepare(site)
    started = time.monotonic()
    what = str(fault)
    run = site.run(scenario.config, scenario.command, fault=fault)
    tally.runs[fault.how] += 1
    if not run.struck:
        tally.not_reached.append(f"{what} (exit {run.exit_code})")
    elif fault.how == "cut-after" and fault.point:
        tally.exits_after_cut[f"{fault.point.kind.split()[0]} {run.exit_code}"] += 1
        if run.exit_code and not fault.point.label.startswith("sql"):
            tally.gave_up.append(f"{what} (exit {run.exit_code}): {run.output.strip().splitlines()[-2:]}")
        if run.exit_code not in _CLEAN:
            tally.failures.append(f"{what}: {run}")
    elif run.exit_code != KILLED:
        tally.failures.append(f"{what}: {run}")
    tally.failures += [
        f"{what}: then {wrong}\nfirst {run}" for wrong in site.check(scenario.config, scenario.expected, scenario.again)
    ]
    if (took_s := time.monotonic() - started) > _SLOW_S:
        tally.slow.append(f"{what}: {took_s:.0f} s")
