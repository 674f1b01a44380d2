"""Secrets Manager: one secret per database and role, its versions and their staging labels.

Source of the rules: AWS's API reference as summed up in security.md 3. Every call may be repeated: after a
crash, or because an answer was lost and the SDK sent it again. So each step that can be "already done" asks
before it complains.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from neonctl.errors import RetryableError, ServiceError
from neonctl.secret import Secret, unannounced
from neonctl.vault.failures import AwsError, call
from neonctl.vault.metadata import CURRENT, PENDING, SecretMetadata, holder, listed, snapshot
from neonctl.vault.payload import Credential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef

    from neonctl.plan.observed import SecretSnapshot

# Calls in flight. More at once would take the processor from what waits for Neon's answers, which is the longer way.
PARALLEL = 10
_BEING_DELETED_PAUSES_S = (0.5, 1.0, 2.0, 4.0)


class SecretStore:
    """The credentials of one AWS account and region. Safe to use from several threads.

    Every method raises ``AwsError`` (``vault.failures``) when AWS refuses or does not answer.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        *,
        sleep: Callable[[float], None] = time.sleep,
        on_secret: Callable[..., None] = unannounced,
    ) -> None:
        """``on_secret(*secrets)`` hears of what is read before it is returned, and of what is stored before it is."""
        self._client = client
        self._sleep = sleep
        self._on_secret = on_secret

    # --- looking, without values ----------------------------------------------------------------------------

    def describe(self, names: Sequence[str]) -> Mapping[str, SecretSnapshot]:
        """Return what is known of each secret; one that does not exist is absent from the mapping.

        By DescribeSecret, in parallel: ListSecrets is only eventually consistent and would hide what the last
        run wrote.
        """
        wanted = tuple(dict.fromkeys(names))
        if not wanted:
            return {}
        with ThreadPoolExecutor(max_workers=min(PARALLEL, len(wanted))) as pool:
            answers = tuple(pool.map(self._describe, wanted))
        return {name: snapshot(answer) for name, answer in zip(wanted, answers, strict=True) if answer is not None}

    def list(self, prefix: str) -> Iterator[SecretMetadata]:
        """Yield every secret below a prefix, those scheduled for deletion included, page by page."""
        arguments: dict[str, Any] = {
            "Filters": [{"Key": "name", "Values": [prefix]}],
            "IncludePlannedDeletion": True,
            "MaxResults": 100,
        }
        while True:
            page = call("secretsmanager:ListSecrets", prefix, self._client.list_secrets, **arguments)
            for entry in page["SecretList"]:
                if entry.get("Name", "").startswith(prefix):  # AWS's filter is loose about case and words
                    yield listed(entry)
            token = page.get("NextToken")
            if not token:
                return
            arguments["NextToken"] = token

    # --- values ---------------------------------------------------------------------------------------------

    def read(self, name: str, *, version_id: str | None = None, stage: str = CURRENT) -> tuple[str, Credential]:
        """Return a version's id and its credential: the one named, else the one that carries ``stage``.

        Raises ``ServiceError`` ``SECRET_MALFORMED`` when it holds something else.
        """
        found, value = self._value(name, version_id=version_id, stage=stage)
        credential = Credential.from_json(value, name=name)
        self._on_secret(credential.password, credential.uri)
        return found, credential

    def read_text(self, name: str) -> Secret:
        """Return the current value of a secret that is no credential of ours (``neon.api_key_secret``)."""
        value = self._value(name, version_id=None, stage=CURRENT)[1]
        self._on_secret(value)
        return value

    # --- writing --------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        credential: Credential,
        *,
        token: str,
        kms_key_id: str | None,
        tags: Mapping[str, str],
    ) -> str:
        """Make a secret whose first version is current at once; return that version's id, which is ``token``.

        ``token``: 32 to 64 characters, one per value (a UUID). Again with the same value it changes nothing.
        A secret that is scheduled for deletion is restored and gets the value, key and tags; so does an empty one.

        Raises ``RetryableError`` ``SECRET_EXISTS`` when another run made it meanwhile,
        ``SECRET_BEING_DELETED`` while AWS still removes one of that name; ``ServiceError``
        ``SECRET_TOKEN_USED`` for another value under a used token.
        """
        self._on_secret(credential.password, credential.uri)
        for pause_s in (*_BEING_DELETED_PAUSES_S, None):
            try:
                self._create(name, credential, token, kms_key_id, tags)
            except AwsError as refusal:
                if refusal.aws_code not in {"ResourceExistsException", "InvalidRequestException"}:
                    raise
                state = self._describe(name)
                if state is not None and ("DeletedDate" in state or _has_no_value(state)):
                    return self._revive(name, credential, token, kms_key_id, tags)
                if state is not None:
                    return self._accept_existing(name, credential, token, state)
                # Deleted without a recovery window, which AWS finishes in its own time.
                if pause_s is not None:
                    self._sleep(pause_s)
            else:
                return token
        raise RetryableError(
            "SECRET_BEING_DELETED",
            f"AWS has not finished deleting secret {name}",
            hint="run again in a minute",
            details={"secret": name},
        )

    def stage(self, name: str, credential: Credential, *, token: str) -> str:
        """Store a value as AWSPENDING, beside the current one; return its version id, which is ``token``.

        Raises ``ServiceError`` ``SECRET_TOKEN_USED`` for another value under a used token.
        """
        self._on_secret(credential.password, credential.uri)
        try:
            call(
                "secretsmanager:PutSecretValue",
                name,
                self._client.put_secret_value,
                SecretId=name,
                SecretString=credential.to_json().reveal(),
                ClientRequestToken=token,
                VersionStages=[PENDING],  # without it the new value would be current at once
            )
        except AwsError as refusal:
            if refusal.aws_code != "ResourceExistsException":
                raise
            raise _token_used(name, token) from None
        return token

    def promote(self, name: str, version_id: str) -> None:
        """Make a version AWSCURRENT and take AWSPENDING off it; nothing to do is success.

        Raises ``ServiceError`` ``SECRET_VERSION_MISSING`` when there is no such version.
        """
        versions = self._versions(name)
        if version_id not in versions:
            raise ServiceError(
                "SECRET_VERSION_MISSING",
                f"secret {name} has no version {version_id}",
                hint="run apply again: it stages a new one",
                details={"secret": name, "version_id": version_id},
            )
        if holder(versions, CURRENT) != version_id:
            self._move(name, CURRENT, taken_from=holder(versions, CURRENT), given_to=version_id)
        if holder(versions, PENDING) == version_id:
            self._move(name, PENDING, taken_from=version_id, given_to=None)

    def set_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Add or overwrite these tags; others are left alone. Never a secret in one: CloudTrail logs them."""
        if tags:
            pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
            arguments: dict[str, Any] = {"SecretId": name, "Tags": pairs}
            call("secretsmanager:TagResource", name, self._client.tag_resource, **arguments)

    def update_kms(self, name: str, kms_key_id: str) -> None:
        """Encrypt with another key: AWS re-encrypts the labelled versions and uses it from now on."""
        call(
            "secretsmanager:UpdateSecret",
            name,
            self._client.update_secret,
            SecretId=name,
            KmsKeyId=kms_key_id,
        )

    def delete(self, name: str, *, recovery_days: int | None) -> None:
        """Schedule deletion after 7 to 30 days, or delete at once (None). Done already is success."""
        how: dict[str, Any] = (
            {"ForceDeleteWithoutRecovery": True} if recovery_days is None else {"RecoveryWindowInDays": recovery_days}
        )
        try:
            call("secretsmanager:DeleteSecret", name, self._client.delete_secret, SecretId=name, **how)
        except AwsError as refusal:
            if refusal.code == "AWS_NOT_FOUND" or self._is_deleted(name):
                return
            raise

    def restore(self, name: str) -> None:
        """Cancel a scheduled deletion; one that is not scheduled is success."""
        try:
            call("secretsmanager:RestoreSecret", name, self._client.restore_secret, SecretId=name)
        except AwsError as refusal:
            if refusal.aws_code != "InvalidRequestException" or self._is_deleted(name):
                raise

    # --- steps ----------------------------------------------------------------------------------------------

    def _create(
        self, name: str, credential: Credential, token: str, kms_key_id: str | None, tags: Mapping[str, str]
    ) -> None:
        arguments: dict[str, Any] = {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        if kms_key_id is not None:
            arguments["KmsKeyId"] = kms_key_id
        call(
            "secretsmanager:CreateSecret",
            name,
            self._client.create_secret,
            Name=name,
            SecretString=credential.to_json().reveal(),
            ClientRequestToken=token,
            **arguments,
        )

    def _revive(
        self, name: str, credential: Credential, token: str, kms_key_id: str | None, tags: Mapping[str, str]
    ) -> str:
        """Tags come last: the one that says where it points to must not speak of a value that is not there yet."""
        self.restore(name)
        if kms_key_id is not None:
            self.update_kms(name, kms_key_id)
        self.stage(name, credential, token=token)
        self.promote(name, token)
        self.set_tags(name, tags)
        return token

    def _accept_existing(
        self, name: str, credential: Credential, token: str, state: DescribeSecretResponseTypeDef
    ) -> str:
        """An answer was lost and the call came twice, or somebody else was faster."""
        if token not in state.get("VersionIdsToStages", {}):
            raise RetryableError(
                "SECRET_EXISTS",
                f"secret {name} appeared while it was being created",
                hint="another run may be at work; run again when it has ended",
                details={"secret": name},
            )
        if self._value(name, version_id=token, stage=CURRENT)[1] != credential.to_json():
            raise _token_used(name, token)
        return token

    def _move(self, name: str, label: str, *, taken_from: str | None, given_to: str | None) -> None:
        arguments: dict[str, Any] = {"SecretId": name, "VersionStage": label}
        if taken_from is not None:
            arguments["RemoveFromVersionId"] = taken_from
        if given_to is not None:
            arguments["MoveToVersionId"] = given_to
        try:
            call(
                "secretsmanager:UpdateSecretVersionStage",
                name,
                self._client.update_secret_version_stage,
                **arguments,
            )
        except AwsError as refusal:
            # A repeated call is refused because the label has already left: look before complaining.
            now = holder(self._versions(name), label) if refusal.code == "AWS_REFUSED" else taken_from
            if now == taken_from or (given_to is not None and now != given_to):
                raise

    def _value(self, name: str, *, version_id: str | None, stage: str) -> tuple[str, Secret]:
        # Never without one of the two: what "the value" is then is AWS's choice, not ours.
        which: dict[str, Any] = {"VersionStage": stage} if version_id is None else {"VersionId": version_id}
        answer = call("secretsmanager:GetSecretValue", name, self._client.get_secret_value, SecretId=name, **which)
        return answer["VersionId"], Secret(answer.get("SecretString", ""))

    def _versions(self, name: str) -> Mapping[str, Sequence[str]]:
        answer = call("secretsmanager:DescribeSecret", name, self._client.describe_secret, SecretId=name)
        return answer.get("VersionIdsToStages", {})

    def _describe(self, name: str) -> DescribeSecretResponseTypeDef | None:
        try:
            return call("secretsmanager:DescribeSecret", name, self._client.describe_secret, SecretId=name)
        except AwsError as refusal:
            if refusal.code == "AWS_NOT_FOUND":
                return None
            raise

    def _is_deleted(self, name: str) -> bool:
        answer = self._describe(name)
        return answer is not None and "DeletedDate" in answer


def _has_no_value(state: DescribeSecretResponseTypeDef) -> bool:
    return holder(state.get("VersionIdsToStages", {}), CURRENT) is None


def _token_used(name: str, token: str) -> ServiceError:
    return ServiceError(
        "SECRET_TOKEN_USED",
        f"secret {name} already has a version {token} with another value",
        hint="read that version and use it, or stage under a new token",
        details={"secret": name, "version_id": token},
    )
