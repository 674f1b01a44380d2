"""Previews killed while they are made and while they are deleted: the next run finishes, and nothing is left over."""

from __future__ import annotations

import pytest

from .faults import KILLED, Fault, Point
from .scenarios import SMALL, Scenario, build, done, expected
from .site import CREATE_PREVIEW, DELETE_PREVIEW, PREVIEW, VERIFY_PREVIEW, Site

NAME = f"pr-{PREVIEW}"
# In the order of the way: each run goes on from where the one before was killed.
CREATING = (
    Fault("kill-before", Point("neon POST /projects/{}/branches")),
    Fault("kill-after", Point("neon POST /projects/{}/branches")),
    Fault("kill-after", Point("neon PATCH /projects/{}/branches/{}")),
    Fault("kill-after", Point("neon POST /projects/{}/branches/{}/roles/{}/reset_password")),
    Fault("kill-after", Point(f"sql COMMIT [{SMALL} as bank_owner]")),
    Fault("kill-after", Point(f"aws secretsmanager.CreateSecret [bank-neon/{NAME}/{SMALL}/app_user]")),
    Fault("kill-after", Point(f"sql connect [{SMALL} as {SMALL}_readonly]")),
    Fault("kill-before", Point(f"sql migration [{SMALL} as {SMALL}_migrate_user]")),
    Fault("kill-after", Point(f"sql migration [{SMALL} as {SMALL}_migrate_user]")),
)
DELETING = (
    Fault("kill-before", Point("neon DELETE /projects/{}/branches/{}")),
    Fault("kill-after", Point("neon DELETE /projects/{}/branches/{}")),
    Fault("kill-after", Point(f"aws secretsmanager.DeleteSecret [bank-neon/{NAME}/{SMALL}/migrate_user]")),
    Fault("kill-before", Point("aws AmazonSSM.DeleteParameters")),
)


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Scenario:
    """A platform with prod and dev, on which previews come and go."""
    scenario = build("preview", tmp_path_factory.mktemp("chaos-config"))
    site.clear()
    scenario.prepare(site)
    return scenario


def test_killed_on_the_way_and_back(site: Site, preview: Scenario) -> None:
    for fault in CREATING:
        run = site.run(preview.config, CREATE_PREVIEW, fault=fault)
        assert run.exit_code == KILLED, f"{fault}: {run}"
    assert not site.check(preview.config, preview.expected, preview.again)
    for fault in DELETING:
        run = site.run(preview.config, DELETE_PREVIEW, fault=fault)
        assert run.exit_code == KILLED, f"{fault}: {run}"
    assert not site.check(preview.config, expected(preview.config), (DELETE_PREVIEW, DELETE_PREVIEW))


@pytest.mark.parametrize("fault", [CREATING[1], CREATING[5], CREATING[-1]], ids=str)
def test_a_half_made_preview_can_be_deleted(site: Site, preview: Scenario, fault: Fault) -> None:
    run = site.run(preview.config, CREATE_PREVIEW, fault=fault)
    assert run.exit_code == KILLED, run
    assert not site.check(preview.config, expected(preview.config), (DELETE_PREVIEW,))


def test_lost_answers_are_looked_after(site: Site, preview: Scenario) -> None:
    run = site.run(preview.config, CREATE_PREVIEW, VERIFY_PREVIEW, fault=Fault("cut-after"))
    assert run.exit_code == 0, run
    assert {"neon POST /projects/{}/branches", "neon POST /projects/{}/branches/{}/roles/{}/reset_password"} <= set(
        run.struck
    )
    assert not site.wrong(preview.expected)
    gone = site.run(preview.config, DELETE_PREVIEW, fault=Fault("cut-after"))
    assert gone.exit_code == 0, gone
    assert not site.wrong(expected(preview.config))


def test_two_runs_for_one_pull_request(site: Site, preview: Scenario) -> None:
    """Another push while the first run is at work: each is done, or gives way in its own words."""
    fault = Fault("meet", Point("neon POST /projects/{}/branches"))
    commits = [(*CREATE_PREVIEW, "--commit", commit) for commit in ("a" * 40, "b" * 40)]
    runs = site.run_together(preview.config, [[commit] for commit in commits], fault=fault)
    told = "\n".join(map(str, runs))
    assert 0 in {run.exit_code for run in runs}, told
    assert all(run.exit_code in {0, 4, 5, 75} and "unexpected" not in run.output for run in runs), told
    assert not site.check(preview.config, preview.expected, preview.again)
    done(site, preview.config, DELETE_PREVIEW)


def test_production_data_that_came_to_dev_goes_no_further(site: Site, preview: Scenario) -> None:
    """Last: dev is restored from prod, which no annotation and no parent tells of; only its databases do."""
    with site.neon() as neon:
        (project,) = site.projects(neon)
        where = f"/projects/{project['id']}/branches"
        ids = {branch["name"]: branch["id"] for branch in neon.get(where).json()["branches"]}
        neon.post(f"{where}/{ids['dev']}/restore", json={"source_branch_id": ids["prod"]}).raise_for_status()
        site.settle(neon, project["id"])
    refused = site.run(preview.config, (*CREATE_PREVIEW, "-o", "json"))
    assert refused.exit_code == 3, refused
    assert '"code": "DATA_FLOWS_DOWN"' in refused.output
    assert not site.wrong(expected(preview.config))
