"""The program around the commands: help, formats, exit codes, streams, colour, GitHub, pipes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from inline_snapshot import snapshot

from neonctl import __version__
from neonctl.cli.app import FILES, build
from neonctl_run import command, interrupt_when, run, run_on_terminal, run_process, scrubbed, stable

SLOWER = ("suspend_timeout_seconds: 300\n\n#", "suspend_timeout_seconds: 600\n\n#")


def commands() -> list[tuple[str, ...]]:
    """Every command there is, from the application itself."""
    import typer.main

    def walk(node: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        below = getattr(node, "commands", None)
        if below is None:
            return [path]
        return [each for name, child in below.items() for each in walk(child, (*path, name))]

    return walk(typer.main.get_command(build()), ())


# --- help -------------------------------------------------------------------------------------------------


def test_every_command_says_what_it_does_and_every_option_too(tmp_path):
    assert len(commands()) >= 12
    for path in commands():
        result = run(*path, "--help", cwd=tmp_path)
        assert (result.code, result.stderr) == (0, ""), path
        assert result.stdout.startswith(f"Usage: neonctl {' '.join(path)}"), path
        about = result.stdout.split("\n\n")[1].strip()
        assert len(about) > 20, path
        told = re.sub(r"\s+", " ", result.stdout)
        for option in re.findall(r"\s(--[a-z-]+)", result.stdout.split("Options:")[1]):
            assert re.search(rf"{option}\b[^.]*? [A-Za-z0-9]", told), (path, option)


def test_every_command_is_found_without_the_files_of_the_others():
    whole = build()
    names = [str(each.name) for each in (*whole.registered_commands, *whole.registered_groups)]
    assert sorted(names) == sorted(name for listed in FILES.values() for name in listed)
    for name in names:
        alone = build((name,))
        assert [each.name for each in (*alone.registered_commands, *alone.registered_groups)] == [name]


@pytest.mark.parametrize("arguments", [(), ("local",), ("secrets",)])
def test_a_group_without_a_command_shows_its_help_and_is_wrong_usage(tmp_path, arguments):
    result = run(*arguments, cwd=tmp_path)
    assert (result.code, result.stdout) == (64, "")
    assert "Commands:" in result.stderr
    assert "error" not in result.stderr


def test_the_version_needs_no_library(tmp_path):
    code = (
        "import sys\nfrom neonctl.cli.main import main\ncode = main(['--version'])\n"
        "heavy = {'typer', 'rich', 'pydantic', 'httpx', 'boto3', 'psycopg', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"neonctl {__version__}\n", "")


# --- exit codes and formats -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [("plan", "--nope"), ("nope",), ("plan", "--env"), ("secrets", "show"), ("plan", "-o", "yaml"), ("local", "nope")],
)
def test_wrong_usage_is_64_and_never_2(tmp_path, arguments):
    result = run(*arguments, cwd=tmp_path)
    assert (result.code, result.stdout) == (64, "")
    assert result.stderr.startswith("error: ")
    assert "hint: neonctl --help lists commands and options" in result.stderr


def test_a_failure_is_one_document_where_json_was_asked_for(tmp_path):
    result = run("plan", "--nope", "-o", "json", cwd=tmp_path)
    assert (result.code, result.json) == snapshot(
        (
            64,
            {
                "schema_version": 1,
                "error": {
                    "code": "USAGE",
                    "message": "No such option: --nope (Possible options: --adopt, --no-input)",
                    "hint": "neonctl --help lists commands and options",
                    "retryable": False,
                    "details": {},
                },
            },
        )
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--env", "dev"),
        ("drift", "--env", "dev"),
        ("verify", "--env", "dev"),
        ("secrets", "list", "--env", "dev"),
        ("connection-string", "--env", "dev", "--database", "bank_aml"),
        ("local", "status"),
        ("local", "up"),
        ("local", "faults"),
    ],
)
def test_json_is_one_document_with_its_version(provisioned, arguments):
    result = provisioned.run(*arguments, "-o", "json")
    assert (result.code, result.json["schema_version"], result.stdout.count("\n")) == (0, 1, 1)


@pytest.mark.parametrize("kind", ["platform", "environment"])
def test_the_schema_is_one_document(tmp_path, kind):
    assert run("schema", kind, cwd=tmp_path).json["type"] == "object"


def test_not_provisioned_is_a_plain_failure(project):
    project.edit("platform.yaml", ("  name: bank\n", "  name: not-there\n"))
    result = project.run("verify", "--env", "dev", "-o", "json")
    assert (result.code, result.error["code"]) == (1, "NOT_PROVISIONED")


def test_what_somebody_else_holds_is_not_waited_for_for_ever(project, monkeypatch):
    monkeypatch.setattr("neonctl.provision.services.LOCK_TIMEOUT_S", 0.2)
    project.edit("environments/dev.yaml", ("    connection_limit: 40", "    connection_limit: 41"))
    with project.superuser("dev", "bank_core") as other, other.transaction(force_rollback=True):
        other.execute("ALTER ROLE bank_core_app_user CONNECTION LIMIT 77")
        result = project.run("apply", "--env", "dev", "-o", "json")
        assert (result.code, result.error["code"], result.error["retryable"]) == (75, "POSTGRES_LOCKED", True)
    monkeypatch.undo()
    project.edit("environments/dev.yaml", ("    connection_limit: 41", "    connection_limit: 40"))
    assert project.run("apply", "--env", "dev").code == 0


def test_an_unexpected_error_is_a_plain_failure_without_its_text(tmp_path, monkeypatch):
    def broken(config: object, db: object) -> None:
        raise ValueError("a-value-nobody-may-see")

    monkeypatch.setattr("neonctl.pipelines.configuration.read_configuration", broken)
    result = run("plan", "-v", cwd=tmp_path)
    assert (result.code, result.stdout) == (1, "")
    assert "error: unexpected ValueError in broken" in result.stderr
    assert 'raise ValueError("a-value-nobody-may-see")' not in result.stderr.splitlines()[-1]
    assert re.search(r"^ValueError$", result.stderr, re.MULTILINE)
    assert "hint: this is a defect of neonctl" in result.stderr


def test_ctrl_c_stops_between_steps_and_the_next_run_finishes(project):
    surroundings = project.environment({"NEONCTL_TARGET": "local"})
    project.sql("dev", "bank_aml", "COMMENT ON ROLE bank_aml_readonly IS NULL")
    project.sql("dev", "bank_core", "GRANT CREATE ON SCHEMA accounts TO bank_core_readonly")
    result = interrupt_when("environment dev", "apply", "--env", "dev", cwd=project.folder, env=surroundings)
    assert result.code == 130
    assert "interrupting: " in result.stderr
    assert "hint: finished steps are kept: run the same command again" in result.stderr
    assert "Traceback" not in result.stderr
    assert project.run("apply", "--env", "dev").code == 0
    assert project.run("plan", "--env", "dev", "--detailed-exitcode").code == 0


# --- streams ----------------------------------------------------------------------------------------------


def test_quiet_says_the_result_only(provisioned):
    result = provisioned.run("plan", "--env", "dev", "-q")
    assert (result.code, result.stdout, result.stderr) == snapshot(
        (0, "bank: nothing to do, everything is as the configuration says.\n", "")
    )


def test_messages_as_json_lines(project):
    result = project.run("plan", "--env", "dev", "--log-format", "json", "--trace-id", "t-9")
    assert [json.loads(line) for line in result.stderr.splitlines()] == snapshot(
        [{"level": "info", "message": "Reading project bank (dev) on the embedded platform", "trace_id": "t-9"}]
    )
    wrong = project.run("plan", "--env", "qa", "--log-format", "json")
    assert [json.loads(line)["level"] for line in wrong.stderr.splitlines()] == ["error"]


def test_verbose_names_each_change_and_the_origin_of_an_error(project):
    project.edit("platform.yaml", ("  name: bank\n", "  name: fresh\n"))
    brief, full = project.run("plan"), project.run("plan", "-v")
    assert len(full.stdout.splitlines()) > 4 * len(brief.stdout.splitlines())
    assert "role bank_core/bank_core_app_user will be created" in full.stdout
    failed = project.run("plan", "--env", "qa", "-v")
    assert 'File "' in failed.stderr
    assert 'File "' not in project.run("plan", "--env", "qa").stderr


ESCAPE = "\x1b["


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"flag": "--no-color"}])
def test_no_colour_where_none_is_wanted(project, more):
    flags = [more["flag"]] if "flag" in more else []
    project.edit("environments/dev.yaml", SLOWER)
    result = run_on_terminal(
        "plan", "--local", "--env", "dev", *flags, answer="", cwd=project.folder, env=project.environment(more)
    )
    assert (result.code, ESCAPE in result.stderr + result.stdout) == (0, False)


def test_a_reader_that_goes_away_is_no_crash(project):
    process = subprocess.Popen(
        command("plan", "--env", "dev", "-v"),
        cwd=project.folder,
        env=scrubbed(project.environment({"NEONCTL_TARGET": "local"})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        told = process.stderr.read()
    assert process.wait() == 1
    assert "Broken" not in told
    assert "Traceback" not in told


def test_an_apply_whose_messages_nobody_reads_is_finished(project):
    """``2>&1 | head`` must not stop work half way."""
    project.sql("dev", "bank_core", "GRANT CREATE ON SCHEMA accounts TO bank_core_readonly")
    process = subprocess.Popen(
        command("apply", "--env", "dev", "-o", "json"),
        cwd=project.folder,
        env=scrubbed(project.environment({"NEONCTL_TARGET": "local"})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.close()
    with process.stdout:
        document = json.loads(process.stdout.read())
    assert (process.wait(), document["applied"]) == (0, True)


def test_a_home_that_cannot_be_written_does_not_matter(project, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    result = run_process(
        "plan",
        "--env",
        "dev",
        cwd=project.folder,
        env=project.environment({"HOME": str(home), "NEONCTL_TARGET": "local"}),
    )
    assert (result.code, list(home.iterdir())) == (0, [])


def test_other_tools_variables_do_not_reach_the_embedded_platform(project):
    strange = {"AWS_PROFILE": "nope", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "PGHOST": "nowhere", "PGUSER": "x"}
    strange |= {
        "NEON_API_KEY": "napi_other",
        "NEON_API_HOST": "https://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    assert project.run("verify", "--env", "dev", env=strange).code == 0


# --- GitHub -----------------------------------------------------------------------------------------------


def test_outputs_and_summary_for_the_steps_that_follow(project, tmp_path):
    outputs, summary = tmp_path / "outputs", tmp_path / "summary.md"
    runner = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    project.edit("environments/dev.yaml", SLOWER)
    result = project.run("plan", "--env", "dev", "-o", "json", env=runner)
    told = dict(line.split("=") for line in outputs.read_text().splitlines())
    assert told == {"changes": "1", "has_deletes": "false", "plan_sha": result.json["fingerprint"]}
    assert stable(summary.read_text()) == snapshot("""\
### Plan of `bank`

**1 to update.**

<details open><summary>Environment dev: 1 change</summary>

```diff
! endpoint compute will be updated in place
    suspend_timeout_seconds  300 → 600
```

</details>

Fingerprint `[SHA256]`
""")


def test_problems_become_annotations_at_their_lines(project):
    project.edit("environments/dev.yaml", ("stage: dev", "stgae: dev"))
    result = project.run("plan", env={"GITHUB_ACTIONS": "true"})
    notes = [line for line in result.stderr.splitlines() if line.startswith("::error")]
    assert notes == snapshot(
        [
            "::error file=config/environments/dev.yaml,line=5,title=CONFIG_INVALID::stage: `stage` is missing",
            "::error file=config/environments/dev.yaml,line=5,title=CONFIG_INVALID::stgae: unknown key `stgae`: did you mean `state`?",
        ]
    )


def test_a_reveal_is_masked_before_it_is_printed(project):
    one = ("secrets", "show", "--env", "dev", "--database", "bank_aml", "--role", "readonly", "--reveal", "-o", "json")
    result = project.run(*one, env={"GITHUB_ACTIONS": "true"})
    secret = result.json["secret"]
    masked = [line.removeprefix("::add-mask::") for line in result.stderr.splitlines() if "add-mask" in line]
    assert secret["password"] in masked
    assert secret["uri"].replace("%", "%25") in masked
    assert "add-mask" not in project.run(*one).stderr


def test_outside_of_github_no_file_is_written(project, tmp_path):
    project.run("plan", "--env", "dev", env={"GITHUB_OUTPUT": str(tmp_path / "outputs")})
    assert not (tmp_path / "outputs").exists()
    assert not os.environ.get("GITHUB_OUTPUT")
