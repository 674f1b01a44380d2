"""One embedded platform to kill things on: running commands, emptying it quickly, and judging what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
import httpx
import yaml
from botocore.config import Config

from neonctl.local.platform import ensure_running, reset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from neonctl.local.state import Platform

    from .faults import Fault

TESTS = Path(__file__).parents[1]
ROLES = {
    spec["stage"]: spec["aws"]["role_arn"]
    for path in (TESTS.parent / "config/environments").glob("*.yaml")
    if (spec := yaml.safe_load(path.read_text())).get("kind") != "preview"
}
TIMEOUT_S = 120.0
APPLY = ("apply", "--no-input", "--no-color")
PLAN = ("plan", "--detailed-exitcode", "--no-color")
VERIFY = ("verify", "-q", "--no-color")
PREVIEW = 7
CREATE_PREVIEW = ("preview", "create", str(PREVIEW), "--no-input", "--no-color")
DELETE_PREVIEW = ("preview", "delete", str(PREVIEW), "--no-input", "--no-color")
VERIFY_PREVIEW = ("verify", "-q", "--no-color", "--env", f"pr-{PREVIEW}")


@dataclass(frozen=True)
class Run:
    """One finished command (or several in a row, up to the first that failed)."""

    exit_code: int
    output: str
    calls: Mapping[str, int]  # label → how often, in the order of the first call of each
    struck: tuple[str, ...]

    def __str__(self) -> str:
        return f"exit {self.exit_code}\n{self.output}"


@dataclass(frozen=True)
class Expected:
    """What must be there, and nothing else. ``parameters``: all whose name begins with ``/bank/pr-``."""

    project: str
    branches: frozenset[str]
    databases: frozenset[str]
    secrets: frozenset[str]
    parameters: frozenset[str] = frozenset()


class Site:
    """A platform, a folder to work in and a process that forks commands. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "platform"
        self._runs = 0
        self._clients: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True, parents=True)
        self.start()
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "chaos.zygote"],
            env={**_outside(), "PYTHONPATH": str(TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._zygote.stdin
        assert self._zygote.stdout
        self._zygote.stdin.close()
        self._zygote.wait(TIMEOUT_S)
        self._zygote.stdout.close()
        reset(self.data_dir)

    # --- running --------------------------------------------------------------------------------------------

    def run(self, config: Path, *commands: Sequence[str], fault: Fault | None = None) -> Run:
        """Run these commands in a new process, with this fault."""
        return self.run_together(config, [commands], fault=fault)[0]

    def run_together(
        self,
        config: Path,
        runs: Sequence[Sequence[Sequence[str]]],
        *,
        fault: Fault | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> list[Run]:
        """Several processes at the same time."""
        asked = [self._asked(config, commands, fault) for commands in runs]
        assert self._zygote.stdin
        assert self._zygote.stdout
        self._zygote.stdin.write(json.dumps({"runs": asked, "timeout_s": timeout_s}) + "\n")
        self._zygote.stdin.flush()
        codes = json.loads(self._zygote.stdout.readline())
        return [_read(run, code) for run, code in zip(asked, codes, strict=True)]

    def _asked(self, config: Path, commands: Sequence[Sequence[str]], fault: Fault | None) -> dict[str, Any]:
        self._runs += 1
        name = self.folder / f"run-{self._runs % 64}"
        report = name.with_suffix(".json")
        for left in (report, report.with_suffix(".here")):
            left.unlink(missing_ok=True)
        point = fault.point if fault else None
        return {
            "commands": commands,
            "folder": str(self.folder),
            "output": str(name.with_suffix(".txt")),
            "report": str(report),
            "how": fault.how if fault else None,
            "point": [point.label, point.nth] if point else None,
            "environment": {
                **_outside(),
                "NEONCTL_TARGET": "local",
                "NEONCTL_LOCAL_DIR": str(self.data_dir),
                "NEONCTL_CONFIG_DIR": str(config / "config"),
                "NEONCTL_DB_DIR": str(config / "db"),
                "NEONCTL_NO_PROGRESS": "1",
            },
        }

    # --- the platform itself --------------------------------------------------------------------------------

    def start(self) -> None:
        """Make sure that it runs (a fault may have ended it)."""
        self.platform: Platform = ensure_running(self.data_dir, progress=lambda _: None)

    def clear(self) -> None:
        """Delete everything through the interfaces: much quicker than a new platform."""
        self.start()
        with self.neon() as neon:
            for project in self.projects(neon):
                for branch in self._branches(neon, project["id"]):
                    if branch["protected"]:
                        body = {"branch": {"protected": False}}
                        neon.patch(f"/projects/{project['id']}/branches/{branch['id']}", json=body).raise_for_status()
                        self.settle(neon, project["id"])
                neon.delete(f"/projects/{project['id']}").raise_for_status()
        for stage in ROLES:
            secrets, parameters = self.aws("secretsmanager", stage), self.aws("ssm", stage)
            for secret in [secret for page in _secret_pages(secrets) for secret in page["SecretList"]]:
                secrets.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)
            pages = parameters.get_paginator("describe_parameters").paginate()
            names = [item["Name"] for page in pages for item in page["Parameters"]]
            for start in range(0, len(names), 10):
                parameters.delete_parameters(Names=names[start : start + 10])

    def neon(self) -> httpx.Client:
        """The Neon API, spoken plainly: what judges the program shares nothing with it."""
        headers = {"Authorization": f"Bearer {self.platform.api_key.reveal()}"}
        return httpx.Client(base_url=self.platform.api_url, headers=headers, timeout=30, trust_env=False, verify=False)

    def aws(self, service: str, stage: str) -> Any:
        """A boto3 client in the account of an environment."""
        if (service, stage) not in self._clients:
            sts = self._client("sts", "local", self.platform.api_key.reveal(), None)
            given = sts.assume_role(RoleArn=ROLES[stage], RoleSessionName="chaos")["Credentials"]
            self._clients[service, stage] = self._client(
                service, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
            )
        return self._clients[service, stage]

    def _client(self, service: str, key_id: str, key: str, token: str | None) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.platform.aws_endpoint_url,
            region_name=self.platform.aws_region,
            aws_access_key_id=key_id,
            aws_secret_access_key=key,
            aws_session_token=token,
            config=Config(proxies={}),
        )

    def projects(self, neon: httpx.Client) -> list[dict[str, Any]]:
        """Every project there is."""
        return _said(neon.get("/projects", params={"org_id": self.platform.org_id}))["projects"]

    def settle(self, neon: httpx.Client, project_id: str) -> None:
        """Wait until no operation of the project runs."""
        while any(
            operation["status"] in {"scheduling", "running"}
            for operation in neon.get(f"/projects/{project_id}/operations").json()["operations"]
        ):
            pass

    # --- judging --------------------------------------------------------------------------------------------

    def check(
        self, config: Path, expected: Expected, commands: Sequence[Sequence[str]] = (APPLY, PLAN, VERIFY)
    ) -> list[str]:
        """What keeps this from having converged: apply, an empty plan, every credential logs in, nothing twice."""
        run = self.run(config, *commands)
        return [*([] if run.exit_code == 0 else [f"not converged: {run}"]), *self.wrong(expected)]

    def wrong(self, expected: Expected) -> list[str]:
        """What is there twice, too much, or too little; nothing is as it should be."""
        with self.neon() as neon:
            return [*self._wrong_at_neon(neon, expected), *self._wrong_at_aws(expected)]

    def _wrong_at_neon(self, neon: httpx.Client, expected: Expected) -> list[str]:
        projects = [p for p in self.projects(neon) if p["name"] == expected.project]
        if len(projects) != 1:
            return [f"{len(projects)} projects {expected.project}"]
        project_id = projects[0]["id"]
        branches = self._branches(neon, project_id)
        endpoints = neon.get(f"/projects/{project_id}/endpoints").json()["endpoints"]
        wrong = _differs("branches", [branch["name"] for branch in branches], expected.branches)
        wrong += _differs("computes of", [e["branch_id"] for e in endpoints], frozenset(b["id"] for b in branches))
        for branch in branches:
            found = neon.get(f"/projects/{project_id}/branches/{branch['id']}/databases").json()["databases"]
            wrong += _differs(f"databases of {branch['name']}", [d["name"] for d in found], expected.databases)
        return wrong

    def _wrong_at_aws(self, expected: Expected) -> list[str]:
        clients = [self.aws("secretsmanager", stage) for stage in ROLES]
        pages = [page for client in clients for page in _secret_pages(client)]
        # By ARN: whether accounts share a store is the platform's business.
        found = {secret["ARN"]: secret for page in pages for secret in page["SecretList"]}.values()
        wrong = _differs("secrets", [secret["Name"] for secret in found], expected.secrets)
        wrong += _differs("parameters", self._preview_parameters(), expected.parameters)
        for secret in found:
            versions = list(secret.get("SecretVersionsToStages", {}).values())
            current = sum("AWSCURRENT" in labels for labels in versions)
            # On the current version itself AWSPENDING means nothing: AWS takes such a rotation for finished.
            pending = any("AWSPENDING" in labels and "AWSCURRENT" not in labels for labels in versions)
            if "DeletedDate" in secret or current != 1 or pending:
                wrong.append(f"secret {secret['Name']}: {versions}, deleted {secret.get('DeletedDate')}")
        return wrong

    def _preview_parameters(self) -> list[str]:
        filters = [{"Key": "Name", "Option": "BeginsWith", "Values": ["/bank/pr-"]}]
        pages = self.aws("ssm", "dev").get_paginator("describe_parameters").paginate(ParameterFilters=filters)
        return [item["Name"] for page in pages for item in page["Parameters"]]

    def _branches(self, neon: httpx.Client, project_id: str) -> list[dict[str, Any]]:
        return _said(neon.get(f"/projects/{project_id}/branches"))["branches"]


def _secret_pages(client: Any) -> Iterator[dict[str, Any]]:
    yield from client.get_paginator("list_secrets").paginate(IncludePlannedDeletion=True)


def _said(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    return answer.json()


def _differs(what: str, found: list[str], wanted: frozenset[str]) -> list[str]:
    return [] if sorted(found) == sorted(wanted) else [f"{what}: {sorted(found)} instead of {sorted(wanted)}"]


def _outside() -> dict[str, str]:
    """The environment without what would lead to another platform."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("NEON", "AWS_", "PG", "GITHUB_", "COV"))}


def _read(asked: dict[str, Any], code: int) -> Run:
    report, output = Path(asked["report"]), Path(asked["output"])
    seen = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"calls": [], "struck": []}
    text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
    return Run(code, text, dict(seen["calls"]), tuple(seen["struck"]))
