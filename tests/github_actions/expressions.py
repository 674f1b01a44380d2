"""GitHub's expressions, as far as the workflows use them; what is not known here is an error, never a guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)|"
    r"(?P<sign>==|!=|&&|\|\||<=|>=|[!<>().,\[\]*]))"
)
_IN_TEXT = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_STATUS = re.compile(r"\b(success|failure|cancelled|always)\s*\(")


class UnknownError(Exception):
    """An expression that names nothing, or that this evaluator does not know."""


class Strict(dict[str, Any]):
    """A context in which every name must be there: a misspelled one is an error here, and empty at GitHub."""

    def __missing__(self, key: str) -> Any:
        raise UnknownError(f"there is no `{key}` (there are: {', '.join(self) or 'none'})")


@dataclass(frozen=True)
class Status:
    """How it stands with what ran before."""

    failed: bool = False
    cancelled: bool = False


def evaluate(text: str, contexts: Mapping[str, Any], status: Status | None = None) -> Any:
    """The value of one expression, without its ``${{ }}``."""
    parser = _Parser(_tokens(text), contexts, status)
    value = parser.either()
    if parser.left:
        raise UnknownError(f"{text}: what is {parser.left[0][1]!r}?")
    return value


def filled(text: str, contexts: Mapping[str, Any]) -> str:
    """A text with its expressions replaced by their values."""
    return _IN_TEXT.sub(lambda found: as_text(evaluate(found[1], contexts)), text)


def holds(condition: object, contexts: Mapping[str, Any], status: Status) -> bool:
    """An ``if:``. Without a function about the status it holds only while nothing has failed."""
    text = str(condition if condition is not None else "success()").strip()
    whole = re.fullmatch(r"\$\{\{(.*)\}\}", text, re.DOTALL)
    text = whole[1] if whole else text
    if not _STATUS.search(text) and (status.failed or status.cancelled):
        return False
    return truth(evaluate(text, contexts, status))


def as_text(value: Any) -> str:
    """A value as GitHub writes it into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise UnknownError("an object has no text")


def truth(value: Any) -> bool:
    """What counts as true."""
    return value not in (None, "", 0, False)


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None or match.end() == place:
            raise UnknownError(f"{text}: cannot be read at {text[place:]!r}")
        found.append((str(match.lastgroup), match[0].strip()))
        place = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], contexts: Mapping[str, Any], status: Status | None) -> None:
        self.left = tokens
        self._contexts = contexts
        self._status = status

    def _take(self, *signs: str) -> str | None:
        if self.left and self.left[0][1] in signs and self.left[0][0] in {"sign", "name"}:
            return self.left.pop(0)[1]
        return None

    def _must(self, sign: str) -> None:
        if not self._take(sign):
            raise UnknownError(f"`{sign}` is missing")

    def either(self) -> Any:
        value = self._both()
        while self._take("||"):
            other = self._both()
            value = value if truth(value) else other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._take("&&"):
            other = self._compared()
            value = other if truth(value) else value
        return value

    def _compared(self) -> Any:
        value = self._negated()
        sign = self._take("==", "!=")
        if sign is None:
            return value
        same = _equal(value, self._negated())
        return same if sign == "==" else not same

    def _negated(self) -> Any:
        if self._take("!"):
            return not truth(self._negated())
        return self._atom()

    def _atom(self) -> Any:
        if self._take("("):
            value = self.either()
            self._must(")")
            return value
        if not self.left:
            raise UnknownError("it ends too early")
        kind, text = self.left.pop(0)
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind != "name":
            raise UnknownError(f"what is {text!r}?")
        if text in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[text]
        return self._call(text) if self._take("(") else self._path(text)

    def _path(self, root: str) -> Any:
        if root not in self._contexts:
            raise UnknownError(f"there is no context `{root}`")
        value: Any = self._contexts[root]
        while self._take("."):
            kind, name = self.left.pop(0)
            if kind != "name":
                raise UnknownError(f"{root}: what is .{name}?")
            if value is None:
                continue
            if not isinstance(value, Mapping):
                raise UnknownError(f"{root}: .{name} of a text")
            value = value[name] if isinstance(value, Strict) or name in value else None
        return value

    def _call(self, name: str) -> Any:
        arguments: list[Any] = []
        while not self._take(")"):
            arguments.append(self.either())
            self._take(",")
        if name in {"success", "failure", "cancelled", "always"}:
            if self._status is None:
                raise UnknownError(f"{name}() stands where nothing has a status")
            stopped = self._status.failed or self._status.cancelled
            return {
                "success": not stopped,
                "failure": self._status.failed and not self._status.cancelled,
                "cancelled": self._status.cancelled,
                "always": True,
            }[name]
        if name not in _FUNCTIONS:
            raise UnknownError(f"there is no function {name}()")
        return _FUNCTIONS[name](*arguments)


def _equal(one: Any, other: Any) -> bool:
    """GitHub compares texts whatever their case, and different kinds as numbers."""
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    if type(one) is type(other):
        return one == other
    return _number(one) == _number(other)


def _number(value: Any) -> float:
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _format(text: str, *values: Any) -> str:
    return re.sub(r"\{(\d+)\}", lambda found: as_text(values[int(found[1])]), text)


def _contains(whole: str | Sequence[Any], part: Any) -> bool:
    return part.lower() in whole.lower() if isinstance(whole, str) else part in whole


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "format": _format,
    "contains": _contains,
    "startsWith": lambda text, start: text.lower().startswith(start.lower()),
}
