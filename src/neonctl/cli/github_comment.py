"""One comment on a pull request, kept up to date: found by its first line, changed rather than repeated."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from neonctl.errors import ServiceError, UsageError
from neonctl.secret import Secret

if TYPE_CHECKING:
    import httpx

_PAGE = 100  # the most that GitHub gives at once
_MOST_PAGES = 30
_TIMEOUT_S = 20


def keep_comment(number: int, mark: str, markdown: str, *, otherwise: str) -> str:
    """Make the comment, or bring it up to date; empty ``markdown``: say ``otherwise``, where there is one already.

    Returns what was done: ``created``, ``updated`` or ``unchanged``. Raises ``UsageError`` GITHUB_NO_TOKEN outside of a
    workflow, ``ServiceError`` GITHUB_REFUSED.
    """
    import httpx

    repository, token = os.environ.get("GITHUB_REPOSITORY"), _token()
    if token is None or not repository:
        raise UsageError(
            "GITHUB_NO_TOKEN",
            "there is no pull request to comment on: GITHUB_TOKEN or GITHUB_REPOSITORY is not set",
            hint="in a workflow give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`",
        )
    first = f"<!-- neonctl {mark} -->"
    body = f"{first}\n{markdown or otherwise}"
    headers = {
        "Authorization": f"Bearer {token.reveal()}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    address = os.environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    with httpx.Client(base_url=f"{address}/repos/{repository}/issues/", headers=headers, timeout=_TIMEOUT_S) as client:
        found = _ours(client, number, first)
        if found is not None and found["body"].replace("\r\n", "\n").rstrip() == body.rstrip():
            return "unchanged"
        if found is not None:
            _call(client, "PATCH", f"comments/{found['id']}", body)
            return "updated"
        if not markdown:
            return "unchanged"
        _call(client, "POST", f"{number}/comments", body)
        return "created"


def _token() -> Secret | None:
    given = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN")
    return Secret(given) if given else None


def _ours(client: httpx.Client, number: int, first: str) -> dict[str, Any] | None:
    """The comment with our first line, if a workflow wrote it: one that somebody else put there is theirs."""
    for page in range(1, _MOST_PAGES + 1):
        comments: list[dict[str, Any]] = _call(client, "GET", f"{number}/comments?per_page={_PAGE}&page={page}")
        for comment in comments:
            author: dict[str, Any] = comment["user"] or {}
            if str(comment["body"] or "").startswith(first) and author.get("type") == "Bot":
                return comment
        if len(comments) < _PAGE:
            return None
    return None


def _call(client: httpx.Client, method: str, path: str, body: str | None = None) -> Any:
    import httpx

    try:
        answer = client.request(method, path, json=None if body is None else {"body": body})
        if answer.is_success:
            return answer.json()
        said = f"{answer.status_code} {answer.reason_phrase}"
    except (httpx.HTTPError, ValueError) as error:
        said = type(error).__name__
    raise ServiceError(
        "GITHUB_REFUSED",
        f"the comment on the pull request could not be kept: {said}",
        hint="the job needs `permissions: {pull-requests: write}`; the summary of the run has it too",
    )
