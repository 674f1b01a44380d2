"""KMS keys by their many names, at moto and at the embedded platform."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from neonctl.plan.credentials import metadata_differences
from neonctl.plan.observed import SecretSnapshot
from neonctl.vault.failures import AwsError
from neonctl.vault.keys import KeyNames

from .conftest import REGION, Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from neonctl.vault.payload import Credential

ACCOUNT = "111111111111"
OTHER = "222222222222"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"


def arn(resource: str, *, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:kms:{region}:{account}:{resource}"


def unasked() -> Any:
    pytest.fail("KMS was asked")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (KEY, KEY, True),
        (KEY, arn(f"key/{KEY}"), True),
        ("alias/bank", arn("alias/bank"), True),
        (None, "alias/aws/secretsmanager", True),
        (None, arn("alias/aws/secretsmanager"), True),
        (None, None, True),
        (KEY, KEY.replace("1", "2"), False),
        (arn(f"key/{KEY}"), KEY.replace("1", "2"), False),
    ],
)
def test_names_that_show_it_by_themselves_ask_nobody(one: str | None, other: str | None, same: bool) -> None:
    names = KeyNames(unasked, account_id=ACCOUNT, region=REGION)
    assert names.same(one, other) is same
    assert names.same(other, one) is same


class Kms:
    """Knows keys by name and counts the questions."""

    def __init__(self, keys: dict[str, str]) -> None:
        self.keys = keys
        self.asked: list[str] = []

    def describe_key(self, *, KeyId: str) -> Any:
        self.asked.append(KeyId)
        return {"KeyMetadata": {"Arn": self.keys[KeyId]}}


@pytest.mark.parametrize(
    ("foreign", "same"), [(arn(f"key/{KEY}", account=OTHER), False), (arn(f"key/{KEY}", region="us-east-1"), False)]
)
def test_the_same_id_elsewhere_is_another_key(foreign: str, same: bool) -> None:
    kms = Kms({KEY: arn(f"key/{KEY}"), foreign: foreign})
    names = KeyNames(lambda: kms, account_id=ACCOUNT, region=REGION)
    assert names.same(KEY, foreign) is same
    assert names.same(foreign, foreign) is True


@pytest.fixture
def names(aws_endpoint: Endpoint) -> KeyNames:
    return aws_endpoint.access.keys()


@pytest.fixture
def alias(aws_endpoint: Endpoint, kms_key: Callable[[], str]) -> tuple[str, str]:
    """An alias and the ARN of its key."""
    name, key = f"alias/bank-{uuid.uuid4().hex[:8]}", kms_key()
    aws_endpoint.access._client("kms").create_alias(AliasName=name, TargetKeyId=key)
    return name, key


def test_an_alias_is_its_key(names: KeyNames, alias: tuple[str, str], kms_key: Callable[[], str]) -> None:
    name, key = alias
    prefix = key.rpartition(":")[0]
    for other in (key, key.rpartition("/")[2]):
        assert names.same(name, other)
        assert names.same(other, f"{prefix}:{name}")
    assert not names.same(name, kms_key())
    assert not names.same(name, None)


def test_an_alias_that_is_not_there_is_no_key(names: KeyNames, kms_key: Callable[[], str]) -> None:
    assert not names.same("alias/nowhere", kms_key())


def test_a_question_is_asked_once() -> None:
    kms = Kms({"alias/a": arn(f"key/{KEY}"), KEY: arn(f"key/{KEY}")})
    names = KeyNames(lambda: kms, account_id=ACCOUNT, region=REGION)
    found = {str(number): SecretSnapshot(str(number), None, kms_key_id=KEY) for number in range(19)}
    wanted = names.as_wanted(found, "alias/a")
    assert {secret.kms_key_id for secret in wanted.values()} == {"alias/a"}
    assert sorted(kms.asked) == sorted([KEY, "alias/a"])


def test_kms_that_may_not_be_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    def denied(**_: object) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeKey")

    kms = Kms({})
    monkeypatch.setattr(kms, "describe_key", denied)
    with pytest.raises(AwsError, match="kms:DescribeKey on alias/a") as caught:
        KeyNames(lambda: kms, account_id=ACCOUNT, region=REGION).same("alias/a", KEY)
    assert caught.value.code == "AWS_DENIED"


@pytest.mark.parametrize("told", ["alias", "arn", "id"])
def test_a_secret_under_the_wanted_key_is_no_drift(
    aws_endpoint: Endpoint,
    names: KeyNames,
    alias: tuple[str, str],
    name: str,
    credential: Callable[[str], Credential],
    token: Callable[[], str],
    told: str,
) -> None:
    """Whichever name was used when the secret was made."""
    store, (wanted, key) = aws_endpoint.access.secrets(), alias
    used = {"alias": wanted, "arn": key, "id": key.rpartition("/")[2]}[told]
    store.create(name, credential("x"), token=token(), kms_key_id=used, tags={})
    found = names.as_wanted(store.describe([name]), wanted)[name]
    assert metadata_differences(found, kms_key_id=wanted, tags={}) == ()


def test_a_secret_under_another_key_is_drift(
    aws_endpoint: Endpoint,
    names: KeyNames,
    alias: tuple[str, str],
    kms_key: Callable[[], str],
    name: str,
    credential: Callable[[str], Credential],
    token: Callable[[], str],
) -> None:
    store, other = aws_endpoint.access.secrets(), kms_key()
    store.create(name, credential("x"), token=token(), kms_key_id=other, tags={})
    found = names.as_wanted(store.describe([name]), alias[0])[name]
    (difference,) = metadata_differences(found, kms_key_id=alias[0], tags={})
    assert (difference.before, difference.after) == (other, alias[0])
