"""What neonctl writes into the log of a GitHub step: masks, groups, and text that must stay text.

The runner reads commands out of both streams (cli-conventions 9): a line that begins with ``::``, and ``##[`` anywhere
in a line. Ours go to stderr, so that stdout stays data. Silent anywhere else.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from neonctl.secret import Secret

_LOOKS_LIKE_A_COMMAND = re.compile(r"(?:^|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029])\s*::|##\[")
_LONG = 25  # lines that are worth folding away


def active() -> bool:
    """Whether this is a step of a workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


class Masks:
    """Has the runner hide each secret that it is told of, once. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: set[Secret] = set()

    def __call__(self, *found: Secret) -> None:
        """Before anything prints or uses these values."""
        if not active():
            return
        new = [secret for secret in dict.fromkeys(found) if secret not in self._known]
        self._known.update(new)
        mask(new)


def mask(secrets: Iterable[Secret]) -> None:
    """Have the runner hide these values in every form that they are written in, before anything prints them.

    Nothing is written where no runner can be reading: a log file must not be the one place that has the passwords.
    """
    if not active() or _stderr_is_a_file():
        return
    lines = [f"::add-mask::{data(form)}\n" for secret in secrets for form in _forms(secret)]
    if lines:
        sys.stderr.write("".join(lines))
        sys.stderr.flush()


def _forms(secret: Secret) -> Iterator[str]:
    """As it is, URL-encoded in the usual ways, and escaped as inside JSON; a text of several lines also line by line.

    The runner refuses empty masks.
    """
    value = secret.reveal()
    whole = [value, quote(value, safe=""), quote(value), quote_plus(value)]
    whole += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], *value.splitlines()]
    return (form for form in dict.fromkeys(whole) if form.strip())


def _stderr_is_a_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (OSError, ValueError):  # closed, or none of the system's own
        return False


def inert(text: str) -> str:
    """The text, so that the runner takes no line of it for a command: names and comments are other people's."""
    if not active() or not _LOOKS_LIKE_A_COMMAND.search(text):
        return text
    token = os.urandom(16).hex()  # nobody can know it, so nobody can end it
    return f"::stop-commands::{token}\n{text}\n::{token}::"


def inert_json(text: str) -> str:
    """The same for JSON, which stays the same document: no line of it begins with a colon."""
    return text.replace("##[", "\\u0023#[") if active() else text


def folded(title: str, text: str) -> str:
    """Long text as a group that the log shows closed."""
    if not active() or text.count("\n") < _LONG:
        return inert(text)
    return f"::group::{data(title)}\n{inert(text)}\n::endgroup::"


def data(text: str) -> str:
    """Escaped as the data of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def parameter(text: str) -> str:
    """Escaped as the value of one of a command's properties."""
    return data(text).replace(":", "%3A").replace(",", "%2C")
