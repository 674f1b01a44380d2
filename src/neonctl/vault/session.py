"""The way into one AWS account: the role to assume, and proof that it is the account meant."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

from neonctl.errors import UnsafePlanError
from neonctl.frozen import frozen
from neonctl.secret import unannounced
from neonctl.vault.credentials import Sessions
from neonctl.vault.failures import call
from neonctl.vault.keys import KeyNames
from neonctl.vault.parameters import ParameterStore
from neonctl.vault.secrets import SecretStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.session import Session

    from neonctl.settings import Settings
    from neonctl.vault.events import EventBus
    from neonctl.vault.signing import SigningKey


@frozen
class Caller:
    """Who AWS says we are (the actor of audit records)."""

    account_id: str
    arn: str


class AwsAccess:
    """One environment's AWS account. Nothing is imported, read or called before it is first needed.

    Stores are handed out only after GetCallerIdentity has named the expected account. Safe to use from
    several threads; a role is assumed once per object and stays assumed, however long the work takes.
    ``sessions``: shared between the accounts of one run, because making one is costly. ``on_secret``: hears of
    every secret that is read or stored here, before it is used.

    Raises ``UnsafePlanError`` ``AWS_WRONG_ACCOUNT``; ``AwsError`` ``AWS_NO_CREDENTIALS`` and what else
    ``vault.failures`` lists; ``ServiceError`` ``LOCAL_NOT_RUNNING`` when ``--local`` has no platform to go
    to, so that it can never reach the real AWS.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        account_id: str,
        region: str,
        role_arn: str | None = None,
        sessions: Sessions | None = None,
        on_secret: Callable[..., None] = unannounced,
    ) -> None:
        self._account_id = account_id
        self._region = region
        self._role_arn = role_arn
        self._sessions = sessions or Sessions(settings)
        self._on_secret = on_secret
        self._lock = RLock()
        self._opened: Session | None = None
        self._assumed: str | None = None
        self._known: Caller | None = None
        self._secrets: SecretStore | None = None
        self._parameters: ParameterStore | None = None
        self._keys: KeyNames | None = None

    def caller(self) -> Caller:
        """Return who we are, after the check of the account."""
        with self._lock:
            if self._known is None:
                found = self._identity()
                self._refuse_other_account(found)
                self._known = found
            return self._known

    def _identity(self) -> Caller:
        """Who AWS says we are: it says so when a role is assumed, else it is asked."""
        session = self._session()
        if self._assumed is not None:
            return Caller(account_id=self._assumed.split(":")[4], arn=self._assumed)
        sts = self._sessions.client(session, "sts", self._region)
        answer = call("sts:GetCallerIdentity", self._account_id, sts.get_caller_identity)
        return Caller(account_id=answer["Account"], arn=answer["Arn"])

    def secrets(self) -> SecretStore:
        """Return the Secrets Manager of this account and region."""
        with self._lock:
            self.caller()
            if self._secrets is None:
                self._secrets = SecretStore(self._client("secretsmanager"), on_secret=self._on_secret)
            return self._secrets

    def parameters(self) -> ParameterStore:
        """Return the Parameter Store of this account and region."""
        with self._lock:
            self.caller()
            if self._parameters is None:
                self._parameters = ParameterStore(self._client("ssm"))
            return self._parameters

    def keys(self) -> KeyNames:
        """Return the names of KMS keys in this account and region."""
        with self._lock:
            self.caller()
            if self._keys is None:
                self._keys = KeyNames(lambda: self._client("kms"), account_id=self._account_id, region=self._region)
            return self._keys

    def event_bus(self, name: str) -> EventBus:
        """Return a bus of this account and region, by name or ARN."""
        from neonctl.vault.events import EventBus

        with self._lock:
            self.caller()
            return EventBus(self._client("events"), name)

    def signing_key(self, key_id: str) -> SigningKey:
        """Return a key of this account and region that signs, by id, ARN or alias."""
        from neonctl.vault.signing import SigningKey

        with self._lock:
            self.caller()
            return SigningKey(self._client("kms"), key_id)

    def _refuse_other_account(self, found: Caller) -> None:
        if found.account_id != self._account_id:
            raise UnsafePlanError(
                "AWS_WRONG_ACCOUNT",
                f"the AWS credentials belong to account {found.account_id}, the YAML says {self._account_id}",
                hint="use that account's credentials, or name a role of it as aws.role_arn",
                details={"expected": self._account_id, "found": found.account_id, "arn": found.arn},
            )

    def _client(self, service: str) -> Any:
        return self._sessions.client(self._session(), service, self._region)

    def _session(self) -> Session:
        with self._lock:
            if self._opened is None:
                self._opened = call("sts:GetCallerIdentity", self._account_id, self._open)
            return self._opened

    def _open(self) -> Session:
        first = self._sessions.first(self._account_id)
        if self._role_arn is None:
            return first
        session, self._assumed = self._sessions.assumed(first, self._role_arn, self._region)
        return session
