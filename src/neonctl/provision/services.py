"""The foreign systems that provisioning works on, opened once and shared by all threads.

The libraries that speak with them are imported with their first use: who runs migrations needs no HTTP client, and
who waits for Neon's answer has time to import the driver.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING

from neonctl import __version__
from neonctl.errors import UsageError
from neonctl.frozen import frozen
from neonctl.secret import unannounced
from neonctl.vault.credentials import Sessions
from neonctl.vault.session import AwsAccess

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.desired.model import AwsSpec, Desired
    from neonctl.neon.client import NeonClient
    from neonctl.neon.connection import ConnectionTarget
    from neonctl.plan.observed import Address
    from neonctl.provision.kept import KeptConnections
    from neonctl.secret import Secret
    from neonctl.settings import Settings

# Somebody who holds a role or a table in an open transaction must not make provisioning wait for ever.
LOCK_TIMEOUT_S = 10.0


@frozen
class OwnerAccess:
    """How the owner role of one branch logs in, over both ways."""

    direct: ConnectionTarget
    pooled: ConnectionTarget


class Services:
    """Neon, AWS and Postgres as one environment after another needs them."""

    def __init__(
        self,
        settings: Settings,
        desired: Desired,
        *,
        purpose: str,
        only_describes: bool = False,
        on_wait: Callable[[str], None] | None = None,
        on_secret: Callable[..., None] = unannounced,
    ) -> None:
        """``only_describes``: nothing is changed and no secret's value read, so ``aws.plan_role_arn`` will do.

        ``on_secret(*secrets)`` hears of every secret before it is used for anything.
        """
        self.settings = settings
        self._only_describes = only_describes
        self._on_secret = on_secret
        self._desired = desired
        self.application_name = f"neonctl/{__version__} {purpose}"
        self._on_wait = on_wait
        self._aws_sessions = Sessions(settings)
        self._aws: dict[tuple[str, str, str | None], AwsAccess] = {}
        self._neon: NeonClient | None = None
        self._lock = threading.Lock()
        self._kept: KeptConnections | None = None

    @property
    def ca_file(self) -> str | None:
        """Trust anchor of a private platform; None for publicly trusted certificates."""
        return str(self.settings.ca_file) if self.settings.ca_file else None

    @property
    def neon(self) -> NeonClient:
        """The Neon API. Raises ``UsageError`` NEON_NO_CREDENTIALS when there is no key."""
        from neonctl.neon.client import NeonClient

        with self._lock:
            if self._neon is None:
                self._neon = NeonClient(
                    api_host=self.settings.api_host,
                    api_key=self._api_key(),
                    org_id=self.settings.org_id,
                    on_wait=self._on_wait,
                )
            return self._neon

    def _api_key(self) -> Secret:
        if self.settings.api_key is not None:
            self._on_secret(self.settings.api_key)
            return self.settings.api_key
        name = self._desired.platform.neon.api_key_secret
        if name is None:
            raise UsageError(
                "NEON_NO_CREDENTIALS",
                "there is no Neon API key",
                hint="set NEON_API_KEY, or neon.api_key_secret in platform.yaml; "
                "or add --local to use the embedded platform, which needs no account",
            )
        default = next(spec for spec in self._desired.environments.values() if spec.branch.default)
        return self._aws_of(default.aws).secrets().read_text(name)

    def aws(self, spec: AwsSpec) -> AwsAccess:
        """The AWS account of an environment; another account is refused at the first use."""
        with self._lock:
            return self._aws_of(spec)

    def _aws_of(self, spec: AwsSpec) -> AwsAccess:
        role = (self._only_describes and spec.plan_role_arn) or spec.role_arn
        key = (spec.account_id, spec.region, role)
        if key not in self._aws:
            self._aws[key] = AwsAccess(
                self.settings,
                account_id=spec.account_id,
                region=spec.region,
                role_arn=role,
                sessions=self._aws_sessions,
                on_secret=self._on_secret,
            )
        return self._aws[key]

    def connect_as_owner(
        self, access: OwnerAccess, database: str
    ) -> AbstractContextManager[psycopg.Connection[TupleRow]]:
        """A direct connection of the owner role to any database of its branch."""
        return self.connect_directly(access.direct, database)

    def connect_directly(
        self, target: ConnectionTarget, database: str
    ) -> AbstractContextManager[psycopg.Connection[TupleRow]]:
        """A connection over the owner role's direct way in; within ``keeping_connections`` an idle one of before.

        Role and database are known from Neon's API, which tells of them before Postgres has them.
        """

        def connect() -> AbstractContextManager[psycopg.Connection[TupleRow]]:
            return self.login(
                target.address, database, target.username, target.password, fresh=True, lock_timeout_s=LOCK_TIMEOUT_S
            )

        return connect() if self._kept is None else self._kept.borrow(target, database, connect)

    def owner_way(self, project_id: str, branch_id: str, *, database: str, role: str, pooled: bool) -> ConnectionTarget:
        """Where and how the owner role logs in; within ``keeping_connections`` Neon is asked once."""
        ways = {} if self._kept is None else self._kept.ways
        if (branch_id, pooled) not in ways:
            ways[branch_id, pooled] = self.neon.connection(
                project_id, branch_id, database=database, role=role, pooled=pooled
            )
        return ways[branch_id, pooled]

    def forget_way(self, branch_id: str) -> None:
        """Neon has changed passwords on this branch: the owner role's may be another, and connections end."""
        if self._kept is not None:
            self._kept.forget(branch_id)

    @contextmanager
    def keeping_connections(self) -> Generator[None]:
        """Within the block, connections of owner roles are kept for the next one who needs the same."""
        from neonctl.provision.kept import KeptConnections

        with KeptConnections() as kept:
            self._kept = kept
            try:
                yield
            finally:
                self._kept = None

    def login(
        self,
        address: Address,
        database: str,
        username: str,
        password: Secret,
        *,
        pooled: bool = False,
        replication: bool = False,
        fresh: bool = False,
        lock_timeout_s: float | None = None,
    ) -> AbstractContextManager[psycopg.Connection[TupleRow]]:
        """A connection that verifies the server, closed at the end of the block."""
        from neonctl.postgres.connect import Login, connect

        self._on_secret(password)
        login = Login(
            address=address,
            dbname=database,
            username=username,
            password=password,
            ca_file=self.settings.ca_file,
            pooled=pooled,
            replication=replication,
            lock_timeout_s=lock_timeout_s,
        )
        return closing(connect(login, application_name=self.application_name, fresh=fresh))

    def close(self) -> None:
        """Close what was opened."""
        if self._neon is not None:
            self._neon.close()
