"""Where boto3 gets its credentials from: the surroundings, ``--local``'s own keys, or a role that is assumed.

botocore is imported when it is needed, never at import: the command line starts without it.
"""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from neonctl.errors import ServiceError
from neonctl.vault.failures import call

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3
    from botocore.config import Config

    from neonctl.settings import Settings

ROLE_SESSION_NAME = "neonctl"


class Sessions:
    """The sessions of one run. Accounts that share this object look for credentials and read AWS's models once.

    Safe to use from several threads: boto3 sessions, unlike clients, are not, so clients are made one by one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = RLock()
        self._first: boto3.Session | None = None
        self._models: Any = None

    def first(self) -> boto3.Session:
        """The session that we start from.

        Raises ``ServiceError`` ``LOCAL_NOT_RUNNING`` when ``--local`` has no platform to go to.
        """
        import boto3

        settings = self._settings
        key_id, key = settings.aws_access_key_id, settings.aws_secret_access_key
        if settings.local and (settings.aws_endpoint_url is None or key_id is None or key is None):
            raise ServiceError(
                "LOCAL_NOT_RUNNING", "the local platform has no AWS endpoint", hint="run: neonctl local up"
            )
        with self._lock:
            if self._first is None:
                keys: dict[str, Any] = {}
                if key_id is not None and key is not None:
                    keys = {"aws_access_key_id": key_id, "aws_secret_access_key": key.reveal()}
                self._first = boto3.Session(botocore_session=self._core(), **keys)
            return self._first

    def assumed(self, role_arn: str, region: str) -> boto3.Session:
        """A session as a role, whose credentials renew themselves a quarter of an hour before they end.

        The role is assumed at once, so a refusal shows here; later, whoever makes the call that finds the
        credentials ending gets the refusal of their renewal. Raises ``AwsError``.
        """
        import boto3
        from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials

        assume = _assumption(self.client(self.first(), "sts", region), role_arn)
        given = RefreshableCredentials.create_from_metadata(assume(), refresh_using=assume, method="assume-role")

        class Given(CredentialProvider):
            METHOD = "assume-role"

            def load(self) -> RefreshableCredentials:
                return given

        with self._lock:
            core = self._core()
        # The only provider: nothing in the surroundings can stand in for the role.
        core.register_component("credential_provider", CredentialResolver([Given()]))
        return boto3.Session(botocore_session=core)

    def client(self, session: boto3.Session, service: Any, region: str) -> Any:
        """A client of one service, at the local platform or at AWS. Raises ``AwsError``."""
        settings = self._settings
        verify = str(settings.ca_file) if settings.aws_endpoint_url and settings.ca_file else None
        make = cast("Any", session).client
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

    def _core(self) -> Any:
        """A botocore session; for ``--local`` one that reads no profile: the user's AWS files are not for it.

        A profile named by AWS_PROFILE would be looked up, and missed, even though the keys are given.
        """
        from botocore.session import Session

        if self._settings.local:
            unset: Any = (None, None, None, None)
            nothing: Any = (None, None, os.devnull, None)
            core = Session(session_vars={"profile": unset, "config_file": nothing, "credentials_file": nothing})
        else:
            core = Session()
        if self._models is None:
            self._models = core.get_component("data_loader")
        core.register_component("data_loader", self._models)
        return core


def _assumption(sts: Any, role_arn: str) -> Callable[[], dict[str, str]]:
    def assume() -> dict[str, str]:
        answer = call("sts:AssumeRole", role_arn, sts.assume_role, RoleArn=role_arn, RoleSessionName=ROLE_SESSION_NAME)
        given = answer["Credentials"]
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    return assume
