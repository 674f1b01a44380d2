"""KMS keys by their many names: AWS may tell a secret's key as key id or ARN where the YAML says alias.

Another name than the YAML's is not drift as long as both are of one key.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from neonctl.vault.failures import AwsError, call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neonctl.plan.observed import SecretSnapshot

AWS_OWN = "alias/aws/secretsmanager"
"""What encrypts a secret that reports no key."""


class KeyNames:
    """The names of keys in one account and region. Safe to use from several threads.

    KMS is asked (kms:DescribeKey) only when two names do not show by themselves whether they are one key, once
    per name; ``client`` makes its client then.
    """

    def __init__(self, client: Callable[[], Any], *, account_id: str, region: str) -> None:
        self._client = client
        self._own = f":kms:{region}:{account_id}:"
        self._lock = Lock()
        self._kms: Any = None
        self._arns: dict[str, str | None] = {}

    def as_wanted(self, secrets: Mapping[str, SecretSnapshot], kms_key_id: str | None) -> Mapping[str, SecretSnapshot]:
        """Snapshots in which a secret under the wanted key reports it by the wanted name (None: any key will do).

        Raises ``AwsError`` when KMS has to be asked and refuses.
        """
        if kms_key_id is None:
            return secrets
        return {
            name: replace(secret, kms_key_id=kms_key_id) if self.same(secret.kms_key_id, kms_key_id) else secret
            for name, secret in secrets.items()
        }

    def same(self, one: str | None, other: str | None) -> bool:
        """Whether two names (key id, key ARN, alias, alias ARN; None: AWS's own) are of one key.

        Raises ``AwsError`` when KMS has to be asked and refuses.
        """
        short, shorter = self._short(one), self._short(other)
        if short == shorter:
            return True
        if not short.startswith(("alias/", "arn:")) and not shorter.startswith(("alias/", "arn:")):
            return False  # two ids of this account
        found = self._arn(short)
        return found is not None and found == self._arn(shorter)

    def _short(self, name: str | None) -> str:
        """Without what goes without saying: this account and region."""
        _, own, resource = (name or AWS_OWN).partition(self._own)
        return (resource if own else name or AWS_OWN).removeprefix("key/")

    def _arn(self, name: str) -> str | None:
        """A name's key ARN; None when there is no such key."""
        with self._lock:
            if name not in self._arns:
                self._arns[name] = self._asked(name)
            return self._arns[name]

    def _asked(self, name: str) -> str | None:
        if self._kms is None:
            self._kms = self._client()
        try:
            answer = call("kms:DescribeKey", name, self._kms.describe_key, KeyId=name)
        except AwsError as refusal:
            if refusal.aws_code == "NotFoundException":
                return None
            raise
        return str(answer["KeyMetadata"]["Arn"])
