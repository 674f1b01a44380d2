"""Measuring: a thing and its floor by turns, so that both see the same machine; medians of both."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One measured thing: seconds of every run, and the target as a ratio to the floor or as seconds.

    ``paired``: each run has its floor right beside it, so what else the machine does falls on both.
    """

    name: str
    seconds: Sequence[float]
    floor: Sequence[float]
    floor_is: str
    most_ratio: float | None = None
    most_s: float | None = None
    paired: bool = False
    details: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def ratio(self) -> float:
        """Median to median, or the median of the pairs'."""
        if self.paired:
            return statistics.median(ours / floor for ours, floor in zip(self.seconds, self.floor, strict=True))
        return statistics.median(self.seconds) / statistics.median(self.floor)

    @property
    def met(self) -> bool:
        """Whether the targets, if any, are met."""
        fast = self.most_s is None or statistics.median(self.seconds) <= self.most_s
        return fast and (self.most_ratio is None or self.ratio <= self.most_ratio)

    def document(self) -> dict[str, object]:
        """For JSON."""
        target = {"ratio": self.most_ratio, "seconds": self.most_s}
        return {
            "name": self.name,
            "median_s": round(statistics.median(self.seconds), 4),
            "floor_median_s": round(statistics.median(self.floor), 4),
            "floor_is": self.floor_is,
            "ratio": round(self.ratio, 3),
            "target": {what: value for what, value in target.items() if value is not None},
            "met": self.met,
            "runs_s": [round(each, 4) for each in self.seconds],
            "floor_runs_s": [round(each, 4) for each in self.floor],
            **({"details": dict(self.details)} if self.details else {}),
        }


class Stopwatch:
    """Adds up only what is measured: ``with watch.on("roles"): …``."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    @contextlib.contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count the time of the block towards a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.parts[part] = self.parts.get(part, 0.0) + time.perf_counter() - started

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(self.parts.values())


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Seconds that a process takes; its failure is an error with what it said."""
    # As on a user's machine: from the second run on, Python reads compiled files.
    settled = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    done = subprocess.run(arguments, env=settled, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return took


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]


def say(text: str) -> None:
    """Progress, beside the result."""
    sys.stderr.write(text + "\n")
