"""Previews as planning sees them: what a copy needs, what may be copied, and what may go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neonctl.desired.load import load
from neonctl.desired.model import Desired, MigrationRef
from neonctl.desired.preview import preview_name, preview_number, with_preview
from neonctl.errors import NeonctlError
from neonctl.plan.changes import ClaimDatabase, ReplaceInheritedPasswords, Stage, StoreSecret
from neonctl.plan.diff import diff
from neonctl.plan.observed import BranchSnapshot, ClusterSnapshot, Observed, RoleSnapshot
from neonctl.plan.ownership import PullRequest, preview_annotations, previewed
from neonctl.plan.preview import kept_because, parent_of, prunable, require_ours
from plan_model import Model

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 27, tzinfo=UTC)
NAME = "pr-42"
OWNER = "bank_owner"


@pytest.fixture(scope="module")
def desired() -> Desired:
    whole = load(ROOT / "config")
    refs = {name: (MigrationRef(version="001", script="V001__x.sql", checksum=1),) for name in whole.platform.databases}
    return with_preview(whole.model_copy(update={"migrations": refs}), 42)


@pytest.fixture(scope="module")
def copied(desired: Desired) -> Observed:
    """prod, uat and dev as they are to be, and a copy of dev that was made a moment ago."""
    persistent = [name for name in desired.environments if name != NAME]
    model = Model(desired, Observed())
    for _ in range(2):
        model.enact(diff(desired, model.observed, selection=persistent))
    dev = model.observed.environments["dev"]
    assert dev.branch is not None
    assert dev.endpoint is not None
    annotations = preview_annotations(PullRequest(42), build="parent-data")
    branch = replace(dev.branch, id="br-copy", name=NAME, parent_id=dev.branch.id, annotations=annotations)
    copy = replace(
        dev,
        branch=replace(branch, init_source="parent-data"),
        endpoint=replace(dev.endpoint, id="ep-copy", branch_id="br-copy"),
        secrets={},
        parameters={},
    )
    assert copy.branch is not None
    return replace(
        model.observed,
        branches=(*model.observed.branches, copy.branch),
        environments={**model.observed.environments, NAME: copy},
    )


def plan_of(desired: Desired, observed: Observed):
    return diff(desired, observed, selection=[NAME], adopt=True)


def test_a_copy_is_settled_in_one_round(desired: Desired, copied: Observed) -> None:
    plan = plan_of(desired, copied)
    assert all(change.environment == NAME for change in plan.work)
    assert [each.of_the_api for each in plan.work if isinstance(each, ReplaceInheritedPasswords)] == [(OWNER,)]
    assert {each.work for each in plan.work if isinstance(each, StoreSecret)} == {"create"}
    assert sum(isinstance(each, ClaimDatabase) for each in plan.work) == 6
    assert plan_of(desired, Model(desired, copied).enact(plan)).work == ()


def test_inherited_passwords_go_before_anything_says_that_they_went(desired: Desired, copied: Observed) -> None:
    """The mark of a database is what a later run goes by: it must come after, whichever database was first."""
    plan = plan_of(desired, copied)
    stages = {type(change): change.stage for change in plan.work}
    assert stages[ReplaceInheritedPasswords] is Stage.API < stages[ClaimDatabase]
    model = Model(desired, copied)
    for change in plan.work:
        model._one(change)
        if isinstance(change, ClaimDatabase):
            break
    left = plan_of(desired, model.observed).work
    assert not any(isinstance(each, ReplaceInheritedPasswords) for each in left)


def test_roles_that_no_secret_is_kept_for_are_shut_out_too(desired: Desired, copied: Observed) -> None:
    copy = copied.environments[NAME]
    cluster = copy.cluster or ClusterSnapshot()
    others = (
        RoleSnapshot("somebody"),
        RoleSnapshot("an_administrator", member_of=frozenset({"neon_superuser"})),
        RoleSnapshot("a_group", login=False),
        RoleSnapshot("cloud_admin", superuser=True),
    )
    roles = {**cluster.roles, **{role.name: role for role in others}}
    copy = replace(copy, cluster=replace(cluster, roles=roles))
    observed = replace(copied, environments={**copied.environments, NAME: copy})
    (change,) = (each for each in plan_of(desired, observed).work if isinstance(each, ReplaceInheritedPasswords))
    assert (change.of_the_api, change.by_sql) == ((OWNER, "an_administrator"), ("somebody",))
    renewed = replace(observed, environments={**observed.environments, NAME: replace(copy, owner_renewed=True)})
    (change,) = (each for each in plan_of(desired, renewed).work if isinstance(each, ReplaceInheritedPasswords))
    assert (change.of_the_api, change.by_sql) == (("an_administrator",), ("somebody",))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "other"}, "NOT_PROVISIONED"),
        ({"default": True}, "PREVIEW_PARENT"),
        ({"protected": True}, "PREVIEW_PARENT"),
        ({"expires_at": NOW}, "PREVIEW_PARENT"),
        ({"init_source": "parent-data", "parent_id": "br-prod"}, "DATA_FLOWS_DOWN"),
    ],
    ids=str,
)
def test_what_must_not_be_copied(desired: Desired, fields: dict[str, object], code: str) -> None:
    prod = BranchSnapshot("br-prod", "prod", None, default=True, protected=True, state="ready")
    dev = BranchSnapshot(
        "br-dev", "dev", None, default=False, protected=False, state="ready", init_source="schema-only"
    )
    spec = desired.environments[NAME]
    assert parent_of(spec, desired, [prod, dev]) == dev
    with pytest.raises(NeonctlError) as refused:
        parent_of(spec, desired, [prod, replace(dev, **fields)])
    assert refused.value.code == code


def test_names() -> None:
    assert preview_name(42) == "pr-42"
    assert [preview_number(name) for name in ("pr-42", "pr-0", "pr-042", "pr-", "pr-x", "apr-1", "pr-1x")] == [
        42, None, None, None, None, None, None,
    ]  # fmt: skip


def annotated(number: int, repository: str | None) -> dict[str, str]:
    return preview_annotations(PullRequest(number, repository), build="parent-data")


annotations = st.one_of(
    st.just({}),
    st.just({"managed-by": "neonctl", "neonctl-environment": "dev"}),
    st.builds(annotated, st.integers(1, 6), st.sampled_from([None, "bank/core", "Bank/Core", "bank/other"])),
)
branch_lists = st.lists(
    st.builds(
        BranchSnapshot,
        id=st.sampled_from([f"br-{n}" for n in range(8)]),
        name=st.sampled_from(["prod", "dev", *(f"pr-{n}" for n in range(1, 7))]),
        parent_id=st.sampled_from([None, *(f"br-{n}" for n in range(8))]),
        default=st.booleans(),
        protected=st.booleans(),
        state=st.just("ready"),
        expires_at=st.one_of(st.none(), st.just(NOW + timedelta(days=1))),
        ttl_seconds=st.one_of(st.none(), st.integers(3_600, 2_592_000)),
        created_at=st.just(NOW - timedelta(days=3)),
        annotations=annotations,
    ),
    max_size=8,
    unique_by=lambda branch: branch.name,
)


@given(branch_lists, st.frozensets(st.integers(1, 6)))
def test_only_ours_and_only_what_is_closed_is_pruned(
    branches: list[BranchSnapshot], still_open: frozenset[int]
) -> None:
    found = prunable(branches, repository="bank/core", still_open=still_open, older_than=None, now=NOW)
    for branch in branches:
        made_for = previewed(branch)
        ours = made_for is not None and (made_for.repository or "").lower() == "bank/core"
        assert (branch in found) == (ours and made_for.number not in still_open)
        assert made_for is None or branch.name == f"pr-{made_for.number}"
        blocked = branch.default or branch.protected or any(each.parent_id == branch.id for each in branches)
        assert bool(kept_because(branch, branches)) == blocked


@given(branch_lists, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_age_counts_from_the_last_run(branches: list[BranchSnapshot], age: timedelta) -> None:
    found = prunable(branches, repository=None, still_open=None, older_than=age, now=NOW)
    for branch in branches:
        if previewed(branch) is None:
            assert branch not in found
        elif branch.expires_at and branch.ttl_seconds:
            assert (branch in found) == (NOW - branch.expires_at + timedelta(seconds=branch.ttl_seconds) > age)
        else:
            assert (branch in found) == (timedelta(days=3) > age)


@given(branch_lists)
def test_numbers_of_several_repositories_are_nobodys(branches: list[BranchSnapshot]) -> None:
    named = {each.repository.lower() for branch in branches if (each := previewed(branch)) and each.repository}
    try:
        prunable(branches, repository=None, still_open=frozenset(), older_than=None, now=NOW)
    except NeonctlError as refused:
        assert refused.code == "USAGE"
        assert len(named) > 1
    else:
        assert len(named) <= 1


@given(branch_lists)
def test_what_is_not_ours_is_refused(branches: list[BranchSnapshot]) -> None:
    for branch in branches:
        made_for = previewed(branch)
        mine = made_for is not None and not branch.default and not branch.protected
        try:
            require_ours(branch, PullRequest(made_for.number if made_for else 1, "bank/core"))
        except NeonctlError as refused:
            assert refused.code == "PREVIEW_FOREIGN"
            assert not mine or (made_for is not None and (made_for.repository or "").lower() == "bank/other")
        else:
            assert mine
