"""What the rules look at, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from neonctl.desired.model import EnvironmentSpec, PlatformSpec
from neonctl.desired.problem import NodePath, ProblemCode
from neonctl.frozen import frozen

PLATFORM = "platform.yaml"  # not an environment's name: those have no dot
PREVIEW = "preview"


@frozen
class Finding:
    """A broken rule. ``subject``: an environment's name, ``PREVIEW`` or ``PLATFORM``.

    ``rests_on``: what else the rule has read; where that is broken in shape, the rule cannot know.
    """

    subject: str
    path: NodePath
    message: str
    code: ProblemCode = "INVALID"
    rests_on: tuple[tuple[str, NodePath], ...] = ()


@frozen
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

    def data_from(self, name: str) -> tuple[str, ...]:
        """The environments whose rows ``name`` holds: itself, its source, and so on; those with real data end it.

        Neon copies everything from a source unless ``schema-only`` is said (MOD-103 "Data in lower environments").
        """
        chain: list[str] = []
        while name in self.environments and name not in chain:
            chain.append(name)
            spec = self.environments[name]
            if spec.production_data or spec.branch.init == "schema-only" or spec.branch.source is None:
                break
            name = spec.branch.source
        return tuple(chain)
