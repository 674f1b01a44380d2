"""Faults on demand: slow, locked, rate-limited, failing or cut-off answers; slow or failing operations.

A rule says what it matches, when it strikes and what it does. Whether it strikes depends on the rule, its
seed and how many matching calls came before, so a run can be repeated. Rules survive a restart, and so do the
counters of those that count.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, cast

from neonctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TARGETS: Final = ("neon", "aws", "operation")
_STATUSES: Final = (423, 429, 500, 503)
_CUTS: Final = ("before", "after")


@dataclass(frozen=True)
class Rule:
    """One fault. Text to match is a regular expression that may match anywhere; empty matches all.

    ``target`` ``neon`` matches ``method`` and ``path`` (without ``/api/v2``); ``aws`` matches ``service`` and
    ``operation``; ``operation`` matches an operation's ``action``. ``every`` = 3 strikes each third matching
    call, ``nth`` = 3 the third only, ``probability`` by ``seed``; ``count`` is the most it strikes.
    ``latency_ms`` delays the answer, ``status`` (with ``retry_after`` seconds) replaces it, ``cut`` drops the
    connection ``before`` or ``after`` the work; for operations ``latency_ms`` slows and ``fail`` fails them.
    ``partial`` lets the list of projects answer with ``unavailable_project_ids`` only (facts.md 2).
    """

    target: str
    method: str = ""
    path: str = ""
    service: str = ""
    operation: str = ""
    action: str = ""
    every: int = 1
    nth: int | None = None
    probability: float = 1.0
    seed: int = 0
    count: int | None = None
    latency_ms: int = 0
    status: int | None = None
    retry_after: int | None = None
    cut: str | None = None
    fail: bool = False
    partial: bool = False
    seen: int = 0
    struck: int = 0

    @property
    def counts(self) -> bool:
        """Whether it depends on the calls before which ones it strikes."""
        return self.every > 1 or self.nth is not None or self.count is not None or self.probability < 1

    def matches(self, target: str, facts: Mapping[str, str]) -> bool:
        """Whether a call of this kind, described by ``facts``, is meant."""
        return self.target == target and all(
            re.search(cast("str", getattr(self, name)), value, re.IGNORECASE) for name, value in facts.items()
        )

    def next(self) -> tuple[bool, Rule]:
        """Whether the next matching call is struck, and the rule with its counters moved on."""
        number = self.seen + 1
        due = number == self.nth if self.nth is not None else number % self.every == 0
        digest = hashlib.sha256(f"{self.seed}:{number}".encode()).digest()
        lucky = int.from_bytes(digest[:8]) / 2**64 < self.probability
        left = self.count is None or self.struck < self.count
        strikes = due and lucky and left
        return strikes, replace(self, seen=number, struck=self.struck + strikes)


@dataclass(frozen=True)
class Fault:
    """What happens to one call: the sum of the rules that struck."""

    latency_ms: int = 0
    status: int | None = None
    retry_after: int | None = None
    cut: str | None = None
    fail: bool = False
    partial: bool = False

    def also(self, rule: Rule) -> Fault:
        return Fault(
            self.latency_ms + rule.latency_ms,
            self.status or rule.status,
            self.retry_after if self.retry_after is not None else rule.retry_after,
            self.cut or rule.cut,
            self.fail or rule.fail,
            self.partial or rule.partial,
        )


def rule_from(document: object) -> Rule:
    """A rule from JSON. Raises ``UsageError`` ``FAULT_RULE`` that says what is wrong with it."""
    known = {item.name for item in fields(Rule)} - {"seen", "struck"}
    if not isinstance(document, dict):
        raise _wrong("a rule is an object")
    entries = cast("dict[str, Any]", document)
    entries = {name: value for name, value in entries.items() if name not in ("seen", "struck")}
    if unknown := sorted(set(entries) - known):
        raise _wrong(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    for name in ("every", "nth", "count", "latency_ms", "retry_after"):
        value = entries.get(name)
        if value is not None and (type(value) is not int or value < (1 if name in ("every", "nth") else 0)):
            raise _wrong(f"{name} must be a whole number")
    for name in ("method", "path", "service", "operation", "action"):
        try:
            re.compile(entries.get(name, ""))
        except (re.error, TypeError) as error:
            raise _wrong(f"{name} is not a regular expression") from error
    if entries.get("target") not in _TARGETS:
        raise _wrong(f"target must be one of {', '.join(_TARGETS)}")
    if entries.get("status") not in (None, *_STATUSES):
        raise _wrong(f"status must be one of {', '.join(map(str, _STATUSES))}")
    if entries.get("cut") not in (None, *_CUTS):
        raise _wrong(f"cut must be one of {', '.join(_CUTS)}")
    probability = entries.get("probability", 1.0)
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise _wrong("probability must lie between 0 and 1")
    if type(entries.get("seed", 0)) is not int:
        raise _wrong("seed must be a whole number")
    if any(type(entries.get(name, False)) is not bool for name in ("fail", "partial")):
        raise _wrong("fail and partial must be true or false")
    return Rule(**entries)


def _wrong(problem: str) -> UsageError:
    return UsageError("FAULT_RULE", f"fault rule refused: {problem}")


@dataclass
class Faults:
    """The rules in force, kept in a file."""

    path: Path
    rules: list[Rule] = field(default_factory=list[Rule])

    def __post_init__(self) -> None:
        if self.path.exists():
            self.rules = [Rule(**item) for item in json.loads(self.path.read_text())]

    def replace_all(self, documents: list[object]) -> None:
        """Put these rules in force instead of the old ones, counters at zero."""
        self.rules = [rule_from(item) for item in documents]
        self._save()

    def documents(self) -> list[dict[str, object]]:
        """The rules with their counters, for JSON."""
        return [asdict(rule) for rule in self.rules]

    def neon(self, method: str, path: str) -> Fault | None:
        """The fault for one API request (``path`` without ``/api/v2``)."""
        return self._strike("neon", {"method": method, "path": path})

    def aws(self, service: str, operation: str) -> Fault | None:
        """The fault for one AWS request (``secretsmanager``, ``GetSecretValue``)."""
        return self._strike("aws", {"service": service, "operation": operation})

    def operation(self, action: str) -> Fault | None:
        """The fault for one operation (``start_compute``)."""
        return self._strike("operation", {"action": action})

    def _strike(self, target: str, facts: Mapping[str, str]) -> Fault | None:
        fault: Fault | None = None
        counted = False
        for index, rule in enumerate(self.rules):
            if rule.matches(target, facts):
                counted |= rule.counts
                strikes, self.rules[index] = rule.next()
                if strikes:
                    fault = (fault or Fault()).also(rule)
        if counted:  # else the file says all that the next call depends on
            self._save()
        return fault

    def _save(self) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.documents()))
        part.replace(self.path)
