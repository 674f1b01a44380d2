"""The way into one AWS account: credentials, the role to assume, and proof that it is the account meant."""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from neonctl.errors import UnsafePlanError
from neonctl.vault.credentials import assumed_session, first_session
from neonctl.vault.failures import call
from neonctl.vault.keys import KeyNames
from neonctl.vault.parameters import ParameterStore
from neonctl.vault.secrets import SecretStore

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

    from neonctl.settings import Settings


@dataclass(frozen=True)
class Caller:
    """Who AWS says we are (the actor of audit records)."""

    account_id: str
    arn: str


class AwsAccess:
    """One environment's AWS account. Nothing is imported, read or called before it is first needed.

    Stores are handed out only after GetCallerIdentity has named the expected account. Safe to use from
    several threads; a role is assumed once per object and stays assumed, however long the work takes.

    Raises ``UnsafePlanError`` ``AWS_WRONG_ACCOUNT``; ``AwsError`` ``AWS_NO_CREDENTIALS`` and what else
    ``vault.failures`` lists; ``ServiceError`` ``LOCAL_NOT_RUNNING`` when ``--local`` has no platform to go
    to, so that it can never reach the real AWS.
    """

    def __init__(self, settings: Settings, *, account_id: str, region: str, role_arn: str | None = None) -> None:
        self._settings = settings
        self._account_id = account_id
        self._region = region
        self._role_arn = role_arn
        self._lock = RLock()  # boto3 sessions, unlike clients, are not safe to share
        self._opened: boto3.Session | None = None
        self._known: Caller | None = None
        self._secrets: SecretStore | None = None
        self._parameters: ParameterStore | None = None
        self._keys: KeyNames | None = None

    def caller(self) -> Caller:
        """Return who we are, after the check of the account."""
        with self._lock:
            if self._known is None:
                sts: Any = self._client(self._session(), "sts")
                answer = call("sts:GetCallerIdentity", self._account_id, sts.get_caller_identity)
                found = Caller(account_id=answer["Account"], arn=answer["Arn"])
                self._refuse_other_account(found)
                self._known = found
            return self._known

    def secrets(self) -> SecretStore:
        """Return the Secrets Manager of this account and region."""
        with self._lock:
            self.caller()
            if self._secrets is None:
                self._secrets = SecretStore(self._client(self._session(), "secretsmanager"))
            return self._secrets

    def parameters(self) -> ParameterStore:
        """Return the Parameter Store of this account and region."""
        with self._lock:
            self.caller()
            if self._parameters is None:
                self._parameters = ParameterStore(self._client(self._session(), "ssm"))
            return self._parameters

    def keys(self) -> KeyNames:
        """Return the names of KMS keys in this account and region."""
        with self._lock:
            self.caller()
            if self._keys is None:
                self._keys = KeyNames(self._kms, account_id=self._account_id, region=self._region)
            return self._keys

    def _kms(self) -> Any:
        with self._lock:
            return self._client(self._session(), "kms")

    def _refuse_other_account(self, found: Caller) -> None:
        if found.account_id != self._account_id:
            raise UnsafePlanError(
                "AWS_WRONG_ACCOUNT",
                f"the AWS credentials belong to account {found.account_id}, the YAML says {self._account_id}",
                hint="use that account's credentials, or name a role of it as aws.role_arn",
                details={"expected": self._account_id, "found": found.account_id, "arn": found.arn},
            )

    def _session(self) -> boto3.Session:
        if self._opened is None:
            session = call("sts:GetCallerIdentity", self._account_id, first_session, self._settings, self._region)
            if self._role_arn is not None:
                sts = self._client(session, "sts")
                session = call(
                    "sts:AssumeRole",
                    self._role_arn,
                    assumed_session,
                    self._settings,
                    sts,
                    role_arn=self._role_arn,
                    region=self._region,
                )
            self._opened = session
        return self._opened

    def _client(self, session: boto3.Session, service: Any) -> Any:
        settings = self._settings
        verify = str(settings.ca_file) if settings.aws_endpoint_url and settings.ca_file else None
        make = cast("Any", session).client
        return call(
            f"{service}:*",
            self._region,
            make,
            service,
            endpoint_url=settings.aws_endpoint_url,
            verify=verify,
            config=self._config(),
        )

    def _config(self) -> Config:
        from botocore.config import Config

        return Config(
            max_pool_connections=32,
            connect_timeout=10,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 6},
            # The local platform stands on this machine: a proxy in the environment is not for it.
            proxies={} if self._settings.local else None,
        )
