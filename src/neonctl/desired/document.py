"""YAML text → plain data that remembers its lines. No value of the text ever stands in a problem's message.

Stricter than YAML 1.1 where that surprises: duplicate keys, ``yes``/``on`` as truth values, octal and
sexagesimal numbers, tags and merge keys are refused, so that the file means what an editor (YAML 1.2) shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import yaml

from neonctl.desired.problem import NodePath, Problem, dotted, shown
from neonctl.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it
MAX_DEPTH = 32  # libyaml's composer recurses in C: deeper input could exhaust the stack
MAX_NODES = 50_000  # aliases multiply: a small file can stand for a huge one
_TAG = "tag:yaml.org,2002:"
_NEWLINE = re.compile(r"\r\n|\r|\n")
_SEPARATOR = re.compile("[\x85\u2028\u2029]")  # new lines to YAML 1.1, not to editors: line numbers would differ
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}")


@frozen
class Document:
    """One file: its data (mappings as dict, lists as list), each node's line, and what is wrong so far."""

    file: str
    data: object
    lines: Mapping[NodePath, int]
    problems: tuple[Problem, ...] = ()
    broken: frozenset[NodePath] = frozenset()

    def line(self, path: NodePath) -> int:
        """Line of the node at ``path``, or of the nearest node above it that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: NodePath, message: str) -> Problem:
        """A problem at ``path``."""
        return Problem(self.file, self.line(path), dotted(path), message)


def read(text: str | bytes, file: str) -> Document:
    """Parse one file's text; ``file`` is the name that problems carry. Never raises on bad input."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = text[: error.start].count(b"\n") + 1
            return _unreadable(file, line, "the file is not UTF-8 text")
    last_line = _count_lines(text)
    if found := _SEPARATOR.search(text):
        return _unreadable(file, _count_lines(text[: found.start()] + "."), "holds an invisible line separator")
    try:
        too_deep = _too_deep(text)
        if too_deep is not None:
            return _unreadable(file, min(too_deep, last_line), f"nested more than {MAX_DEPTH} levels deep")
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        return _unreadable(file, min(_error_line(error, text), last_line), _syntax_message(error))
    if node is None:
        return _unreadable(file, 1, "the file is empty")
    reader = _Reader(file, last_line)
    data = reader.value(node, ())
    return Document(file, data, reader.lines, tuple(reader.problems), frozenset(reader.broken))


def _unreadable(file: str, line: int, message: str) -> Document:
    return Document(file, None, {(): line}, (Problem(file, line, "", message),), frozenset({()}))


def _too_deep(text: str) -> int | None:
    """Line where the nesting passes ``MAX_DEPTH``, found on the flat event stream."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return _line(event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _line(mark: Any) -> int:
    return cast(int, mark.line) + 1


def _error_line(error: yaml.YAMLError, text: str) -> int:
    marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
    if _is_open_quote(error):
        marks.reverse()  # where the quote opens, not where the file ends
    mark = marks[0] or marks[1]
    if mark is not None:
        return _line(mark)
    position = cast("int | None", getattr(error, "position", None))  # ReaderError counts from the start
    return _count_lines(text[:position]) if position else 1


def _count_lines(text: str) -> int:
    return max(1, len(_NEWLINE.sub("\n", text).removesuffix("\n").split("\n")))


def _is_open_quote(error: yaml.YAMLError) -> bool:
    return "unexpected end of stream" in str(getattr(error, "problem", None))


def _syntax_message(error: yaml.YAMLError) -> str:
    """PyYAML's own words, without what they quote from the file."""
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "not readable"
    words = re.sub(r"\s*(?:'[^']*'|\"[^\"]*\")", "", str(reason))
    if _is_open_quote(error):
        words = "a quote is opened here and never closed"
    elif words == "second occurrence":
        words = "the same anchor is defined twice"
    elif "another document" in words:
        words = "more than one document in the file (a second `---`)"
    elif "cannot start any token" in words:
        words = "a value starts with a character that needs quotes, or a line is indented with a tab"
    return f"not valid YAML: {words}"


@dataclass
class _Reader:
    """Walks the nodes once; collects lines and problems instead of stopping at the first."""

    file: str
    last_line: int
    lines: dict[NodePath, int] = field(default_factory=dict[NodePath, int])
    problems: list[Problem] = field(default_factory=list[Problem])
    broken: set[NodePath] = field(default_factory=set[NodePath])
    nodes: int = 0
    open_nodes: set[int] = field(default_factory=set[int])

    def value(self, node: yaml.Node, path: NodePath, key_line: int | None = None) -> object:
        line = min(_line(node.start_mark), self.last_line)
        scalar = isinstance(node, yaml.ScalarNode)
        # A block mapping starts on the line after its key: the key is what a reader looks for.
        self.lines[path] = line if scalar or key_line is None else key_line
        self.nodes += 1
        if self.nodes > MAX_NODES:
            if self.nodes == MAX_NODES + 1:
                self.refuse((), "the file is too large, or its aliases multiply")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open_nodes:
            return self.refuse(path, "an alias that contains itself")
        if not str(node.tag).startswith(_TAG):
            return self.refuse(path, "tags (`!name`) are not supported here")
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            children = cast("list[yaml.Node]", node.value)
            return [self.value(child, (*path, index)) for index, child in enumerate(children)]
        finally:
            self.open_nodes.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: NodePath) -> dict[str, object]:
        result: dict[str, object] = {}
        first_lines: dict[str, int] = {}
        for key_node, value_node in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            line = min(_line(key_node.start_mark), self.last_line)
            key = self.key(key_node, path, line)
            if key is None:
                continue
            if key in result:
                message = f"`{shown(key)}` stands here twice, first on line {first_lines[key]}"
                self.problems.append(Problem(self.file, line, dotted((*path, key)), message))
                self.broken.add((*path, key))
                continue
            first_lines[key] = line
            result[key] = self.value(value_node, (*path, key), line)
        return result

    def key(self, node: yaml.Node, path: NodePath, line: int) -> str | None:
        message = None
        if not isinstance(node, yaml.ScalarNode):
            message = "a key must be plain text"
        elif node.tag == _TAG + "merge":
            message = "merge keys (`<<`) are not supported: write the keys out"
        elif node.tag != _TAG + "str":
            message = "a key must be text: put it in quotes"
        if message is None:
            return cast(str, node.value)
        self.problems.append(Problem(self.file, line, dotted(path), message))
        return None

    def scalar(self, node: yaml.ScalarNode, path: NodePath) -> object:
        kind, text = str(node.tag).removeprefix(_TAG), cast(str, node.value)
        match kind:
            case "str" | "timestamp" | "value":
                if any("\ud800" <= letter <= "\udfff" for letter in text):
                    return self.refuse(path, "half of a surrogate pair is not text")
                return text
            case "null":
                return None
            case "bool":
                if text.lower() in {"true", "false"}:
                    return text.lower() == "true"
                return self.refuse(path, "write true or false, or put the text in quotes")
            case "int":
                if _INT.fullmatch(text):
                    return int(text)
                return self.refuse(path, "write a plain decimal number, or put the text in quotes")
            case "float":
                if _FLOAT.fullmatch(text):
                    return float(text)
                return self.refuse(path, "write a plain decimal number, or put the text in quotes")
            case _:
                return self.refuse(path, "tags (`!name`) are not supported here")

    def refuse(self, path: NodePath, message: str) -> None:
        self.problems.append(Problem(self.file, self.lines.get(path, 1), dotted(path), message))
        self.broken.add(path)
