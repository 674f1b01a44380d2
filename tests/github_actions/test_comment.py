"""One comment: made once, then brought up to date, never somebody else's."""

from __future__ import annotations

import pytest

from neonctl.cli.github_comment import keep_comment
from neonctl.errors import ServiceError, UsageError

from .github_api import TOKEN, Comments, github

FIRST = "<!-- neonctl preview diff -->\n"


@pytest.fixture
def comments(monkeypatch):
    with github() as state:
        monkeypatch.setenv("GITHUB_API_URL", state.address)
        monkeypatch.setenv("GITHUB_REPOSITORY", "bank/platform")
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield state


def keep(markdown: str) -> str:
    return keep_comment(42, "preview diff", markdown, otherwise="the same")


def test_a_comment_is_changed_rather_than_repeated(comments: Comments):
    assert [keep("a"), keep("b"), keep("b"), keep("")] == ["created", "updated", "unchanged", "updated"]
    assert comments.bodies == [f"{FIRST}the same"]


def test_where_nothing_differs_and_nothing_was_said_nothing_is_said(comments: Comments):
    assert keep("") == "unchanged"
    assert comments.bodies == []


def test_it_is_found_behind_many_others(comments: Comments):
    for number in range(250):
        comments.write(f"comment {number}")
    keep("a")
    assert keep("b") == "updated"
    assert comments.bodies[250] == f"{FIRST}b"
    assert len(comments.bodies) == 251


def test_somebody_elses_comment_that_begins_alike_is_left_alone(comments: Comments):
    comments.write(f"{FIRST}forged")
    keep("a")
    assert comments.bodies == [f"{FIRST}forged", f"{FIRST}a"]


@pytest.mark.parametrize("status", [401, 403, 404, 422, 500])
def test_a_refusal_is_told_without_the_token(comments: Comments, status):
    comments.status = status
    with pytest.raises(ServiceError) as refusal:
        keep("a")
    assert refusal.value.code == "GITHUB_REFUSED"
    assert str(status) in refusal.value.message
    assert TOKEN not in f"{refusal.value!r} {refusal.value.message} {refusal.value.__context__!r}"


def test_a_github_that_is_not_there_is_told(monkeypatch, comments):
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="ConnectError"):
        keep("a")


def test_outside_of_a_workflow_there_is_nobody_to_tell(monkeypatch, comments):
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(UsageError) as refusal:
        keep("a")
    assert refusal.value.code == "GITHUB_NO_TOKEN"
