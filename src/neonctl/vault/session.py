"""The way into one AWS account: credentials, the role to assume, and proof that it is the account meant."""

from __future__ import annotations

import os
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from neonctl.errors import ServiceError, UnsafePlanError
from neonctl.vault.failures import call
from neonctl.vault.parameters import ParameterStore
from neonctl.vault.secrets import SecretStore

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.session import Session

    from neonctl.settings import Settings

ROLE_SESSION_NAME = "neonctl"


@dataclass(frozen=True)
class Caller:
    """Who AWS says we are (the actor of audit records)."""

    account_id: str
    arn: str


class AwsAccess:
    """One environment's AWS account. Nothing is imported, read or called before it is first needed.

    By botocore, which boto3 stands on: the same variables, files and clients, and half of the time to import.
    ``models``: a cache of what botocore reads about each service, which several accounts may share.

    Stores are handed out only after GetCallerIdentity has named the expected account. Safe to use from
    several threads; a role is assumed once per object, for an hour.

    With ``--local`` there is one account and no roles, so neither is checked or assumed.

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
        models: ServiceModels | None = None,
    ) -> None:
        self._settings = settings
        self._models = models or ServiceModels()
        self._account_id = account_id
        self._region = region
        self._role_arn = role_arn
        self._lock = RLock()  # botocore's sessions, unlike clients, are not safe to share
        self._opened: Session | None = None
        self._known: Caller | None = None
        self._secrets: SecretStore | None = None
        self._parameters: ParameterStore | None = None

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

    def _refuse_other_account(self, found: Caller) -> None:
        # The embedded platform is one account for all environments, reached by its own address and keys only.
        if not self._settings.local and found.account_id != self._account_id:
            raise UnsafePlanError(
                "AWS_WRONG_ACCOUNT",
                f"the AWS credentials belong to account {found.account_id}, the YAML says {self._account_id}",
                hint="use that account's credentials, or name a role of it as aws.role_arn",
                details={"expected": self._account_id, "found": found.account_id, "arn": found.arn},
            )

    def _session(self) -> Session:
        if self._opened is None:
            session = call("sts:GetCallerIdentity", self._account_id, self._first_session)
            if self._role_arn is not None and not self._settings.local:  # the embedded platform has no roles
                session = self._assume(session, self._role_arn)
            self._opened = session
        return self._opened

    def _first_session(self) -> Session:
        settings = self._settings
        key_id, key = settings.aws_access_key_id, settings.aws_secret_access_key
        if settings.local and (settings.aws_endpoint_url is None or key_id is None or key is None):
            raise ServiceError(
                "LOCAL_NOT_RUNNING", "the local platform has no AWS endpoint", hint="run: neonctl local up"
            )
        if key_id is None or key is None:
            return self._models.session()
        session = self._models.session(_without_files() if settings.local else None)
        session.set_credentials(key_id, key.reveal())
        return session

    def _assume(self, session: Session, role_arn: str) -> Session:
        sts: Any = self._client(session, "sts")
        answer = call("sts:AssumeRole", role_arn, sts.assume_role, RoleArn=role_arn, RoleSessionName=ROLE_SESSION_NAME)
        given = answer["Credentials"]
        assumed = self._models.session()
        assumed.set_credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return assumed

    def _client(self, session: Session, service: Any) -> Any:
        settings = self._settings
        verify = str(settings.ca_file) if settings.aws_endpoint_url and settings.ca_file else None
        make = cast("Any", session).create_client
        return call(
            f"{service}:*",
            self._region,
            make,
            service,
            region_name=self._region,
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


class ServiceModels:
    """What botocore has read about AWS's services, large JSON files: read once, however many accounts are used."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._loader: Any = None

    def session(self, made: Session | None = None) -> Session:
        """A new botocore session, or the one given, that reads through this cache."""
        from botocore.session import Session

        session = made or Session()
        with self._lock:
            if self._loader is None:
                self._loader = session.get_component("data_loader")
            else:
                session.register_component("data_loader", self._loader)
        return session


def _without_files() -> Session:
    """A botocore session that reads no profile: the user's AWS files are not for the local platform.

    A profile named by AWS_PROFILE would be looked up, and missed, even though the keys are given.
    """
    from botocore.session import Session

    unset: Any = (None, None, None, None)
    nothing: Any = (None, None, os.devnull, None)
    return Session(session_vars={"profile": unset, "config_file": nothing, "credentials_file": nothing})
