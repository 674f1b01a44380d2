"""The locked requirements are what pyproject.toml asks for, and the workflows keep what SECURITY.md says of them."""

from __future__ import annotations

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .conftest import ROOT, workflows

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
_USES = re.compile(r"uses: (\S+)(.*)")


def test_requirements_lock_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    locked = {canonicalize_name(name): version for name, version in _PIN.findall(_requirements())}
    asked = [
        *project["project"]["dependencies"],
        *(each for group in project["dependency-groups"].values() for each in group),
    ]
    wrong = []
    for text in asked:
        requirement = Requirement(text)
        version = locked.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version):
            wrong.append(f"{text}: locked is {version}")
    assert wrong == [], "run the `uv export` line of CONTRIBUTING.md"


def test_requirements_have_a_hash_each_and_no_address():
    text = _requirements()
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    unhashed = [block.split()[0] for block in blocks if _PIN.match(block) and "--hash=sha256:" not in block]
    assert unhashed == []
    assert "://" not in text


def _requirements() -> str:
    return (ROOT / "requirements.txt").read_text(encoding="utf-8")


def test_actions_are_pinned_by_commit_with_the_version_beside():
    found = [use for flow in workflows() for use in _USES.findall(flow.read_text(encoding="utf-8"))]
    assert len(found) > 10
    loose = [name for name, rest in found if not (re.search(r"@[0-9a-f]{40}$", name) and re.match(r" # v\d", rest))]
    assert loose == []
    versions: dict[str, set[str]] = {}
    for name, rest in found:
        versions.setdefault(name.split("@")[0], set()).add(name + rest)
    assert {name: all_ for name, all_ in versions.items() if len(all_) > 1} == {}


def test_workflows_start_without_permissions_and_end():
    for flow in workflows():
        document = yaml.safe_load(flow.read_text(encoding="utf-8"))
        assert document["permissions"] == {}, flow.name
        assert "concurrency" in document, flow.name
        for name, job in document["jobs"].items():
            assert job["timeout-minutes"] <= 60, f"{flow.name}: {name}"
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False, f"{flow.name}: {name}"
                assert "${{" not in step.get("run", ""), f"{flow.name}: {name}: values go through env"


def test_secrets_are_an_environments_and_no_others():
    for flow in workflows():
        document = yaml.safe_load(flow.read_text(encoding="utf-8"))
        assert "pull_request_target" not in document[True], flow.name  # YAML reads the key `on` so
        for name, job in document["jobs"].items():
            assert ("secrets." in str(job)) <= ("environment" in job), f"{flow.name}: {name}"


def test_a_pull_requests_own_code_never_runs_with_credentials():
    """Where there are secrets the program is main's; what the pull request brings lies in a folder beside it."""
    for flow in workflows():
        document = yaml.safe_load(flow.read_text(encoding="utf-8"))
        for name, job in document["jobs"].items() if "pull_request" in document[True] else ():
            if "secrets." not in str(job):
                continue
            outs = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
            assert outs[0]["ref"] == "${{ github.base_ref }}", f"{flow.name}: {name}"
            assert all(each["path"] == "proposed" for each in outs[1:]), f"{flow.name}: {name}"
            assert document[True]["pull_request"]["branches"] == ["main"], flow.name
