"""Killed or unanswered at any AWS call: the next run repairs it, and AWSCURRENT can always be read."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from neonctl.plan.credentials import CONNECTION_TAG
from neonctl.vault.failures import AwsError
from neonctl.vault.payload import Credential
from neonctl.vault.secrets import SecretStore

from .cutting import Cutting, Killed, Repeating

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CALLS = 30


def no_sleep(_: float) -> None:
    raise AssertionError("nothing here waits for a deletion")


def bring_about(store: SecretStore, name: str, wanted: Credential, token: Callable[[], str], mark: str) -> None:
    """What provisioning does with one secret: look, then act on what is there. Remembers nothing."""
    seen = store.describe([name]).get(name)
    tags = {CONNECTION_TAG: mark}
    if seen is None or seen.deleted:
        store.create(name, wanted, token=token(), kms_key_id=None, tags=tags)
        return
    if seen.pending_version is None and seen.tags.get(CONNECTION_TAG) == mark:
        return
    pending = seen.pending_version
    if pending is None or store.read(name, version_id=pending)[1] != wanted:
        pending = store.stage(name, wanted, token=token())
    store.promote(name, pending)
    store.set_tags(name, tags)


def prepare(start: str, store: SecretStore, name: str, credential: Callable[[str], Credential], token: Any) -> None:
    if start == "absent":
        return
    store.create(name, credential("old"), token=token(), kms_key_id=None, tags={CONNECTION_TAG: "old"})
    if start in {"half rotated", "deleted half rotated"}:
        store.stage(name, credential("stale"), token=token())
    if start.startswith("deleted"):
        store.delete(name, recovery_days=7)


@pytest.mark.parametrize("how", ["before", "after", "lost"])
@pytest.mark.parametrize("start", ["absent", "present", "half rotated", "deleted", "deleted half rotated"])
def test_cut_at_every_call_the_next_run_repairs_it(
    start: str,
    how: str,
    client: Any,
    name: str,
    credential: Callable[[str], Credential],
    token: Callable[[], str],
) -> None:
    store, wanted = SecretStore(client, sleep=no_sleep), credential("wanted")
    for at in range(1, MOST_CALLS):
        each = f"{name}/{at}"
        prepare(start, store, each, credential, token)
        cutting = Cutting(client, at=at, how=how)
        with contextlib.suppress(Killed, AwsError):
            bring_about(SecretStore(cutting, sleep=no_sleep), each, wanted, token, "new")
        finished = len(cutting.calls) < at  # there is no call number ``at`` any more
        between = store.describe([each]).get(each)
        if between is not None and not between.deleted:
            assert store.read(each)[1].password.reveal() in {"old", "wanted"}
        bring_about(store, each, wanted, token, "new")
        after = store.describe([each])[each]
        assert (after.deleted, after.pending_version, after.tags[CONNECTION_TAG]) == (False, None, "new")
        assert store.read(each) == (after.current_version, wanted)
        if finished:
            assert at > 2
            return
    pytest.fail(f"still calling after {MOST_CALLS} calls")


@pytest.mark.parametrize("how", ["before", "after", "lost"])
def test_each_step_can_be_made_again_with_its_token(
    how: str, client: Any, name: str, credential: Callable[[str], Credential], token: Callable[[], str]
) -> None:
    """The same step with the same token after a cut at any of its calls."""
    steps: dict[str, Callable[[SecretStore, str, str], object]] = {
        "create": lambda store, each, new: store.create(each, credential("new"), token=new, kms_key_id=None, tags={}),
        "stage": lambda store, each, new: store.stage(each, credential("new"), token=new),
        "promote": lambda store, each, new: store.promote(each, new),
        "delete": lambda store, each, _: store.delete(each, recovery_days=7),
        "restore": lambda store, each, _: store.restore(each),
    }
    whole = SecretStore(client, sleep=no_sleep)
    for step, act in steps.items():
        cuts = 0
        for at in range(1, MOST_CALLS):
            each, new = f"{name}/{step}/{at}", token()
            if step != "create":
                whole.create(each, credential("old"), token=token(), kms_key_id=None, tags={})
            if step in {"promote", "delete", "restore"}:
                whole.stage(each, credential("new"), token=new)
            if step == "restore":
                whole.delete(each, recovery_days=7)
            cutting = Cutting(client, at=at, how=how)
            try:
                act(SecretStore(cutting, sleep=no_sleep), each, new)
            except (Killed, AwsError):
                act(whole, each, new)
            if len(cutting.calls) < at:
                break
            cuts += 1
            seen = whole.describe([each])[each]
            expected = {
                "create": (new, None, False),
                "stage": (seen.current_version, new, False),
                "promote": (new, None, False),
                "delete": (seen.current_version, new, True),
                "restore": (seen.current_version, new, False),
            }[step]
            assert (seen.current_version, seen.pending_version, seen.deleted) == expected
        assert cuts >= {"promote": 3}.get(step, 1)


def test_every_call_may_arrive_twice(
    client: Any, name: str, credential: Callable[[str], Credential], token: Callable[[], str]
) -> None:
    store, twice = SecretStore(client), SecretStore(Repeating(client), sleep=no_sleep)
    first, second, third = token(), token(), token()
    twice.create(name, credential("1"), token=first, kms_key_id=None, tags={"a": "1"})
    twice.stage(name, credential("2"), token=second)
    twice.promote(name, second)
    twice.set_tags(name, {"a": "2"})
    assert store.read(name) == (second, credential("2"))
    twice.delete(name, recovery_days=7)
    twice.create(name, credential("3"), token=third, kms_key_id=None, tags={})
    assert store.read(name) == (third, credential("3"))
    twice.delete(name, recovery_days=7)
    twice.restore(name)
    assert store.read(name) == (third, credential("3"))
    twice.delete(name, recovery_days=None)
    assert store.describe([name]) == {}
