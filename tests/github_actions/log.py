"""What a GitHub runner makes of the lines that a step writes: commands obeyed, secrets masked, the rest shown.

After the runner's own parser: a command begins a line with ``::`` or stands anywhere in one as ``##[``; both streams
are read alike; after ``stop-commands`` nothing is obeyed until its token comes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

COMMANDS = frozenset({"add-mask", "group", "endgroup", "error", "warning", "notice", "debug", "stop-commands", "echo"})
_NEW = re.compile(r"\s*::([^ :]+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)", re.DOTALL)
_OLD = re.compile(r"##\[([^ \]]+)([^\]]*)\](.*)", re.DOTALL)
_LINES = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Command:
    """One command that was obeyed."""

    name: str
    properties: dict[str, str]
    data: str


@dataclass
class Log:
    """The log of one job, as its readers see it."""

    masks: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    _token: str | None = None

    def feed(self, text: str) -> None:
        """Read what a step wrote, in order."""
        for line in _LINES.split(text):
            if not self._obeyed(line):
                self.shown.append(self.masked(line))

    def masked(self, text: str) -> str:
        """The text with everything hidden that is to be hidden by now."""
        for secret in sorted(self.masks, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    @property
    def text(self) -> str:
        """All that is shown."""
        return "\n".join(self.shown)

    def of(self, name: str) -> list[Command]:
        """The commands of one name."""
        return [each for each in self.commands if each.name == name]

    def _obeyed(self, line: str) -> bool:
        command = _parsed(line, self._token)
        if command is None:
            return False
        if self._token is not None:
            if command.name == self._token:
                self._token = None
                return True
            return False
        if command.name == "stop-commands":
            self._token = command.data
            return True
        if command.name == "add-mask":
            assert command.data.strip(), "the runner refuses an empty mask"
            self.masks.append(command.data)
        self.commands.append(command)
        return True


def _parsed(line: str, token: str | None) -> Command | None:
    known = COMMANDS | ({token} if token else set())
    new = _NEW.match(line)
    if new and new[1] in known:
        pairs = [each.split("=", 1) for each in (new[2] or "").split(",") if "=" in each]
        return Command(new[1], {name: _plain(value) for name, value in pairs}, _plain(new[3]))
    old = _OLD.search(line)
    if old and old[1] in known:
        return Command(old[1], {}, old[3])
    return None


def _plain(text: str) -> str:
    for written, meant in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(written, meant)
    return text


def outputs(text: str) -> dict[str, str]:
    """What ``GITHUB_OUTPUT`` (or ``GITHUB_ENV``) says: ``name=value``, and ``name<<END`` for several lines."""
    found: dict[str, str] = {}
    lines = iter(_LINES.split(text))
    for line in lines:
        name, assigns, value = line.partition("=")
        heredoc, several, end = line.partition("<<")
        if several and (not assigns or len(heredoc) < len(name)):
            body: list[str] = []
            for inner in lines:
                if inner == end:
                    break
                body.append(inner)
            else:
                raise AssertionError(f"{heredoc}: the runner finds no end {end}")
            found[heredoc] = "\n".join(body)
        elif line:
            assert assigns, f"the runner refuses the line {line!r}"
            found[name] = value
    return found
