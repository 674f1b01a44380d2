"""One test rules them all (security.md 1): no secret is seen anywhere, whichever way a run ends.

The canaries are the real ones: the platform's API key, every stored password, the owner role's passwords. What is
searched: stdout, stderr, logs at DEBUG, errors with their notes and causes, audit records, GitHub's files, temporary
files, the arguments of processes, the logs of the platform and of its Postgres servers.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote, urlsplit

import boto3
import httpx
import pytest

from github_actions.log import Log
from neonctl.cli import run as terminal
from neonctl.local import state
from neonctl.neon.transport import Patience
from neonctl_run import Result, interrupt_when, run, run_process
from platform_fixture import ProcessWatch

KEY = "napi_canary0123456789abcdefghijklmnop"
ONE = ("--env", "dev", "--database", "bank_aml", "--role", "readonly")


def stored_passwords(provisioned, environments: Collection[str]) -> set[str]:
    """The password of every secret of these environments, read from AWS past neonctl."""
    platform = provisioned.platform
    client = boto3.client(
        "secretsmanager",
        endpoint_url=platform.aws_endpoint_url,
        region_name="ap-southeast-2",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    found: set[str] = set()
    with contextlib.closing(client):
        for page in client.get_paginator("list_secrets").paginate():
            for name in (secret["Name"] for secret in page["SecretList"]):
                if name.split("/")[1] in environments:
                    found.add(json.loads(client.get_secret_value(SecretId=name)["SecretString"])["password"])
    return found


def owner_passwords(provisioned) -> set[str]:
    """The password of the one role that Neon's API made, on every branch."""
    platform = provisioned.platform
    found: set[str] = set()
    for branch in (each for each in state.branches(platform) if each.project == "bank"):
        answer = httpx.get(
            f"{platform.api_url}/projects/{branch.project_id}/connection_uri",
            params={"branch_id": branch.branch_id, "database_name": "bank_core", "role_name": "bank_owner"},
            headers={"Authorization": f"Bearer {platform.api_key.reveal()}"},
            trust_env=False,
        )
        found.add(str(urlsplit(answer.json()["uri"]).password))
    return found


@pytest.fixture(scope="module")
def lasting(provisioned) -> set[str]:
    """What no test here changes: the passwords of uat and prod, the owner role's and the keys."""
    known = stored_passwords(provisioned, ("uat", "prod")) | owner_passwords(provisioned)
    assert len(known) == 2 * 19 + 3
    return known | {provisioned.platform.api_key.reveal(), KEY}


@dataclass
class Witness:
    """Everything that a run left where somebody may look."""

    provisioned: object
    folder: Path
    lasting: set[str]
    log: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    @property
    def runner(self) -> dict[str, str]:
        """The variables of a GitHub step, and a folder of its own for temporary files."""
        names = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary", "TMPDIR": "tmp"}
        (self.folder / "tmp").mkdir(exist_ok=True)
        return {"GITHUB_ACTIONS": "true", **{name: str(self.folder / file) for name, file in names.items()}}

    def texts(self) -> Iterator[tuple[str, str]]:
        """Where, and what is to be read there."""
        for result in self.results:
            yield "stdout", result.stdout
            yield "stderr", _as_shown(result.stderr)
        yield "log", "\n".join(self.log)
        for error in self.errors:
            yield "error", "\n".join(_chain(error))
        for path in (path for path in self.folder.rglob("*") if path.is_file()):
            yield str(path), path.read_text(errors="replace")
        local_dir: Path = self.provisioned.local_dir  # pyright: ignore[reportAttributeAccessIssue]
        for path in (*local_dir.rglob("*.log"), *local_dir.rglob("*.jsonl")):
            yield str(path), path.read_text(errors="replace")

    def leaks(self, known: set[str]) -> set[str]:
        """Where any of these stands, as it is or URL-encoded."""
        forms = {form for canary in known for form in (canary, quote(canary, safe=""))}
        return {where for where, text in self.texts() for form in forms if form in text}

    def saw_nothing(self, known: set[str] | None = None) -> None:
        """No canary stands anywhere."""
        canaries = self.lasting | stored_passwords(self.provisioned, ("dev",)) if known is None else known
        assert self.leaks(canaries) == set()


def _as_shown(stderr: str) -> str:
    """What a runner shows of it: a value that comes before its mask is seen, the mask itself is not."""
    log = Log()
    log.feed(stderr)
    return log.text


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        yield repr(error)
        yield repr(error.args)
        yield repr(getattr(error, "details", ""))
        yield from getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__


@pytest.fixture
def witness(provisioned, lasting, tmp_path, monkeypatch) -> Iterator[Witness]:
    seen = Witness(provisioned, tmp_path / "seen", lasting)
    seen.folder.mkdir()

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.log.append(self.format(record))

    def remember(error: BaseException, *rest: object, tell=terminal.told, **more: object) -> int:
        seen.errors.append(error)
        return tell(error, *rest, **more)

    monkeypatch.setattr(terminal, "told", remember)
    root, handler = logging.getLogger(), Everything()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield seen
    root.removeHandler(handler)
    root.setLevel(before)


def test_the_witness_would_see_a_leak(witness):
    """Each place that is searched, with a canary put there on purpose."""
    planted = ValueError("x")
    planted.__cause__ = KeyError(KEY)
    witness.results.append(Result(0, f"a {KEY}", f"b {KEY}"))
    witness.errors.append(planted)
    logging.getLogger("somebody").debug("got %s", KEY)
    (witness.folder / "summary").write_text(KEY)
    assert witness.leaks({KEY}) == {"stdout", "stderr", "log", "error", str(witness.folder / "summary")}
    searched = {Path(where).name for where, _ in witness.texts()}
    assert {"daemon.log", "audit.jsonl"} <= searched
    assert any(name.startswith("br-") for name in searched)  # Postgres' own logs, one for each branch


# --- it went well -----------------------------------------------------------------------------------------


def test_the_first_apply_left_no_secret_behind(provisioned, witness):
    witness.results.append(provisioned.first_apply)
    witness.results.append(Result(0, "\n".join(provisioned.seen_arguments), ""))
    witness.saw_nothing()


def test_no_command_shows_a_secret_that_nobody_asked_for(provisioned, witness):
    for arguments in (
        ("plan", "--env", "dev"),
        ("apply", "--env", "dev"),
        ("drift", "--env", "dev"),
        ("verify", "--env", "dev"),
        ("secrets", "list", "--env", "dev"),
        ("secrets", "show", *ONE),
        ("connection-string", *ONE),
        ("local", "faults"),
    ):
        for flags in (("-v",), ("-v", "-o", "json", "--log-format", "json")):
            witness.results.append(provisioned.run(*arguments, *flags, env=witness.runner))
    witness.results.append(provisioned.run("local", "status"))  # -o json shows this machine's key: product.md 7
    assert {result.code for result in witness.results} == {0}
    assert len(witness.log) > 50
    witness.saw_nothing()


def test_a_password_made_anew_is_seen_nowhere(project, provisioned, witness):
    """Neither the old nor the new one; in a process of its own, so that its temporary files are seen, too."""
    before = stored_passwords(provisioned, ("dev",))
    provisioned.sql(
        "dev", "bank_aml", "COMMENT ON ROLE bank_aml_readonly IS 'neonctl: password of branch br-x, secret version v'"
    )
    surroundings = project.environment({"NEONCTL_TARGET": "local", **witness.runner})
    witness.results.append(run_process("apply", "--env", "dev", "-v", cwd=project.folder, env=surroundings))
    assert witness.results[0].code == 0, witness.results[0].stderr
    assert len(before - stored_passwords(provisioned, ("dev",))) == 1
    witness.saw_nothing()
    assert not any(canary in text for canary in before for _, text in witness.texts())


def test_who_signs_shows_neither_his_key_nor_its_passphrase(provisioned, witness, tmp_path):
    """Right, wrong and missing passphrases, in processes of their own; and the key that the platform keeps itself."""
    passphrase, key = f"canary-{token_hex(8)}", tmp_path / "key"
    surroundings = provisioned.environment({"NEONCTL_TARGET": "local", **witness.runner})

    def ran(*arguments: str, given: str | None = passphrase) -> int:
        more = {} if given is None else {"NEONCTL_KEY_PASSPHRASE": given}
        result = run_process("obr", *arguments, "-v", cwd=provisioned.folder, env={**surroundings, **more})
        witness.results.append(result)
        return result.code

    with ProcessWatch() as watch:
        assert ran("keys", "generate", "--type", "p256", "--out", str(key)) == 0
        sign = (
            "sign",
            "--key",
            str(key),
            "--action",
            "rearm",
            "--scope",
            "bank/dev",
            "--reference",
            "R",
            "--yes",
            "--out",
        )
        tried = enumerate((passphrase, "wrong", None))
        codes = [ran(*sign, str(tmp_path / f"{number}.jws"), given=given) for number, given in tried]
        assert codes == [0, 64, 64]
        status = ("status", "--env", "dev", "--signed")
        assert [ran(*status, "--key", str(key)), ran(*status)] == [0, 0]
    witness.results.append(Result(0, "\n".join(watch.arguments), ""))
    kept = provisioned.local_dir / "obr-status-key.pem"
    lines = [line for file in (key, kept) for line in file.read_text().splitlines()[1:-1]]
    witness.saw_nothing({passphrase, *lines})


# --- it failed --------------------------------------------------------------------------------------------


@pytest.fixture
def hostile() -> Iterator[tuple[str, list[int]]]:
    """An API that repeats the key, a password and a URI in every refusal; the status is settable."""
    status = [401]

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers["Authorization"]
            body = json.dumps({"message": f"no: {given} postgresql://u:{KEY}@h/d", "code": given, "password": KEY})
            self.send_response(status[0])
            self.send_header("X-Neon-Request-Id", "r-1")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/v2", status
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answered", [200, 400, 401, 403, 404, 409, 422, 423, 429, 500, 503])
def test_a_refusal_that_repeats_the_key_is_told_without_it(project, witness, hostile, monkeypatch, answered):
    address, status = hostile
    status[0] = answered
    monkeypatch.setattr("neonctl.neon.transport.Patience", partial(Patience, busy=0, failing=0))
    surroundings = project.cloud({"NEON_API_HOST": address, "NEON_API_KEY": KEY, **witness.runner})
    for flags in (("-v",), ("-o", "json", "--log-format", "json")):
        witness.results.append(run("plan", *flags, cwd=project.folder, env=surroundings))
    assert {result.code for result in witness.results} == {5}
    witness.saw_nothing({KEY, project.platform.api_key.reveal()})


def test_aws_that_fails_is_told_without_values(project, provisioned, witness):
    provisioned.sql(
        "dev", "bank_aml", "COMMENT ON ROLE bank_aml_readonly IS 'neonctl: password of branch br-x, secret version v'"
    )
    faults = [{"target": "aws", "operation": "PutSecretValue", "status": 500}]
    state.set_faults(project.platform, faults)
    try:
        witness.results.append(project.run("apply", "--env", "dev", "-v", env=witness.runner))
    finally:
        state.set_faults(project.platform, [])
    assert witness.results[0].code == 5
    assert project.run("apply", "--env", "dev").code == 0
    witness.saw_nothing()


def test_sql_that_fails_while_it_sets_a_password_is_told_without_it(project, witness, monkeypatch):
    monkeypatch.setattr("neonctl.provision.services.LOCK_TIMEOUT_S", 0.2)
    with project.superuser("dev", "bank_aml") as other:
        other.execute("COMMENT ON ROLE bank_aml_readonly IS NULL")
        with other.transaction(force_rollback=True):
            other.execute("ALTER ROLE bank_aml_readonly CONNECTION LIMIT 6")
            witness.results.append(project.run("apply", "--env", "dev", "-v", env=witness.runner))
    assert witness.results[0].code == 75
    assert "setting the password of role bank_aml_readonly" in witness.results[0].stderr
    monkeypatch.undo()
    assert project.run("apply", "--env", "dev").code == 0
    witness.saw_nothing()


def test_a_defect_is_told_without_the_value_it_held(project, witness, monkeypatch):
    def broken(connection, role, password, mark):
        held = password.reveal()
        try:
            raise KeyError(held)
        except KeyError as error:
            raise ValueError(f"cannot use {held}") from error

    project.sql("dev", "bank_aml", "COMMENT ON ROLE bank_aml_readonly IS NULL")
    with monkeypatch.context() as patched:
        patched.setattr("neonctl.provision.credentials.set_password", broken)
        witness.results.append(project.run("apply", "--env", "dev", "-v", env=witness.runner))
    assert witness.results[0].code == 1
    assert "unexpected ValueError" in witness.results[0].stderr
    assert project.run("apply", "--env", "dev").code == 0
    witness.saw_nothing()


def test_an_interrupted_apply_shows_no_secret(project, witness):
    project.sql("dev", "bank_aml", "COMMENT ON ROLE bank_aml_readonly IS NULL")
    surroundings = project.environment({"NEONCTL_TARGET": "local", **witness.runner})
    arguments = ("apply", "--env", "dev", "-v")
    witness.results.append(interrupt_when("Plan ", *arguments, cwd=project.folder, env=surroundings))
    assert witness.results[0].code in {0, 130}  # the one step may have been under way already
    assert project.run("apply", "--env", "dev").code == 0
    witness.saw_nothing()
