"""What asks, what refuses where nobody can be asked, and what an answer does."""

from __future__ import annotations

import json
import shutil

from neonctl.local import state
from neonctl.local.platform import running, stop
from neonctl_run import run, run_on_terminal


def new_project(project) -> dict[str, str]:
    """A configuration whose project does not exist, at an API that stands for Neon's."""
    project.edit("platform.yaml", ("  name: bank\n", "  name: fresh\n"))
    return project.cloud()


def test_apply_without_a_terminal_needs_yes(project):
    surroundings, changed = new_project(project), project.changing_calls()
    for flags in ((), ("--no-input",)):
        result = run("apply", *flags, "-o", "json", cwd=project.folder, env=surroundings)
        assert (result.code, result.error["code"]) == (3, "CONFIRMATION_MISSING")
        assert "+ project fresh will be created" in result.stderr
        assert result.error["hint"] == "look at the plan above, then run again with --yes"
    assert project.changing_calls() == changed


def test_a_no_changes_nothing(project):
    surroundings, changed = new_project(project), project.changing_calls()
    result = run_on_terminal("apply", answer="n\n", cwd=project.folder, env=surroundings)
    assert result.code == 3
    assert "changes to project fresh? [y/N]" in result.stderr
    assert "error: not confirmed: nothing has been changed" in result.stderr
    assert project.changing_calls() == changed


def test_ctrl_c_at_the_question_changes_nothing(project):
    surroundings, changed = new_project(project), project.changing_calls()
    result = run_on_terminal("apply", answer="\x03", cwd=project.folder, env=surroundings)
    assert result.code == 130
    assert "interrupted" in result.stderr
    assert project.changing_calls() == changed


def test_nobody_is_asked_with_no_input_even_on_a_terminal(project):
    result = run_on_terminal("apply", "--no-input", answer="y\n", cwd=project.folder, env=new_project(project))
    assert result.code == 3
    assert "[y/N]" not in result.stderr


def test_the_embedded_platform_asks_for_deletions_only(project):
    """Deleting dev needs its name, and then a yes; made again from a prod in use it is built by its migrations."""
    (project.folder / "config/environments/preview.yaml").unlink()  # previews grow from dev
    project.edit("environments/uat.yaml", ("  promoted_from: dev", "  # promoted_from: dev"))
    path = project.folder / "config/environments/dev.yaml"
    kept = path.read_text()
    path.write_text("state: absent\n" + kept)
    changed = project.changing_calls()
    refused = project.run("apply", "--yes", "-o", "json")
    assert (refused.code, refused.error["code"]) == (3, "DELETION_NOT_ALLOWED")
    assert refused.error["hint"] == "if that is meant, add --allow-delete dev"
    wrong = project.run("apply", "--yes", "--allow-delete", "uat", "-o", "json")
    assert (wrong.code, wrong.error["code"]) == (3, "DELETION_NOT_ALLOWED")
    unasked = project.run("apply", "--allow-delete", "dev", "-o", "json")
    assert (unasked.code, unasked.error["code"]) == (3, "CONFIRMATION_MISSING")
    assert project.changing_calls() == changed

    typed = run_on_terminal(
        "apply", "--local", "--allow-delete", "dev", answer="y\n", cwd=project.folder, env=project.environment()
    )
    assert typed.code == 0, typed.stderr
    assert {each.branch for each in state.branches(project.platform) if each.project == "bank"} == {"prod", "uat"}
    assert project.run("plan", "--detailed-exitcode").code == 0

    path.write_text(kept)
    again = project.run("apply", "-o", "json")
    assert again.code == 0, again.stderr
    assert again.json["migrations"]["dev"]["bank_core"]
    assert project.run("verify", "--env", "dev").code == 0


def test_deleting_the_platform_asks(tmp_path):
    """A platform of its own: up, refused, down, and gone."""
    surroundings = {"NEONCTL_LOCAL_DIR": str(tmp_path / "state")}
    try:
        up = run("local", "up", "-o", "json", cwd=tmp_path, env=surroundings)
        assert (up.code, up.json["running"], up.json["branches"]) == (0, True, [])
        refused = run("local", "reset", "-o", "json", cwd=tmp_path, env=surroundings)
        assert (refused.code, refused.error["code"]) == (3, "CONFIRMATION_MISSING")
        no = run_on_terminal("local", "reset", answer="n\n", cwd=tmp_path, env=surroundings)
        assert no.code == 3
        assert running(tmp_path / "state") is not None
        gone = run("local", "reset", "--yes", cwd=tmp_path, env=surroundings)
        assert (gone.code, gone.stdout) == (0, "deleted\n")
        assert running(tmp_path / "state") is None
        down = run("local", "down", "-o", "json", cwd=tmp_path, env=surroundings)
        assert (down.code, down.json["stopped"]) == (0, False)
        status = json.loads(run("local", "status", "-o", "json", cwd=tmp_path, env=surroundings).stdout)
        assert status["running"] is False
    finally:
        stop(tmp_path / "state")
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
