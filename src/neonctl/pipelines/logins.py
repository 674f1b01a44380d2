"""Logging in to the databases of an environment with what is stored for them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from neonctl.desired.model import secret_name
from neonctl.plan.observed import Address
from neonctl.provision.parallel import by_key

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.desired.model import EnvironmentSpec, RoleKind
    from neonctl.provision.services import Services


@contextmanager
def logged_in(
    databases: Sequence[str], spec: EnvironmentSpec, services: Services, *, role: RoleKind = "migrate_user"
) -> Generator[Mapping[str, psycopg.Connection[TupleRow]]]:
    """A connection to each database, over the direct host, in autocommit; all of them are closed at the end.

    Raises ``ServiceError`` for the first that is not stored or does not let us in.
    """
    secrets = services.aws(spec.aws).secrets()
    with ExitStack() as opened:

        def one(database: str) -> psycopg.Connection[TupleRow]:
            _, credential = secrets.read(secret_name(spec.stage, database, role))
            address = Address(credential.direct_host, credential.direct_port)
            login = services.login(address, database, credential.username, credential.password)
            return opened.enter_context(login)

        yield by_key(one, databases)
