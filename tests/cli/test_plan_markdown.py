"""A plan as Markdown: deletions first, its fingerprint in full, whatever the names hold."""

from __future__ import annotations

from markdown_it import MarkdownIt

from neonctl.cli.plan_markdown import plan_markdown
from neonctl.plan.changes import DeleteSecret, PutParameter, Report
from neonctl.plan.plan import Plan


def test_what_is_deleted_stands_above_everything_else():
    plan = Plan.of([DeleteSecret(environment="dev", secret="bank-neon/dev/x", parent="old"), Report(subject="a")])
    text = plan_markdown(plan, "bank")
    assert text.index("**Deletes**") < text.index("<details")
    assert f"`{plan.fingerprint}`" in text
    assert "\n# " in text
    assert "- secret bank-neon/dev/x will be deleted" in text


def test_an_empty_plan_says_so():
    assert plan_markdown(Plan(), "bank").endswith("Nothing to do: everything is as the configuration says.\n")


def test_names_bring_no_markup():
    nasty = "x``` </details>\n```\n# <img src=x> @everyone"
    text = plan_markdown(Plan.of([Report(subject=nasty), Report(environment="dev", subject=nasty)]), nasty)
    kinds = [each.type for each in MarkdownIt("gfm-like", {"linkify": False}).parse(text)]
    assert kinds.count("heading_open") == 1
    assert kinds.count("fence") == 2


def test_a_long_plan_is_shortened_and_says_by_how_much():
    many = [PutParameter(environment="dev", parameter=f"/bank/{n:05}", old=None, value="v") for n in range(5000)]
    text = plan_markdown(Plan.of(many), "bank")
    assert len(text) < 40_000
    assert "# … and 4600 more lines: `neonctl plan -v` shows each" in text
    assert "<summary>Environment dev: 5000 changes</summary>" in text
