"""Runs a workflow of this repository as GitHub does, from its own file: jobs, conditions, steps, files between them.

``run:`` steps run in bash, with nothing in their environment that GitHub would not put there. Steps that use an action
are done by hand here, as far as neonctl can tell: a checkout is a copy, and AWS credentials are variables. What this
runner does not know is an error.

Installing is not repeated: the lines are the same in every job (``test_every_job_installs_the_same_way``), and ``ci``
runs them before these very tests. Here ``.venv`` leads to what they run in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .expressions import Status, Strict, filled, holds
from .github_api import TOKEN
from .log import Log, outputs

ROOT = Path(__file__).parents[2]
INSTALLS = "Install what requirements.txt locks"
CLEAN = ("PATH", "HOME", "LANG", "TMPDIR")  # of this machine; the rest is the runner's to give


@dataclass(frozen=True)
class Event:
    """Why a workflow runs. ``pull_request``: the checkout of its merge; ``folder``: that of main."""

    name: str
    folder: Path
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    merge: Path | None = None
    base_ref: str = ""


@dataclass(frozen=True)
class Settings:
    """What the repository's settings hold: variables, and per environment variables and secrets."""

    variables: Mapping[str, str]
    environments: Mapping[str, Mapping[str, Mapping[str, str]]]
    surroundings: Mapping[str, str]  # what makes Neon and AWS be the embedded platform


@dataclass
class Step:
    """One step that was run, or left out."""

    name: str
    outcome: str
    summary: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    raw: str = ""


@dataclass
class Job:
    """One job: ``result`` is success, failure or skipped."""

    result: str
    steps: list[Step] = field(default_factory=list[Step])
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    log: Log = field(default_factory=Log)
    artifacts: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def summary(self) -> str:
        """What the run's page shows of it."""
        return "".join(step.summary for step in self.steps)

    def step(self, name: str) -> Step:
        """By its name."""
        return next(step for step in self.steps if step.name == name)


def read(name: str) -> dict[str, Any]:
    """A workflow of this repository."""
    return yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))


def run_workflow(
    name: str, event: Event, settings: Settings, work: Path, *, before: Mapping[str, Callable[[], object]] | None = None
) -> dict[str, Job]:
    """All jobs in the order of their needs. ``before``: job → what happens meanwhile, just before it starts."""
    flow = read(name)
    triggers = flow[True]  # YAML reads the key `on` so
    kinds = triggers[event.name] or {}
    if "types" in kinds:
        assert event.payload["action"] in kinds["types"]
    done: dict[str, Job] = {}
    while len(done) < len(flow["jobs"]):
        for key, spec in flow["jobs"].items():
            needs = [spec["needs"]] if isinstance(spec.get("needs"), str) else spec.get("needs", [])
            if key in done or any(need not in done for need in needs):
                continue
            if before and key in before:
                before[key]()
            done[key] = _Run(key, spec, flow, event, settings, work / key, _ancestry(needs, flow, done)).run()
    return done


def _ancestry(needs: list[str], flow: Mapping[str, Any], done: Mapping[str, Job]) -> tuple[dict[str, Job], bool]:
    """The jobs that this one names, and whether any that it rests on failed."""
    seen: set[str] = set()
    ahead = list(needs)
    while ahead:
        name = ahead.pop()
        seen.add(name)
        further = flow["jobs"][name].get("needs", [])
        ahead += [further] if isinstance(further, str) else further
    return {name: done[name] for name in needs}, any(done[name].result == "failure" for name in seen)


class _Run:
    """One job."""

    def __init__(
        self,
        key: str,
        spec: Mapping[str, Any],
        flow: Mapping[str, Any],
        event: Event,
        settings: Settings,
        work: Path,
        before: tuple[dict[str, Job], bool],
    ) -> None:
        self.spec, self.flow, self.event, self.settings, self.work = spec, flow, event, settings, work
        self.needs, self.failed_before = before
        self.job = Job("success")
        self.environment: dict[str, str] = {}  # what steps left for later ones
        self.steps: Strict = Strict()
        where = settings.environments[spec["environment"]] if "environment" in spec else {"vars": {}, "secrets": {}}
        secrets = where["secrets"] if not self._from_a_fork() else {}
        # A secret or variable that nobody set is empty at GitHub, and so here: neonctl must say what is missing.
        self.contexts: dict[str, Any] = {
            "github": self._github(),
            "vars": {**settings.variables, **where["vars"]},
            "secrets": dict(secrets),
            "needs": Strict(
                {
                    name: Strict(result=job.result, outputs=Strict(job.outputs) if job.outputs else {})
                    for name, job in self.needs.items()
                }
            ),
            "steps": self.steps,
            "runner": Strict(temp=str(work / "temp"), os="Linux"),
        }
        self.job.log.masks += [TOKEN, *(value for value in secrets.values() if value)]

    def _from_a_fork(self) -> bool:
        request = self.event.payload.get("pull_request")
        return bool(request) and request["head"]["repo"]["full_name"] != self.event.payload["repository"]["full_name"]

    def _github(self) -> Strict:
        return Strict(
            event=dict(self.event.payload),
            event_name=self.event.name,
            token=TOKEN,
            repository="bank/platform",
            base_ref=self.event.base_ref,
            ref="refs/heads/main",
            ref_name="main",
            sha="5" * 40,
            run_id="1001",
            run_attempt="1",
        )

    def run(self) -> Job:
        status = Status(failed=self.failed_before)
        skipped_before = any(job.result == "skipped" for job in self.needs.values())
        condition = self.spec.get("if")
        if skipped_before and not any(f"{word}()" in str(condition) for word in ("cancelled", "failure", "always")):
            self.job.result = "skipped"
            return self.job
        if not holds(condition, self.contexts, status):
            self.job.result = "skipped"
            return self.job
        (self.work / "temp").mkdir(parents=True)
        (self.work / "files").mkdir()
        (self.work / "workspace").mkdir()
        for number, step in enumerate(self.spec["steps"]):
            self._step(number, step)
        self.job.outputs = {name: filled(text, self.contexts) for name, text in self.spec.get("outputs", {}).items()}
        return self.job

    def _step(self, number: int, step: Mapping[str, Any]) -> None:
        name = step.get("name") or step.get("uses") or step["run"]
        failed = self.job.result == "failure"
        if not holds(step.get("if"), self.contexts, Status(failed=failed)):
            self._note(step, Step(name, "skipped"))
            return
        done = self._uses(step, name) if "uses" in step else self._shell(number, step, name)
        self._note(step, done)
        if done.outcome == "failure":
            self.job.result = "failure"

    def _note(self, step: Mapping[str, Any], done: Step) -> None:
        self.job.steps.append(done)
        if "id" in step:
            known = Strict(done.outputs) if done.outcome == "success" else {}
            self.steps[step["id"]] = Strict(outputs=known, outcome=done.outcome)

    # --- actions --------------------------------------------------------------------------------------------

    def _uses(self, step: Mapping[str, Any], name: str) -> Step:
        given = {key: filled(str(value), self.contexts) for key, value in step.get("with", {}).items()}
        action = step["uses"].split("@")[0]
        match action:
            case "actions/checkout":
                assert self.spec["permissions"]["contents"] == "read"
                self._check_out(given)
            case "astral-sh/setup-uv":
                pass  # uv is on PATH
            case "aws-actions/configure-aws-credentials":
                assert self.spec["permissions"]["id-token"] == "write"
                assert given["role-to-assume"].startswith("arn:aws:iam::"), "there is no role to assume"
                assert given["aws-region"]
                kept = {key: value for key, value in self.settings.surroundings.items() if key.startswith("AWS_")}
                self.environment.update(kept, AWS_REGION=given["aws-region"])
            case "actions/upload-artifact":
                self._keep(given)
            case _:
                raise AssertionError(f"this runner does not know {action}")
        return Step(name, "success")

    def _check_out(self, given: Mapping[str, str]) -> None:
        target = self.work / "workspace" / given.get("path", "")
        source = self.event.merge or self.event.folder
        if "ref" in given:
            assert given["ref"] == self.event.base_ref != ""
            source = self.event.folder
        for part in ("config", "db"):
            shutil.copytree(source / part, target / part)
        for part in ("pyproject.toml", "src", "requirements.txt"):  # the same program in every checkout
            (target / part).symlink_to(ROOT / part)
        (target / ".venv").symlink_to(Path(sys.prefix))

    def _keep(self, given: Mapping[str, str]) -> None:
        file = self.work / "workspace" / given["path"]
        if file.exists():
            assert not any(part.startswith(".") for part in Path(given["path"]).parts) or given["include-hidden-files"]
            self.job.artifacts[given["name"]] = file.read_text(encoding="utf-8")
        else:
            assert given["if-no-files-found"] == "ignore"

    # --- shell ----------------------------------------------------------------------------------------------

    def _shell(self, number: int, step: Mapping[str, Any], name: str) -> Step:
        if name == INSTALLS:
            return Step(name, "success")
        assert "${{" not in step["run"], "values go through env"
        shell = step.get("shell", self.flow.get("defaults", {}).get("run", {}).get("shell"))
        options = {None: ["-e"], "bash": ["--noprofile", "--norc", "-e", "-o", "pipefail"]}[shell]
        script = self.work / "temp" / f"{number}.sh"
        script.write_text(step["run"], encoding="utf-8")
        files = {each: self.work / "files" / f"{number}.{each}" for each in ("OUTPUT", "STEP_SUMMARY", "ENV", "PATH")}
        for file in files.values():
            file.touch()
        done = subprocess.run(
            ["bash", *options, str(script)],
            cwd=self.work / "workspace" / step.get("working-directory", ""),
            env=self._surroundings(step, files),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        self.job.log.feed(done.stdout)
        self.environment.update(outputs(files["ENV"].read_text(encoding="utf-8")))
        return Step(
            name,
            "success" if done.returncode == 0 else "failure",
            files["STEP_SUMMARY"].read_text(encoding="utf-8"),
            outputs(files["OUTPUT"].read_text(encoding="utf-8")),
            done.stdout,
        )

    def _surroundings(self, step: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, str]:
        """The platform's address, what the workflow, the job and the step say, and GitHub's own."""
        kept = {name: os.environ[name] for name in CLEAN if name in os.environ}
        addresses = {"NEON_API_HOST", "NEONCTL_CA_FILE", "GITHUB_API_URL"}
        kept |= {name: value for name, value in self.settings.surroundings.items() if name in addresses}
        kept |= self.environment
        for level in (self.flow, self.spec, step):
            said = {name: filled(str(value), self.contexts) for name, value in level.get("env", {}).items()}
            kept |= said
        if "GITHUB_TOKEN" in kept:
            assert self.spec["permissions"]["pull-requests"] == "write"
        event = self.work / "temp" / "event.json"
        event.write_text(json.dumps(self.event.payload), encoding="utf-8")
        return kept | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": self.event.name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": "bank/platform",
            "GITHUB_RUN_ID": "1001",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_SHA": "5" * 40,
            "GITHUB_WORKSPACE": str(self.work / "workspace"),
            "RUNNER_TEMP": str(self.work / "temp"),
            **{f"GITHUB_{name}": str(file) for name, file in files.items()},
        }


def files_of(work: Path) -> Iterator[Path]:
    """What the steps left in GitHub's files."""
    return work.glob("*/files/*")
