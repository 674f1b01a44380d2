"""The repository's settings on GitHub, with the embedded platform in place of Neon and AWS."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_fixture import Project, copy_configuration
from security.test_no_leaks import stored_passwords

from .github_api import TOKEN, Comments, github
from .runner import Event, Job, Settings, files_of, run_workflow

REPOSITORY = "bank/platform"
NAMES = ("plan", "preview", "dev", "uat", "prod")


@pytest.fixture
def comments() -> Iterator[Comments]:
    """The pull request's comments."""
    with github() as state:
        yield state


@pytest.fixture
def settings(project: Project, comments: Comments) -> Settings:
    """Set up as the guide says."""
    where = {
        name: {
            "vars": {"AWS_ROLE_ARN": f"arn:aws:iam::111111111111:role/github-{name}"},
            "secrets": {"NEON_API_KEY": project.platform.api_key.reveal()},
        }
        for name in NAMES
    }
    places = {"NEONCTL_CA_FILE": str(project.platform.ca_file), "GITHUB_API_URL": comments.address}
    surroundings = project.cloud(places)
    return Settings({"NEONCTL_PIPELINE": "on"}, where, surroundings)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where workflows run, away from the project's own folder."""
    return tmp_path / "runs"


@pytest.fixture
def run_flow(project: Project, settings: Settings, work: Path) -> Callable[..., dict[str, Job]]:
    """Run a workflow; whatever it did, no secret is left where somebody may look."""
    if shutil.which("uv") is None:
        pytest.skip("the workflows run neonctl by uv, which is not installed")
    count = 0

    def run(name: str, event: Event, chosen: Settings | None = None, **more: object) -> dict[str, Job]:
        nonlocal count
        count += 1
        folder = work / str(count)
        jobs = run_workflow(name, event, chosen or settings, folder, **more)  # pyright: ignore[reportArgumentType]
        left = [each.log.text for each in jobs.values()] + [file.read_text() for file in files_of(folder)]
        known = {project.platform.api_key.reveal(), TOKEN}
        if name in {"apply.yml", "preview.yml"}:
            known |= stored_passwords(project, ("dev", "uat", "prod", "pr-42"))
        assert not [text for text in left for secret in known if secret in text]
        return jobs

    return run


@pytest.fixture
def push(project: Project) -> Event:
    """A merge to main."""
    return Event("push", project.folder)


@pytest.fixture
def pull_request(project: Project, tmp_path: Path) -> Callable[..., Event]:
    """An event of pull request 42, whose merge is a copy of main with what ``change`` does to it."""
    merge = tmp_path / "merge"
    merge.mkdir()
    copy_configuration(merge)

    def event(
        action: str, change: Callable[[Path], object] | None = None, *, repository: str = REPOSITORY, by: str = "ana"
    ) -> Event:
        if change is not None:
            change(merge)
        payload = {
            "action": action,
            "repository": {"full_name": REPOSITORY},
            "pull_request": {
                "number": 42,
                "user": {"login": by},
                "head": {"sha": "6" * 40, "repo": {"full_name": repository}},
            },
        }
        return Event("pull_request", project.folder, payload, merge, base_ref="main")

    return event
