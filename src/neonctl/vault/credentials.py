"""Where boto3 gets its credentials from: the surroundings, ``--local``'s own keys, or a role that is assumed.

botocore is imported when it is needed, never at import (cli start-up).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from neonctl.errors import ServiceError
from neonctl.vault.failures import call

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3

    from neonctl.settings import Settings

ROLE_SESSION_NAME = "neonctl"


def first_session(settings: Settings, region: str) -> boto3.Session:
    """The session we start from.

    Raises ``ServiceError`` ``LOCAL_NOT_RUNNING`` when ``--local`` has no platform to go to.
    """
    import boto3

    key_id, key = settings.aws_access_key_id, settings.aws_secret_access_key
    if settings.local and (settings.aws_endpoint_url is None or key_id is None or key is None):
        raise ServiceError("LOCAL_NOT_RUNNING", "the local platform has no AWS endpoint", hint="run: neonctl local up")
    if key_id is None or key is None:
        return boto3.Session(region_name=region)
    return boto3.Session(
        botocore_session=_core(settings),
        aws_access_key_id=key_id,
        aws_secret_access_key=key.reveal(),
        region_name=region,
    )


def assumed_session(settings: Settings, sts: Any, *, role_arn: str, region: str) -> boto3.Session:
    """A session as a role. Its credentials last an hour and renew themselves a quarter of an hour before they end.

    ``sts``: a client of who may assume the role. The role is assumed at once, so a refusal shows here; whoever
    later makes the call that finds the credentials ending gets the refusal of the renewal.
    """
    import boto3
    from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials

    assume = _assumption(sts, role_arn)
    given = RefreshableCredentials.create_from_metadata(assume(), refresh_using=assume, method="assume-role")

    class Given(CredentialProvider):
        METHOD = "assume-role"

        def load(self) -> RefreshableCredentials:
            return given

    core = _core(settings)
    # The only provider: nothing in the surroundings can stand in for the role.
    core.register_component("credential_provider", CredentialResolver([Given()]))
    return boto3.Session(botocore_session=core, region_name=region)


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


def _core(settings: Settings) -> Any:
    """A botocore session; for ``--local`` one that reads no profile: the user's AWS files are not for it.

    A profile named by AWS_PROFILE would be looked up, and missed, even though the keys are given.
    """
    from botocore.session import Session

    if not settings.local:
        return Session()
    unset: Any = (None, None, None, None)
    nothing: Any = (None, None, os.devnull, None)
    return Session(session_vars={"profile": unset, "config_file": nothing, "credentials_file": nothing})
