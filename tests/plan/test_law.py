"""The law of planning: carrying out a plan empties the next one, from any state that may be met."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neonctl.desired.load import load
from neonctl.desired.model import Desired, MigrationRef
from neonctl.errors import UnsafePlanError
from neonctl.plan.changes import (
    AnyChange,
    CreateBranch,
    CreateSchema,
    RebuildDatabase,
    RunMigrations,
    StoreSecret,
    UpdateRole,
)
from neonctl.plan.diff import diff
from neonctl.plan.diff_database import wanted_object_grants
from neonctl.plan.observed import (
    AppliedVersion,
    BranchSnapshot,
    CredentialMark,
    EnvironmentSnapshot,
    Grant,
    Observed,
    RoleSnapshot,
)
from neonctl.plan.ownership import is_left_over, is_throwaway, made_for, throwaway_annotations
from neonctl.plan.plan import Plan
from neonctl.plan.safety import check_deletions
from plan_model import Model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def desired() -> Desired:
    whole = load(ROOT / "config")
    refs = {name: (MigrationRef(version="001", script="V001__x.sql", checksum=1),) for name in whole.platform.databases}
    return whole.model_copy(update={"migrations": refs})


@pytest.fixture(scope="module")
def settled(desired: Desired) -> Observed:
    model = Model(desired, Observed())
    model.enact(diff(desired, Observed()))
    return model.enact(diff(desired, model.observed))


def addresses(plan: Plan) -> list[str]:
    return [change.address for change in plan.work]


def test_from_nothing_two_rounds_settle_everything(desired: Desired) -> None:
    model = Model(desired, Observed())
    first = diff(desired, Observed())
    assert {"create", "update"} >= {change.action for change in first.work}
    after = model.enact(first)
    second = diff(desired, after)
    assert {change.kind for change in second.work} <= {"publication", "grant", "parameter"}
    assert addresses(diff(desired, model.enact(second))) == []


def test_a_plan_is_the_same_whatever_the_order_of_what_was_read(desired: Desired, settled: Observed) -> None:
    turned = replace(
        settled,
        branches=tuple(reversed(settled.branches)),
        environments=dict(reversed(list(settled.environments.items()))),
    )
    assert diff(desired, turned) == diff(desired, settled)
    assert diff(desired, Observed()).fingerprint == diff(desired, Observed()).fingerprint


KINDS = st.sampled_from(["app_user", "migrate_user", "readonly"])


@st.composite
def damage(draw: st.DrawFn) -> tuple[str, object]:
    """One thing that somebody did to the platform behind our back."""
    what = draw(
        st.sampled_from(
            [
                "extra-grant",
                "lost-grant",
                "role-attribute",
                "role-end",
                "role-override",
                "lost-role",
                "mark",
                "lost-secret",
                "pending",
                "deleted",
                "tag",
                "parameter",
                "membership",
                "owner",
                "publication",
                "publication-part",
                "lost-schema",
                "address",
                "protection",
                "size",
            ]
        )
    )
    return what, draw(st.tuples(st.sampled_from(["prod", "uat", "dev"]), st.integers(0, 5), KINDS))


@settings(max_examples=150, deadline=None)
@given(st.lists(damage(), min_size=1, max_size=6))
def test_any_damage_is_repaired_by_one_plan(
    desired: Desired, settled: Observed, found: list[tuple[str, object]]
) -> None:
    model = Model(desired, settled)
    for what, where in found:
        environment, number, kind = where  # type: ignore[misc]
        break_something(model, desired, what, environment, number, kind)
    plan = diff(desired, model.observed)
    assert all(change.action != "delete" for change in plan.work)
    after = model.enact(plan)
    left = diff(desired, after)
    if left.work:  # a role that was lost takes its privileges along, seen only once it is back
        left = diff(desired, model.enact(left))
    assert addresses(left) == []


def break_something(model: Model, desired: Desired, what: str, environment: str, number: int, kind: str) -> None:
    snapshot = model.observed.environments[environment]
    assert snapshot.cluster is not None
    database = list(desired.platform.databases)[number]
    role = f"{database}_{kind}"
    secret = f"bank-neon/{desired.environments[environment].stage}/{database}/{kind}"
    inside = snapshot.cluster.databases[database]
    roles = dict(snapshot.cluster.roles)
    secrets = dict(snapshot.secrets)
    match what:
        case "extra-grant":
            extra = Grant("database", database, role, "CREATE")
            model._set_database(environment, replace(inside, grants=inside.grants | {extra}))
        case "lost-grant":
            kept = frozenset(g for g in inside.grants if g.grantee != role)
            model._set_database(environment, replace(inside, grants=kept))
        case "role-attribute" if role in roles:
            model._set_role(environment, replace(roles[role], createdb=True, bypassrls=True, settings={}))
        case "role-end" if role in roles:
            model._set_role(environment, replace(roles[role], valid_until="2030-01-01T00:00:00+00:00"))
        case "role-override" if role in roles:
            names = dict.fromkeys(roles[role].settings, "1h")
            model._set_role(environment, replace(roles[role], overrides={database: names}))
        case "lost-role" if role in roles:
            del roles[role]
            owner = desired.platform.project.owner_role
            roles[owner] = replace(roles[owner], member_of=roles[owner].member_of - {role})
            kept = frozenset(g for g in inside.grants if g.grantee != role)
            model._put(environment, cluster=replace(snapshot.cluster, roles=roles))
            model._set_database(environment, replace(inside, grants=kept))
        case "mark" if role in roles:
            model._set_role(environment, replace(roles[role], mark=CredentialMark("br-other", "version-0")))
        case "lost-secret":
            secrets.pop(secret, None)
            model._put(environment, secrets=secrets)
        case "pending" if secret in secrets:
            model._put(environment, secrets={**secrets, secret: replace(secrets[secret], pending_version="p")})
        case "deleted" if secret in secrets:
            model._put(environment, secrets={**secrets, secret: replace(secrets[secret], deleted=True)})
        case "tag" if secret in secrets:
            model._put(environment, secrets={**secrets, secret: replace(secrets[secret], tags={})})
        case "parameter":
            model._put(environment, parameters={})
        case "membership" if role in roles:
            model._set_role(environment, replace(roles[role], member_of=frozenset({"pg_read_all_data"})))
        case "owner":
            schema = desired.platform.databases[database].schemas[0]
            model._set_database(environment, replace(inside, schemas={**inside.schemas, schema: "somebody"}))
        case "publication":
            model._set_database(environment, replace(inside, publications={}))
        case "publication-part":
            parts = {name: replace(each, whole=False) for name, each in inside.publications.items()}
            model._set_database(environment, replace(inside, publications=parts))
        case "lost-schema":
            schema = desired.platform.databases[database].schemas[-1]
            model._set_database(
                environment, replace(inside, schemas={k: v for k, v in inside.schemas.items() if k != schema})
            )
        case "address":
            assert snapshot.addresses is not None
            moved = replace(snapshot.addresses, direct=replace(snapshot.addresses.direct, port=6000 + number))
            model._put(environment, addresses=moved)
        case "protection":
            assert snapshot.branch is not None
            model._put(environment, branch=replace(snapshot.branch, protected=not snapshot.branch.protected))
        case "size":
            assert snapshot.endpoint is not None
            model._put(environment, endpoint=replace(snapshot.endpoint, max_cu=8.0, suspend_timeout_seconds=77))
        case _:
            pass


def only(plan: Plan, kind: type[AnyChange]) -> list[AnyChange]:
    return [change for change in plan.work if isinstance(change, kind)]


def test_a_lower_environment_made_from_a_prod_that_is_in_use_is_built_by_migrations(
    desired: Desired, settled: Observed
) -> None:
    gone = EnvironmentSnapshot(secrets=settled.environments["uat"].secrets)
    environments = {**settled.environments, "uat": gone}
    branches = tuple(branch for branch in settled.branches if branch.name != "uat")
    plan = diff(desired, replace(settled, environments=environments, branches=branches))
    assert [change.environment for change in only(plan, CreateBranch)] == ["uat"]
    assert len(only(plan, RebuildDatabase)) == len(desired.platform.databases)
    assert {change.environment for change in only(plan, RunMigrations)} == {"uat"}
    # The old secrets are there, with passwords of the branch that is gone.
    assert {change.work for change in only(plan, StoreSecret) if isinstance(change, StoreSecret)} == {"replace"}


def test_what_a_copy_holds_does_not_count_when_it_is_rebuilt(desired: Desired, settled: Observed) -> None:
    """A run was killed after it had made the branch: schemas and grants of the copy go with its databases."""
    uat = settled.environments["uat"]
    assert uat.cluster
    copies = {name: replace(each, built_for="br-prod", history=()) for name, each in uat.cluster.databases.items()}
    copied = replace(uat, cluster=replace(uat.cluster, databases=copies))
    observed = replace(settled, environments={**settled.environments, "uat": copied})
    plan = diff(desired, observed)
    assert len(only(plan, RebuildDatabase)) == len(desired.platform.databases)
    schemas = [schema for database in desired.platform.databases.values() for schema in database.schemas]
    assert len(only(plan, CreateSchema)) == len(schemas)
    assert len(only(plan, RunMigrations)) == len(desired.platform.databases)
    model = Model(desired, observed)
    after = model.enact(diff(desired, model.enact(plan)))  # the second time for what needs tables
    assert diff(desired, after).work == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"region": "aws-us-east-1"}, "IMMUTABLE_REGION"),
        ({"postgres_version": 17}, "IMMUTABLE_POSTGRES_VERSION"),
    ],
)
def test_what_cannot_change_is_refused(
    desired: Desired, settled: Observed, change: dict[str, object], code: str
) -> None:
    assert settled.project is not None
    with pytest.raises(UnsafePlanError) as caught:
        diff(desired, replace(settled, project=replace(settled.project, **change)))
    assert caught.value.code == code


def test_a_foreign_project_is_refused_unless_adopted(desired: Desired, settled: Observed) -> None:
    foreign = replace(
        settled,
        branches=tuple(replace(branch, annotations={}) for branch in settled.branches),
        environments={name: replace(s, parameters={}) for name, s in settled.environments.items()},
    )
    with pytest.raises(UnsafePlanError) as caught:
        diff(desired, foreign)
    assert caught.value.code == "FOREIGN_PROJECT"
    assert diff(desired, foreign, adopt=True).work


def test_production_data_in_a_lower_branch_is_refused(desired: Desired, settled: Observed) -> None:
    prod = settled.environments["prod"].branch
    dev = settled.environments["dev"]
    assert prod is not None
    assert dev.branch is not None
    copied = replace(dev.branch, parent_id=prod.id, init_source="parent-data")
    branches = tuple(copied if branch.id == dev.branch.id else branch for branch in settled.branches)
    with pytest.raises(UnsafePlanError) as caught:
        diff(
            desired,
            replace(
                settled, branches=branches, environments={**settled.environments, "dev": replace(dev, branch=copied)}
            ),
        )
    assert caught.value.code == "DATA_FLOWS_DOWN"


def test_production_data_restored_into_a_lower_branch_is_refused(desired: Desired, settled: Observed) -> None:
    prod, dev, uat = (settled.environments[name] for name in ("prod", "dev", "uat"))
    assert prod.cluster is not None
    assert uat.cluster is not None
    restored = replace(settled, environments={**settled.environments, "dev": replace(dev, cluster=prod.cluster)})
    with pytest.raises(UnsafePlanError) as caught:
        diff(desired, restored, selection=["dev"])
    assert caught.value.code == "DATA_FLOWS_DOWN"
    assert "restored from prod" in caught.value.message
    going = desired.environments["dev"].model_copy(update={"state": "absent"})
    gone = desired.model_copy(update={"environments": {**desired.environments, "dev": going}})
    assert diff(gone, restored).work
    from_uat = {**settled.environments, "dev": replace(dev, cluster=uat.cluster)}
    assert diff(desired, replace(settled, environments=from_uat)).work


def test_neons_limits_are_checked_before_anything_is_made(desired: Desired) -> None:
    narrow = desired.platform.neon.model_copy(update={"max_root_branches": 2})
    tight = desired.model_copy(update={"platform": desired.platform.model_copy(update={"neon": narrow})})
    with pytest.raises(UnsafePlanError) as caught:
        diff(tight, Observed())
    assert caught.value.code == "PLAN_LIMIT"


def test_a_throwaway_branch_changes_no_plan(desired: Desired, settled: Observed) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    annotations = throwaway_annotations("prod", purpose="rehearsal", until=now)
    prod = settled.environments["prod"].branch
    assert prod is not None
    copy = replace(prod, id="br-98", name="rehearse-prod-1", parent_id=prod.id, default=False, protected=False)
    copy = replace(copy, annotations=annotations, expires_at=None)
    beside = replace(settled, branches=(*settled.branches, copy))
    assert diff(desired, beside) == diff(desired, settled)
    # There would be room for dev, were it not for that copy.
    exactly = desired.platform.neon.model_copy(update={"max_branches": len(settled.branches)})
    tight = desired.model_copy(update={"platform": desired.platform.model_copy(update={"neon": exactly})})
    without_dev = tuple(branch for branch in beside.branches if branch.name != "dev")
    gone = {**settled.environments, "dev": EnvironmentSnapshot()}
    assert diff(tight, replace(beside, branches=without_dev, environments=gone)).work
    assert is_throwaway(copy)
    assert not is_throwaway(prod)
    assert made_for(copy) is None
    assert is_left_over(copy, now)
    assert not is_left_over(copy, now - timedelta(seconds=1))
    assert not is_left_over(replace(copy, protected=True), now)
    assert not is_left_over(prod, now)


def test_what_is_not_declared_is_reported_and_left_alone(desired: Desired, settled: Observed) -> None:
    stranger = BranchSnapshot("br-99", "playground", None, default=False, protected=False, state="ready")
    dev = settled.environments["dev"]
    assert dev.cluster is not None
    cluster = replace(dev.cluster, roles={**dev.cluster.roles, "visitor": RoleSnapshot("visitor")})
    plan = diff(
        desired,
        replace(
            settled,
            branches=(*settled.branches, stranger),
            environments={**settled.environments, "dev": replace(dev, cluster=cluster)},
        ),
    )
    assert plan.work == ()
    assert {change.address for change in plan.changes} >= {"branch playground", "dev/visitor"}


def test_a_database_ahead_of_these_files_is_not_judged_by_them(desired: Desired, settled: Observed) -> None:
    dev = settled.environments["dev"]
    assert dev.cluster is not None
    ahead = dev.cluster.databases["bank_aml"]
    ahead = replace(
        ahead,
        history=(*(ahead.history or ()), AppliedVersion("002", "V002__y.sql", 2)),
        grants=ahead.grants | {Grant("table", "aml.things", "bank_aml_readonly", "DELETE")},
    )
    model = Model(desired, settled)
    model._set_database("dev", ahead)
    assert addresses(diff(desired, model.observed)) == []


def test_a_migration_edited_after_it_was_applied_is_refused(desired: Desired, settled: Observed) -> None:
    edited = {**desired.migrations, "bank_aml": (MigrationRef(version="001", script="V001__x.sql", checksum=2),)}
    with pytest.raises(UnsafePlanError) as caught:
        diff(desired.model_copy(update={"migrations": edited}), settled)
    assert caught.value.code == "MIGRATION_EDITED"
    assert "V001__x.sql of bank_aml was edited after it was applied to dev" in caught.value.message


def test_old_committed_privileges_are_said_and_take_nothing_back(desired: Desired, settled: Observed) -> None:
    lines = ("# generated by `neonctl verify --write-privileges` at version 000",)
    plan = diff(desired.model_copy(update={"privileges": {"bank_aml": lines}}), settled)
    assert plan.work == ()
    assert "dev/bank_aml/privileges.txt" in {change.address for change in plan.changes}


def test_privileges_that_are_not_committed_are_taken_back(desired: Desired, settled: Observed) -> None:
    lines = (
        "# generated by `neonctl verify --write-privileges` at version 001",
        "table aml.things bank_aml_readonly SELECT",
    )
    plan = diff(desired.model_copy(update={"privileges": {"bank_aml": lines}}), settled)
    assert {(change.action, change.address) for change in plan.work} == {
        ("update", f"{environment}/bank_aml/bank_aml_app_user") for environment in ("prod", "uat", "dev")
    }


def test_an_owner_keeps_what_is_his_on_a_function_that_is_not_committed(desired: Desired, settled: Observed) -> None:
    """A repeatable file made it: the version, and so the file, is the same. What is committed says who may not."""
    lines = ("# generated by `neonctl verify --write-privileges` at version 001", "function aml.old() PUBLIC EXECUTE")
    committed = desired.model_copy(update={"privileges": {"bank_aml": lines}})
    dev = settled.environments["dev"]
    assert dev.cluster is not None
    old, new = (Grant("function", f"aml.{name}()", "bank_aml_migrate_user", "EXECUTE") for name in ("old", "new"))
    public = Grant("function", "aml.old()", "PUBLIC", "EXECUTE")
    inside = replace(dev.cluster.databases["bank_aml"], grants=frozenset({old, new, public}))
    assert wanted_object_grants(committed, "bank_aml", inside) == {new, public}


def absent(desired: Desired, what: str) -> Desired:
    if what in desired.environments:
        spec = desired.environments[what].model_copy(update={"state": "absent"})
        return desired.model_copy(update={"environments": {**desired.environments, what: spec}})
    database = desired.platform.databases[what].model_copy(update={"state": "absent"})
    databases = {**desired.platform.databases, what: database}
    return desired.model_copy(update={"platform": desired.platform.model_copy(update={"databases": databases})})


@pytest.mark.parametrize("what", ["uat", "bank_aml"])
def test_what_is_absent_goes_with_all_that_belongs_to_it_once_allowed_by_name(
    desired: Desired, settled: Observed, what: str
) -> None:
    smaller = absent(desired, what)
    plan = diff(smaller, settled)
    assert {change.action for change in plan.work} == {"delete"}
    with pytest.raises(UnsafePlanError) as caught:
        check_deletions(plan, ["somebody"])
    assert caught.value.hint == f"if that is meant, add --allow-delete {what}"
    check_deletions(plan, [what])
    assert addresses(diff(smaller, Model(smaller, settled).enact(plan))) == []


def test_privileges_in_a_schema_that_is_not_declared_are_left_alone(desired: Desired, settled: Observed) -> None:
    lines = ("# generated by `neonctl verify --write-privileges` at version 001",)
    theirs = Grant("table", "theirs.notes", "PUBLIC", "SELECT")
    model = Model(desired.model_copy(update={"privileges": {"bank_aml": lines}}), settled)
    dev = model.observed.environments["dev"]
    assert dev.cluster is not None
    inside = dev.cluster.databases["bank_aml"]
    model._set_database("dev", replace(inside, grants=inside.grants | {theirs}))
    touched = [
        change.before for change in diff(model.desired, model.observed).work if change.address.endswith("PUBLIC")
    ]
    assert touched == []


def test_a_limit_that_the_configuration_leaves_out_is_not_touched(desired: Desired, settled: Observed) -> None:
    spec = desired.environments["dev"]
    unset = spec.model_copy(update={"roles": {}})
    loose = desired.model_copy(update={"environments": {**desired.environments, "dev": unset}})
    model = Model(loose, settled)
    dev = settled.environments["dev"]
    assert dev.cluster is not None
    model._set_role("dev", replace(dev.cluster.roles["bank_aml_readonly"], connection_limit=7, createdb=True))
    changes = [change for change in diff(loose, model.observed).work if isinstance(change, UpdateRole)]
    assert [change.wanted.connection_limit for change in changes if change.wanted.name == "bank_aml_readonly"] == [7]
