"""Reading SQL text without a parser: its statements and its string literals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*|/\*)
    | (?P<escape>\b[eE]'(?:[^'\\]|''|\\.)*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<identifier>"(?:[^"]|"")*")
    | (?P<dollar>\$(?P<tag>[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$)
    | (?P<semicolon>;)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_ATOMIC = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)|''", re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ROLE_WORDS = frozenset({"role", "user", "group"})
_BEFORE_NAME = frozenset({"if", "not", "exists"})
_DEPTH = 3  # literals inside the text of literals: EXECUTE 'ALTER ROLE … PASSWORD ''…''' inside DO $$…$$


@dataclass(frozen=True)
class Token:
    """``kind`` is string, identifier, semicolon or word; ``value`` is unquoted, words in lower case."""

    kind: str
    value: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens that matter here, in order; numbers, operators and comments are passed over."""
    position = 0
    while match := _TOKEN.search(text, position):
        kind, raw, position = match.lastgroup or "", match.group(), match.end()
        start = match.start()
        if kind == "comment":
            if raw == "/*":
                position = _comment_end(text, position)
        elif match.group("dollar"):
            end = text.find(raw, position)
            value = text[position:] if end < 0 else text[position:end]
            position = len(text) if end < 0 else end + len(raw)
            yield Token("string", value, start, position)
        elif kind == "string":
            yield Token("string", raw[1:-1].replace("''", "'"), start, position)
        elif kind == "escape":
            yield Token("string", _ESCAPE.sub(_unescape, raw[2:-1]), start, position)
        elif kind == "identifier":
            yield Token("identifier", raw[1:-1].replace('""', '"'), start, position)
        elif kind == "word":
            yield Token("word", raw.lower(), start, position)
        else:
            yield Token("semicolon", raw, start, position)


def _comment_end(text: str, position: int) -> int:
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(text, position)):
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position if depth == 0 else len(text)


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code is None:
        return "'"
    if code[0] in "uU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return _ESCAPES.get(code, code)


@dataclass(frozen=True)
class Statement:
    """One statement of a text; ``words`` are its first words, in lower case."""

    text: str
    words: tuple[str, ...]


def statements(text: str) -> list[Statement]:
    """Split at the semicolons that end statements. A text with BEGIN ATOMIC bodies stays in one piece."""
    if _ATOMIC.search(text):
        return [Statement(text, ("create",))]
    found: list[Statement] = []
    words: list[str] = []
    start = 0
    for token in tokens(text):
        if token.kind == "semicolon":
            if words:
                found.append(Statement(text[start : token.end], tuple(words)))
            start, words = token.end, []
        elif len(words) < 3:
            words.append(token.value if token.kind == "word" else "")
    if words:
        found.append(Statement(text[start:], tuple(words)))
    return found


@dataclass(frozen=True)
class Literal:
    """A string literal, and the role whose PASSWORD it may be."""

    value: str
    role: str | None


def literals(text: str, depth: int = _DEPTH) -> list[Literal]:
    """Every string literal of a text, those inside literals included."""
    found: list[Literal] = []
    role: str | None = None
    before, name_next = "", False
    for token in tokens(text):
        if token.kind == "string":
            found.append(Literal(token.value, role if before == "password" else None))
            if depth and ("'" in token.value or "$" in token.value):
                found.extend(literals(token.value, depth - 1))
        elif token.kind == "semicolon":
            role, name_next = None, False
        elif token.kind == "identifier" or (name_next and token.value not in _BEFORE_NAME):
            role, name_next = (token.value, False) if name_next else (role, False)
        elif token.value in _ROLE_WORDS and role is None:
            name_next = True
        before = token.value
    return found
