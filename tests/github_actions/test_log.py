"""What goes to the runner: masks before anything else, other people's text inert, outputs nobody can add to."""

from __future__ import annotations

import io
import json
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neonctl.cli import github
from neonctl.cli.github_log import Masks, folded, inert, inert_json, mask
from neonctl.cli.markdown import block, code
from neonctl.secret import Secret

from .log import Log, outputs

ANY = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)
NASTY = st.one_of(
    ANY, st.lists(st.sampled_from(["::", "##[", "error]", "add-mask::x", "\n", "stop", "a"])).map("".join)
)


@pytest.fixture(autouse=True)
def runner(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


@given(NASTY)
def test_text_of_others_is_shown_and_never_obeyed(text):
    log = Log()
    log.feed(inert(text))
    log.feed("::group::still listening")
    assert [each.name for each in log.commands] == ["group"]
    shown = "\n".join(log.shown)
    assert text.replace("\r\n", "\n").replace("\r", "\n") in shown


@given(NASTY)
def test_folded_text_is_a_group_and_nothing_else(text):
    log = Log()
    log.feed(folded(text, "a\n" * 30 + text))
    assert [each.name for each in log.commands] == ["group", "endgroup"]
    assert log.commands[0].data == text


@given(st.recursive(NASTY, lambda inner: st.lists(inner, max_size=3)))
def test_json_stays_the_same_document_and_is_never_obeyed(value):
    text = inert_json(json.dumps({"a": value}, ensure_ascii=False))
    assert json.loads(text) == {"a": value}
    log = Log()
    log.feed(text)
    assert log.commands == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40).filter(str.strip))
def test_a_secret_is_hidden_in_every_form_it_is_written_in(value):
    err = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stderr", err)
        mask([Secret(value)])
    log = Log()
    log.feed(err.getvalue().rstrip("\n"))
    assert log.shown == []
    for written in (value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]):
        assert written not in log.masked(f"postgresql://u:{written}@h/d")


def test_each_secret_is_told_once(capsys):
    known = Masks()
    known(Secret("one12345"), Secret("one12345"))
    known(Secret("one12345"), Secret("two12345"))
    assert capsys.readouterr().err == "::add-mask::one12345\n::add-mask::two12345\n"


def test_a_file_in_place_of_a_runner_gets_no_secrets(tmp_path, monkeypatch):
    """``2> apply.log`` and an upload of it must not publish what no message ever says."""
    with (tmp_path / "apply.log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        mask([Secret("one12345")])
    assert (tmp_path / "apply.log").read_text() == ""


@given(st.dictionaries(st.sampled_from(["branch", "plan_sha", "secrets"]), ANY))
def test_outputs_arrive_as_they_were_given(values):
    with pytest.MonkeyPatch.context() as patched:
        written: list[str] = []
        patched.setattr(github, "_append", lambda variable, text: written.append(text))
        github.set_outputs(values)
    one_way = {name: value.replace("\r\n", "\n").replace("\r", "\n") for name, value in values.items()}
    assert outputs("".join(written)) == one_way


def test_an_output_cannot_set_another_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    github.set_outputs({"branch": "x\nplan_sha=forged", "changes": "1"})
    assert outputs((tmp_path / "output").read_text()) == {"branch": "x\nplan_sha=forged", "changes": "1"}


@pytest.mark.parametrize("before", [0, 1024 * 1024 - 200, 1024 * 1024])
def test_a_summary_is_cut_to_what_github_takes(tmp_path, monkeypatch, before):
    target = tmp_path / "summary"
    target.write_text("x" * before)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    github.summarize("### Plan\n\n" + "é many words\n" * 100_000)
    size = target.stat().st_size
    assert size <= 1024 * 1024
    if before == 0:
        assert size > 1024 * 1024 - 100
    if before < 1024 * 1024:
        assert target.read_text().rstrip().endswith("cut here: the log has all of it.")


@given(NASTY)
def test_markdown_has_no_markup_but_ours(text):
    from markdown_it import MarkdownIt

    reader = MarkdownIt("gfm-like", {"linkify": False})
    fenced = reader.parse(f"before\n\n{block(text.splitlines())}\n\nafter")
    assert [each.type for each in fenced if each.type == "fence"] == ["fence"]
    assert fenced[-2].content == "after"
    inline = reader.parse(f"a {code(text)} z")[1]
    assert {each.type for each in inline.children or ()} <= {"text", "code_inline"}


def test_what_turns_the_direction_of_text_is_seen():
    assert block(["a\u202eb"]) == "```text\na\\u{202e}b\n```"
