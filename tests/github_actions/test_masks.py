"""On a runner: every secret that a command makes or shows is masked before it is written, both streams taken together."""

from __future__ import annotations

import subprocess
from urllib.parse import quote

import pytest

from neonctl_run import command, scrubbed
from security.test_no_leaks import stored_passwords

from .log import Log

ONE = ("--env", "dev", "--database", "bank_aml", "--role", "readonly")


def on_a_runner(project, *arguments: str) -> tuple[int, Log, str]:
    """One command as a step has it: both streams into one pipe, read in the order they come."""
    done = subprocess.run(
        command(*arguments),
        cwd=project.folder,
        env=scrubbed(project.environment({"NEONCTL_TARGET": "local", "GITHUB_ACTIONS": "true"})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    log = Log()
    log.feed(done.stdout)
    return done.returncode, log, done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("secrets", "show", *ONE), ("connection-string", *ONE), ("connection-string", *ONE, "-o", "json")],
    ids=["secrets show", "connection-string", "as JSON"],
)
def test_what_is_revealed_is_masked_first(project, provisioned, arguments):
    code, log, raw = on_a_runner(project, *arguments, "--reveal")
    (password,) = {each for each in stored_passwords(provisioned, ("dev",)) if each in raw}
    assert code == 0
    assert password in log.masks
    assert any(mask.startswith("postgresql://") and password in mask for mask in log.masks)
    assert any(mask == quote(uri, safe="") for uri in log.masks for mask in log.masks if uri.startswith("postgresql:"))
    assert password not in log.text
    assert "***" in log.text


def test_what_apply_makes_is_masked_and_shown_nowhere(project, provisioned):
    before = stored_passwords(provisioned, ("dev",))
    foreign = "neonctl: password of branch br-x, secret version v"
    provisioned.sql("dev", "bank_aml", f"COMMENT ON ROLE bank_aml_readonly IS '{foreign}'")
    code, log, _ = on_a_runner(project, "apply", "--env", "dev", "-v")
    assert code == 0, log.text
    (made,) = stored_passwords(provisioned, ("dev",)) - before
    known = stored_passwords(provisioned, ("dev",)) | {provisioned.platform.api_key.reveal()}
    assert made in log.masks
    assert not any(each in log.text for each in known)


def test_what_only_looks_tells_the_runner_nothing(project):
    """A kept stderr of ``plan`` must not be where somebody finds the passwords."""
    code, log, _ = on_a_runner(project, "plan", "--env", "dev")
    assert (code, log.masks) == (0, [])


def test_names_that_look_like_commands_are_shown_as_text(project):
    project.sql("dev", "bank_aml", 'CREATE TABLE aml."a\n::error::forged" (id int)')
    try:
        code, log, _ = on_a_runner(project, "drift", "--env", "dev")
    finally:
        project.sql("dev", "bank_aml", 'DROP TABLE aml."a\n::error::forged"')
    assert code == 2
    assert "::error::forged" in log.text
    assert [each.properties["title"] for each in log.of("error")] == ["drift"]  # our own, about the table
