"""Environments that this run alone works in, from its first SQL statement to its last look."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from neonctl.postgres.turns import take_turn
from neonctl.provision.parallel import for_each

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.provision.services import OwnerAccess, Services
    from neonctl.provision.world import World

_WAIT_S: Final = 15.0  # a run that was killed is missed by the server within moments, one at work may take longer


def _connection_of_its_own(
    access: OwnerAccess, services: Services
) -> AbstractContextManager[psycopg.Connection[TupleRow]]:
    """Its end gives the lock back, so it is never one that is kept for others."""
    direct = access.direct
    return services.login(direct.address, direct.dbname, direct.username, direct.password, fresh=True)


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
        opened = for_each(lambda pair: held.enter_context(_connection_of_its_own(pair[1], services)), pairs)
        for name, connection in zip(names, opened, strict=True):
            take_turn(connection, name, wait_s=_WAIT_S)
        yield
