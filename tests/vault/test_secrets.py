"""One suite for every Secrets Manager the store may meet; moto's known faults are named where they matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from neonctl.errors import RetryableError, ServiceError
from neonctl.plan.credentials import CONNECTION_TAG
from neonctl.vault.failures import AwsError
from neonctl.vault.payload import Credential

if TYPE_CHECKING:
    from neonctl.vault.secrets import SecretStore

    from .conftest import Endpoint

Make = Callable[[str], Credential]
Token = Callable[[], str]


def versions(client: Any, name: str) -> dict[str, list[str]]:
    """Labelled versions only: moto goes on listing those that lost their labels."""
    found = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    return {version: sorted(stages) for version, stages in found.items() if stages}


def test_a_missing_secret_is_absent(store: SecretStore, name: str) -> None:
    assert store.describe([name, name]) == {}
    assert store.describe([]) == {}


def test_create_makes_the_first_version_current(store: SecretStore, name: str, credential: Make, token: Token) -> None:
    first = token()
    assert store.create(name, credential("one"), token=first, kms_key_id=None, tags={CONNECTION_TAG: "d"}) == first
    assert store.read(name) == (first, credential("one"))
    snapshot = store.describe([name])[name]
    assert (snapshot.name, snapshot.current_version, snapshot.pending_version) == (name, first, None)
    assert (snapshot.deleted, dict(snapshot.tags)) == (False, {CONNECTION_TAG: "d"})


def test_many_are_described_at_once(store: SecretStore, name: str, credential: Make, token: Token) -> None:
    names = [f"{name}/{number}" for number in range(20)]
    for each in names:
        store.create(each, credential(each), token=token(), kms_key_id=None, tags={})
    assert set(store.describe([*names, f"{name}/missing"])) == set(names)


def test_create_again_with_the_same_token_changes_nothing(
    store: SecretStore, client: Any, name: str, credential: Make, token: Token
) -> None:
    first = token()
    for _ in range(2):
        assert store.create(name, credential("one"), token=first, kms_key_id=None, tags={}) == first
    assert versions(client, name) == {first: ["AWSCURRENT"]}


def test_create_under_a_used_token_with_another_value_is_refused(
    store: SecretStore, name: str, credential: Make, token: Token
) -> None:
    first = token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    with pytest.raises(ServiceError) as caught:
        store.create(name, credential("two"), token=first, kms_key_id=None, tags={})
    assert caught.value.code == "SECRET_TOKEN_USED"
    assert store.read(name) == (first, credential("one"))


def test_create_does_not_take_over_a_secret_that_appeared_meanwhile(
    store: SecretStore, name: str, credential: Make, token: Token
) -> None:
    first = token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    with pytest.raises(RetryableError) as caught:
        store.create(name, credential("two"), token=token(), kms_key_id=None, tags={})
    assert caught.value.code == "SECRET_EXISTS"
    assert store.read(name) == (first, credential("one"))


def test_stage_leaves_the_current_value_alone(store: SecretStore, name: str, credential: Make, token: Token) -> None:
    first, second = token(), token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    assert store.stage(name, credential("two"), token=second) == second
    assert store.stage(name, credential("two"), token=second) == second
    assert store.read(name) == (first, credential("one"))
    assert store.read(name, stage="AWSPENDING") == (second, credential("two"))
    assert store.read(name, version_id=second) == (second, credential("two"))
    snapshot = store.describe([name])[name]
    assert (snapshot.current_version, snapshot.pending_version) == (first, second)


def test_stage_under_a_used_token_with_another_value_is_refused(
    aws_endpoint: Endpoint, store: SecretStore, name: str, credential: Make, token: Token
) -> None:
    first = token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    with pytest.raises(ServiceError) as caught:
        store.stage(name, credential("two"), token=first)
    assert caught.value.code == "SECRET_TOKEN_USED"
    if aws_endpoint.documented:  # moto overwrites a pending version
        pending = token()
        store.stage(name, credential("two"), token=pending)
        with pytest.raises(ServiceError, match="another value"):
            store.stage(name, credential("three"), token=pending)
        assert store.read(name, version_id=pending) == (pending, credential("two"))


def test_promote_moves_the_label_once(
    store: SecretStore, client: Any, name: str, credential: Make, token: Token
) -> None:
    first, second = token(), token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    store.stage(name, credential("two"), token=second)
    for _ in range(2):
        store.promote(name, second)
        assert versions(client, name) == {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]}
        assert store.read(name) == (second, credential("two"))
        assert store.describe([name])[name].pending_version is None


def test_a_second_rotation_follows_the_first(
    store: SecretStore, client: Any, name: str, credential: Make, token: Token
) -> None:
    tokens = [token() for _ in range(3)]
    store.create(name, credential("0"), token=tokens[0], kms_key_id=None, tags={})
    for number in (1, 2):
        store.stage(name, credential(str(number)), token=tokens[number])
        store.promote(name, tokens[number])
    assert versions(client, name) == {tokens[1]: ["AWSPREVIOUS"], tokens[2]: ["AWSCURRENT"]}
    assert store.read(name) == (tokens[2], credential("2"))


def test_promote_back_to_the_previous_version(
    store: SecretStore, client: Any, name: str, credential: Make, token: Token
) -> None:
    first, second = token(), token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    store.stage(name, credential("two"), token=second)
    store.promote(name, second)
    store.promote(name, first)
    assert versions(client, name) == {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}


def test_promote_leaves_another_pending_version_alone(
    store: SecretStore, client: Any, name: str, credential: Make, token: Token
) -> None:
    first, second = token(), token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    store.stage(name, credential("two"), token=second)
    store.promote(name, first)
    assert versions(client, name) == {first: ["AWSCURRENT"], second: ["AWSPENDING"]}


def test_promote_of_an_unknown_version_says_so(store: SecretStore, name: str, credential: Make, token: Token) -> None:
    first = token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    with pytest.raises(ServiceError) as caught:
        store.promote(name, token())
    assert caught.value.code == "SECRET_VERSION_MISSING"
    assert store.read(name) == (first, credential("one"))


def test_tags_are_added_and_overwritten(store: SecretStore, name: str, credential: Make, token: Token) -> None:
    store.create(name, credential("one"), token=token(), kms_key_id=None, tags={"a": "1", "b": "1"})
    store.set_tags(name, {"b": "2", "c": "3"})
    store.set_tags(name, {})
    assert dict(store.describe([name])[name].tags) == {"a": "1", "b": "2", "c": "3"}


def test_the_key_is_set_and_changed(
    store: SecretStore, name: str, credential: Make, token: Token, kms_key: Token
) -> None:
    first, one, two = token(), kms_key(), kms_key()
    store.create(name, credential("one"), token=first, kms_key_id=one, tags={"a": "1"})
    assert store.describe([name])[name].kms_key_id == one
    store.update_kms(name, two)
    snapshot = store.describe([name])[name]
    assert (snapshot.kms_key_id, snapshot.current_version) == (two, first)
    assert dict(snapshot.tags) == {"a": "1"}


def test_a_missing_key_is_told_as_such(
    aws_endpoint: Endpoint, store: SecretStore, name: str, credential: Make, token: Token
) -> None:
    if not aws_endpoint.documented:
        pytest.skip("moto does not look at the key")
    with pytest.raises(AwsError) as caught:
        store.create(name, credential("one"), token=token(), kms_key_id="missing", tags={})
    assert caught.value.code == "AWS_KEY_UNUSABLE"
    assert store.describe([name]) == {}


def test_delete_schedules_and_restore_brings_back(
    store: SecretStore, name: str, credential: Make, token: Token
) -> None:
    first = token()
    store.create(name, credential("one"), token=first, kms_key_id=None, tags={})
    for _ in range(2):
        store.delete(name, recovery_days=7)
        assert store.describe([name])[name].deleted
    for _ in range(2):
        store.restore(name)
        assert not store.describe([name])[name].deleted
    assert store.read(name) == (first, credential("one"))


def test_delete_at_once_leaves_nothing(store: SecretStore, name: str, credential: Make, token: Token) -> None:
    store.create(name, credential("one"), token=token(), kms_key_id=None, tags={})
    for _ in range(2):
        store.delete(name, recovery_days=None)
        assert store.describe([name]) == {}
    store.delete(name, recovery_days=7)
    again = token()
    store.create(name, credential("two"), token=again, kms_key_id=None, tags={})
    assert store.read(name) == (again, credential("two"))


def test_create_brings_a_scheduled_secret_back_with_the_new_value(
    store: SecretStore, client: Any, name: str, credential: Make, token: Token, kms_key: Token
) -> None:
    old, stale, new, key = token(), token(), token(), kms_key()
    store.create(name, credential("old"), token=old, kms_key_id=None, tags={CONNECTION_TAG: "old", "a": "1"})
    store.stage(name, credential("stale"), token=stale)
    store.delete(name, recovery_days=7)
    store.create(name, credential("new"), token=new, kms_key_id=key, tags={CONNECTION_TAG: "new"})
    assert store.read(name) == (new, credential("new"))
    assert versions(client, name) == {old: ["AWSPREVIOUS"], new: ["AWSCURRENT"]}
    snapshot = store.describe([name])[name]
    assert (snapshot.deleted, snapshot.pending_version, snapshot.kms_key_id) == (False, None, key)
    assert dict(snapshot.tags) == {CONNECTION_TAG: "new", "a": "1"}


def test_create_fills_a_secret_that_was_made_without_a_value(
    aws_endpoint: Endpoint, store: SecretStore, client: Any, name: str, credential: Make, token: Token
) -> None:
    if not aws_endpoint.documented:
        pytest.skip("moto cannot hold a secret without a value")
    client.create_secret(Name=name)
    assert store.describe([name])[name].current_version is None
    new = token()
    assert store.create(name, credential("new"), token=new, kms_key_id=None, tags={"a": "1"}) == new
    assert store.read(name) == (new, credential("new"))
    snapshot = store.describe([name])[name]
    assert (snapshot.pending_version, dict(snapshot.tags)) == (None, {"a": "1"})


def test_list_gives_metadata_below_a_prefix(store: SecretStore, name: str, credential: Make, token: Token) -> None:
    first, second = token(), token()
    store.create(f"{name}/a", credential("CanaryValue1"), token=first, kms_key_id=None, tags={"k": "v"})
    store.create(f"{name}/b", credential("CanaryValue2"), token=second, kms_key_id=None, tags={})
    store.create(f"other/{name}/c", credential("CanaryValue3"), token=token(), kms_key_id=None, tags={})
    store.delete(f"{name}/b", recovery_days=7)
    found = {entry.snapshot.name: entry for entry in store.list(f"{name}/")}
    assert set(found) == {f"{name}/a", f"{name}/b"}
    kept, leaving = found[f"{name}/a"], found[f"{name}/b"]
    assert (kept.snapshot.current_version, dict(kept.snapshot.tags)) == (first, {"k": "v"})
    assert kept.created_at is not None
    assert kept.created_at.utcoffset() is not None
    assert (kept.snapshot.deleted, kept.deleted_at) == (False, None)
    assert leaving.snapshot.deleted
    assert leaving.deleted_at is not None
    assert "CanaryValue" not in repr(found)


def test_list_turns_every_page(
    store: SecretStore,
    name: str,
    credential: Make,
    token: Token,
    monkeypatch: pytest.MonkeyPatch,
    client: Any,
) -> None:
    names = {f"{name}/{number}" for number in range(5)}
    for each in names:
        store.create(each, credential("x"), token=token(), kms_key_id=None, tags={})
    whole = client.list_secrets
    monkeypatch.setattr(client, "list_secrets", lambda **asked: whole(**(asked | {"MaxResults": 2})))
    assert {entry.snapshot.name for entry in store.list(f"{name}/")} == names


def test_a_missing_secret_cannot_be_read(store: SecretStore, name: str) -> None:
    with pytest.raises(AwsError) as caught:
        store.read(name)
    assert caught.value.code == "AWS_NOT_FOUND"
    assert caught.value.details["action"] == "secretsmanager:GetSecretValue"
    assert caught.value.details["target"] == name


def test_plain_text_is_read_as_a_secret(store: SecretStore, client: Any, name: str) -> None:
    client.create_secret(Name=name, SecretString="napi_canary")
    assert store.read_text(name).reveal() == "napi_canary"
    assert "canary" not in repr(store.read_text(name))


def test_a_value_that_is_no_credential_is_named_and_not_shown(store: SecretStore, client: Any, name: str) -> None:
    client.create_secret(Name=name, SecretString="napi_canary")
    with pytest.raises(ServiceError) as caught:
        store.read(name)
    assert caught.value.code == "SECRET_MALFORMED"
    assert "napi_canary" not in f"{caught.value!r} {caught.value.details}"
