"""Markdown that says what it was told to say, whatever the names and definitions in it hold.

Other people's text stands in code only: nothing in it is markup, makes a link or notifies anybody there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


def code(text: str) -> str:
    """Text as inline code, one line."""
    flat = " ".join(visible(text).split())
    fence = "`" * (_longest_run(flat) + 1)
    blank = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{blank}{flat}{blank}{fence}" if flat else ""


def block(lines: Iterable[str], language: str = "text") -> str:
    """Lines as a block of code, whose fence is longer than any in them."""
    body = "\n".join(visible(line) for line in lines)
    fence = "`" * max(3, _longest_run(body) + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def visible(text: str) -> str:
    """Characters that a reader cannot see, such as those that turn the direction of text, as their numbers."""
    return "".join(_seen(each) for each in text)


def _seen(character: str) -> str:
    if character == "\t" or unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp", "Co", "Cs"}:
        return character
    return f"\\u{{{ord(character):x}}}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
