"""Types in the heads and declarations of PL/pgSQL, changed into what a parser without a catalogue takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

DOLLAR_QUOTED = re.compile(r"(\$(?:[A-Za-z_\x80-\uffff][\w]*)?\$)(.*?)\1", re.DOTALL)


def without_schemas(statement: str) -> str:
    """The statement with types as the parser can take them, each character where it was.

    Only the head and the DECLARE sections are touched. ``schema.table%ROWTYPE`` becomes ``table``, which may have
    fields; VARIADIC and brackets go, because arrays of types that it does not know are none to it.
    """
    chars = list(statement)
    for begin, text, head in _sections(statement):
        words = words_of(text)
        declaring = head
        for index, (_, word) in enumerate(words):
            if not head and word.lower() in ("declare", "begin"):
                declaring = word.lower() == "declare"
            if not declaring:
                continue
            span = _superfluous(words, index, head=head)
            if span is not None:
                chars[begin + span[0] : begin + span[1]] = " " * (span[1] - span[0])
    return "".join(chars)


def words_of(text: str) -> list[tuple[int, str]]:
    """The words of SQL or PL/pgSQL with their offsets, comments left out."""
    import postgast

    try:
        tokens = postgast.scan(text).tokens
    except postgast.PgQueryError:
        return []
    data = text.encode("utf-8")
    found = [(token.start, data[token.start : token.end].decode("utf-8")) for token in tokens]
    if len(data) != len(text):
        found = [(len(data[:start].decode("utf-8")), word) for start, word in found]
    return [(start, word) for start, word in found if not word.startswith(("--", "/*"))]


def _superfluous(words: Sequence[tuple[int, str]], index: int, *, head: bool) -> tuple[int, int] | None:
    """From where to where the text goes that begins with this word, if it must go."""
    start, word = words[index]
    following = [each.lower() for _, each in words[index + 1 : index + 5]]
    if word.lower() == "variadic" and head:
        return start, start + len(word)
    if following[:2] == ["%", "rowtype"]:
        return words[index + 1][0], words[index + 2][0] + len("rowtype")
    brackets = word == "[" and following[:1] == ["]"]
    qualifier = following[:1] == ["."] and following[2:4] != ["%", "type"] and following[2:3] != ["."]
    return (start, words[index + 1][0] + 1) if brackets or qualifier else None


def _sections(statement: str) -> Iterator[tuple[int, str, bool]]:
    """Offset and text of the head, the dollar-quoted body, and what follows it; whether it is a head."""
    quoted = DOLLAR_QUOTED.search(statement)
    if quoted is None:
        yield 0, statement, True
        return
    yield 0, statement[: quoted.start()], True
    yield quoted.start(2), quoted[2], False
    yield quoted.end(), statement[quoted.end() :], True
