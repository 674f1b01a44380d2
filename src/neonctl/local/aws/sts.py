"""STS: who calls, and roles of any account to become.

There is no IAM here: a role need not be made and may be assumed by anybody. What it gives is what the check of
the account needs: credentials that are of the role's account, can't be forged, and end.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from neonctl.local.aws.keyring import Caller
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neonctl.local.aws.keyring import Keyring
    from neonctl.local.aws.wire import Fields

Action: TypeAlias = "Callable[[Mapping[str, str], Caller, Keyring], Fields]"

_ROLE_ARN = re.compile(
    r"arn:aws:iam::(?P<account>\d{12}):role/(?P<path>[\x21-\x7e]*/)?(?P<name>[\w+=,.@-]{1,64})", re.A
)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_DURATION_S = 3600
_SHORTEST_S = 900
_LONGEST_S = 43200
_LONGEST_CHAINED_S = 3600
_OFFERED = frozenset({"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId"})


def _caller_identity(params: Mapping[str, str], caller: Caller, keyring: Keyring) -> Fields:
    """GetCallerIdentity."""
    del params, keyring
    return {"Arn": caller.arn, "UserId": caller.user_id, "Account": caller.account_id}


def _assume_role(params: Mapping[str, str], caller: Caller, keyring: Keyring) -> Fields:
    """AssumeRole. What would narrow the session (policies, tags) is refused rather than ignored."""
    unknown = sorted(set(params) - _OFFERED)
    if unknown:
        raise _invalid(f"The embedded platform does not offer {', '.join(unknown)}.")
    role = _ROLE_ARN.fullmatch(params.get("RoleArn", ""))
    if role is None:
        raise _invalid(f"{params.get('RoleArn', '')} is invalid")
    session = params.get("RoleSessionName", "")
    if not _SESSION_NAME.fullmatch(session):
        raise _invalid(
            "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [\\w+=,.@-]* and have a length between 2 and 64"
        )
    role_id = "AROA" + hashlib.sha256(params["RoleArn"].encode()).hexdigest()[:17].upper()
    became = Caller(
        account_id=role["account"],
        arn=f"arn:aws:sts::{role['account']}:assumed-role/{role['name']}/{session}",
        user_id=f"{role_id}:{session}",
    )
    keys = keyring.issue(became, _duration_s(params, caller))
    return {
        "AssumedRoleUser": {"AssumedRoleId": became.user_id, "Arn": became.arn},
        "Credentials": {
            "AccessKeyId": keys.access_key_id,
            "SecretAccessKey": keys.secret_access_key.reveal(),
            "SessionToken": keys.session_token.reveal(),
            "Expiration": datetime.fromtimestamp(keys.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


def _duration_s(params: Mapping[str, str], caller: Caller) -> int:
    text = params.get("DurationSeconds", str(_DURATION_S))
    if not text.isdecimal() or not _SHORTEST_S <= int(text) <= _LONGEST_S:
        raise _invalid(
            "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value between {_SHORTEST_S} and {_LONGEST_S}"
        )
    if caller.chained and int(text) > _LONGEST_CHAINED_S:
        raise _invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    return int(text)


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)


OPERATIONS: Mapping[str, Action] = MappingProxyType(
    {
        "AssumeRole": _assume_role,
        "GetCallerIdentity": _caller_identity,
    }
)
