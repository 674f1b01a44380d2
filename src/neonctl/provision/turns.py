"""Environments that this run alone works in, from its first SQL statement to its last look."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from neonctl.postgres.turns import take_turn
from neonctl.provision.parallel import for_each

if TYPE_CHECKING:
    from neonctl.provision.services import Services
    from neonctl.provision.world import World

_WAIT_S: Final = 15.0  # a run that was killed is missed by the server within moments, one at work may take longer


@contextmanager
def own_turn(environments: Sequence[str], world: World, services: Services) -> Generator[None]:
    """Hold the lock of each environment; two runs would set each other's passwords aside.

    Raises ``RetryableError`` APPLY_RUNNING when another run keeps one. Locks are taken in the order of names, so
    that two runs never hold what the other waits for.
    """
    with ExitStack() as held:
        names = sorted(environments)
        accesses = for_each(world.access, names)
        pairs = list(zip(names, accesses, strict=True))
        opened = for_each(
            lambda pair: held.enter_context(services.connect_as_owner(pair[1], pair[1].direct.dbname)), pairs
        )
        for name, connection in zip(names, opened, strict=True):
            take_turn(connection, name, wait_s=_WAIT_S)
        yield
