"""What the rules look at, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neonctl.desired.model import EnvironmentSpec, PlatformSpec
from neonctl.desired.problem import NodePath, ProblemCode

PLATFORM = "platform.yaml"  # not an environment's name: those have no dot
PREVIEW = "preview"


@dataclass(frozen=True)
class Finding:
    """A broken rule. ``subject``: an environment's name, ``PREVIEW`` or ``PLATFORM``."""

    subject: str
    path: NodePath
    message: str
    code: ProblemCode = "INVALID"


@dataclass(frozen=True)
class Subject:
    """What could be parsed. ``names``: every persistent environment's file, whether it could be parsed or not."""

    platform: PlatformSpec | None
    environments: Mapping[str, EnvironmentSpec]
    preview: EnvironmentSpec | None
    names: frozenset[str]

    @property
    def complete(self) -> bool:
        """Whether every environment could be parsed: "there is none" may only be said then."""
        return self.names == frozenset(self.environments)

    def everywhere(self) -> Iterator[tuple[str, EnvironmentSpec]]:
        """The persistent environments, then preview."""
        yield from self.environments.items()
        if self.preview is not None:
            yield PREVIEW, self.preview

    def holds_production_data(self, name: str) -> str | None:
        """The environment whose real data ``name`` holds, by itself or through its sources; None if none.

        Neon copies everything from a source unless ``schema-only`` is said (MOD-103 "Data in lower environments").
        """
        seen: set[str] = set()
        while name in self.environments and name not in seen:
            spec = self.environments[name]
            if spec.production_data:
                return name
            if spec.branch.init == "schema-only" or spec.branch.source is None:
                return None
            seen.add(name)
            name = spec.branch.source
        return None
