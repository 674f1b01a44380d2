"""The way into an environment's bank_core, as one of its roles, by what is stored for it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from neonctl.desired.model import secret_name
from neonctl.errors import UsageError
from neonctl.plan.observed import Address

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.desired.model import Desired, RoleKind
    from neonctl.provision.services import Services

DATABASE = "bank_core"

#: Makes one more connection, closed at the end of its block.
Door = Callable[[], AbstractContextManager["psycopg.Connection[TupleRow]"]]


def bank_door(environment: str, *, desired: Desired, services: Services, role: RoleKind) -> Door:
    """How ``role`` gets in: app_user through the pooler, the others directly. The secret is read once, here.

    Raises ``UsageError`` UNKNOWN_DATABASE when the configuration has no bank_core; ``ServiceError`` when nothing is
    stored for the role.
    """
    if DATABASE not in desired.platform.databases:
        raise UsageError(
            "UNKNOWN_DATABASE",
            f"the configuration has no database {DATABASE}: there is no bank in it",
            hint=f"declared are: {', '.join(desired.platform.databases)}",
        )
    spec = desired.environments[environment]
    _, credential = services.aws(spec.aws).secrets().read(secret_name(spec.stage, DATABASE, role))
    pooled = (credential.host, credential.port) == (credential.pooled_host, credential.pooled_port)

    def login() -> AbstractContextManager[psycopg.Connection[TupleRow]]:
        address = Address(credential.host, credential.port)
        return services.login(address, DATABASE, credential.username, credential.password, pooled=pooled)

    return login


@contextmanager
def bank(
    environment: str, *, desired: Desired, services: Services, role: RoleKind
) -> Generator[psycopg.Connection[TupleRow]]:
    """One connection to bank_core, in autocommit."""
    with bank_door(environment, desired=desired, services=services, role=role)() as connection:
        yield connection
