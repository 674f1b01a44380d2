"""Where boto3 gets its credentials from: the surroundings, ``--local``'s own keys, or a role that is assumed.

The local platform takes an access key id of twelve digits as a user of that account, so with ``--local`` each
environment starts from its own account; what follows (the role, the check of the account) is as on AWS.

Of boto3 only the core is used, botocore, whose clients are the same: the rest is for S3 and for resources, and takes
as long to import as a call. It is imported when it is needed, never at import: the command line starts without it.
"""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from neonctl.errors import ServiceError
from neonctl.vault.failures import call

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.config import Config
    from botocore.hooks import HierarchicalEmitter
    from botocore.loaders import Loader
    from botocore.session import Session

    from neonctl.settings import Settings

ROLE_SESSION_NAME = "neonctl"
_LOCAL_SECRET_KEY = "local"  # noqa: S105 (the local platform takes any)


class Sessions:
    """The sessions of one run. Accounts that share this object look for credentials and read AWS's models once.

    Safe to use from several threads: boto's sessions, unlike clients, are not, so clients are made one by one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = RLock()
        self._first: dict[str, Session] = {}
        self._events: HierarchicalEmitter | None = None
        self._models: Loader | None = None

    def first(self, account_id: str) -> Session:
        """The session that we start from: what the surroundings give, or ``--local``'s user of the account.

        Raises ``ServiceError`` ``LOCAL_NOT_RUNNING`` when ``--local`` has no platform to go to.
        """
        local = self._settings.local
        if local and self._settings.aws_endpoint_url is None:
            raise ServiceError(
                "LOCAL_NOT_RUNNING", "the local platform has no AWS endpoint", hint="run: neonctl local up"
            )
        whose = account_id if local else ""
        with self._lock:
            if whose not in self._first:
                session = self._session()
                if local:
                    session.set_credentials(account_id, _LOCAL_SECRET_KEY)
                self._first[whose] = session
            return self._first[whose]

    def assumed(self, first: Session, role_arn: str, region: str) -> tuple[Session, str]:
        """A session as a role that ``first`` assumes, and who that is by AWS's own answer (an ARN).

        Its credentials renew themselves a quarter of an hour before they end. The role is assumed at once, so a
        refusal shows here; later, whoever makes the call that finds the credentials ending gets the refusal of
        their renewal. Raises ``AwsError``.
        """
        from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials

        answers: list[str] = []
        assume = _assumption(self.client(first, "sts", region), role_arn, answers.append)
        given = RefreshableCredentials.create_from_metadata(assume(), refresh_using=assume, method="assume-role")

        class Given(CredentialProvider):
            METHOD = "assume-role"

            def load(self) -> RefreshableCredentials:
                return given

        with self._lock:
            session = self._session()
        # The only provider: nothing in the surroundings can stand in for the role.
        session.register_component("credential_provider", CredentialResolver([Given()]))
        return session, answers[0]

    def client(self, session: Session, service: Any, region: str) -> Any:
        """A client of one service, at the local platform or at AWS. Raises ``AwsError``."""
        settings = self._settings
        verify = str(settings.ca_file) if settings.aws_endpoint_url and settings.ca_file else None
        make = cast("Any", session).create_client
        with self._lock:
            return call(
                f"{service}:*",
                region,
                make,
                service,
                region_name=region,
                endpoint_url=settings.aws_endpoint_url,
                verify=verify,
                # Whoever cannot be reached by the first call is not there; later calls are worth more patience.
                config=self._config(attempts=3 if service == "sts" else 6),
            )

    def _config(self, *, attempts: int) -> Config:
        from botocore.config import Config

        return Config(
            max_pool_connections=32,
            connect_timeout=10,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": attempts},
            # The local platform stands on this machine: a proxy in the environment is not for it.
            proxies={} if self._settings.local else None,
        )

    def _session(self) -> Session:
        """A session; for ``--local`` one that reads no profile: the user's AWS files are not for it.

        A profile named by AWS_PROFILE would be looked up, and missed, even though the keys are given.
        """
        from botocore.hooks import HierarchicalEmitter
        from botocore.session import Session

        from neonctl.vault.models import ServiceModels

        first = self._events is None
        if self._events is None:
            self._events = HierarchicalEmitter()
        variables: dict[str, Any] = {}
        if self._settings.local:
            unset, nothing = (None, None, None, None), (None, None, os.devnull, None)
            variables = {"profile": unset, "config_file": nothing, "credentials_file": nothing}
        # botocore's own handlers are registered once: doing it costs more than all else about a session.
        session = Session(variables, event_hooks=self._events, include_builtin_handlers=first)
        if self._models is None:
            paths = session.get_component("data_loader").search_paths  # AWS_DATA_PATH is among them
            self._models = ServiceModels(paths, include_default_search_paths=False)
        session.register_component("data_loader", self._models)
        return session


def _assumption(sts: Any, role_arn: str, who: Callable[[str], None]) -> Callable[[], dict[str, str]]:
    def assume() -> dict[str, str]:
        answer = call("sts:AssumeRole", role_arn, sts.assume_role, RoleArn=role_arn, RoleSessionName=ROLE_SESSION_NAME)
        given = answer["Credentials"]
        who(answer["AssumedRoleUser"]["Arn"])
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    return assume
