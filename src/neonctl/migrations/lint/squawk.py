"""squawk, the linter of others: what would lock, break or wait in production. Its findings become ours."""

from __future__ import annotations

import glob
import json
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from neonctl.errors import NeonctlError
from neonctl.migrations.lint.finding import Finding, Severity
from neonctl.migrations.lint.fragment import Script

CONFIG = ".squawk.toml"
_OWN_CONFIG = Path(__file__).with_name("squawk.toml")
_FOUND = (0, 1)  # its exit codes: clean, findings
_TIMEOUT_S = 120
_SYNTAX = "syntax-error"
_DROPS = "ban-drop-"  # what an undo is for
_SAID = (  # the runner sets both timeouts; our own rules find the others, in bodies as well
    "require-lock-timeout",
    "require-statement-timeout",
    "transaction-nesting",
    "ban-uncommitted-transaction",
    "ban-concurrent-index-creation-in-transaction",
)
_LEVELS: dict[str, Severity] = {"Error": "error", "Warning": "warning"}


def squawk_findings(
    scripts: Sequence[Script], *, config: Path | None, in_transaction: bool, readable: Collection[str]
) -> tuple[Finding, ...]:
    """What squawk says about these files; ``config`` None: our own defaults.

    ``readable`` are those that Postgres' parser reads: what squawk cannot read there is squawk's own limit, a note;
    in others, it has been said already. Undo files may drop things. Raises ``NeonctlError`` when squawk is missing or
    does not work.
    """
    if not scripts:
        return ()
    given = ["--assume-in-transaction" if in_transaction else "--no-assume-in-transaction"]
    given += ["--reporter", "json", "--no-error-on-unmatched-pattern", "--config", str(config or _OWN_CONFIG)]
    lines = {str(script.path): script.sql.split("\n") for script in scripts}
    found = _run([*given, *(glob.escape(str(script.path)) for script in scripts)])
    return tuple(_findings(found, lines, readable))


def find_config(folder: Path) -> Path | None:
    """The project's ``.squawk.toml``: in ``folder`` or above it."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if (place / CONFIG).is_file():
            return place / CONFIG
    return None


def _program() -> str:
    """squawk, from the same environment as this program, or else from PATH."""
    beside = Path(sys.executable).with_name("squawk")
    found = str(beside) if beside.is_file() else shutil.which("squawk")
    if found is None:
        raise NeonctlError(
            "SQUAWK_MISSING",
            "the SQL linter squawk is not installed",
            hint="It comes with neonctl: install neonctl again, or run `pip install squawk-cli` beside it.",
        )
    return found


def _run(arguments: Sequence[str]) -> list[dict[str, Any]]:
    try:
        done = subprocess.run(  # noqa: S603  # our own program, no shell
            [_program(), *arguments],
            env={},  # ours may hold keys, and it needs nothing of it
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _broken(str(error)) from None
    if done.returncode not in _FOUND:
        raise _broken(done.stderr.strip().partition("\n")[0] or f"exit code {done.returncode}")
    if not done.stdout.strip() and done.returncode == 0:
        return []
    try:
        return cast("list[dict[str, Any]]", json.loads(done.stdout))
    except json.JSONDecodeError:
        raise _broken(done.stderr.strip().partition("\n")[0] or "its answer is not JSON") from None


def _findings(
    found: Sequence[dict[str, Any]], lines: Mapping[str, Sequence[str]], readable: Collection[str]
) -> Iterator[Finding]:
    said: set[str] = set()
    for each in found:
        file, rule = str(each["file"]), str(each["rule_name"])
        undo = Path(file).name.startswith("U")
        if rule in _SAID or (undo and rule.startswith(_DROPS)):
            continue
        line, column = _place(each, lines[file])
        if rule == _SYNTAX:
            if file in readable and file not in said:
                said.add(file)
                message = f"squawk cannot read this, PostgreSQL can: {each['message']}"
                yield Finding(file, line, column, f"squawk/{rule}", "note", message, None)
            continue
        severity = _LEVELS.get(str(each["level"]), "warning")
        yield Finding(file, line, column, f"squawk/{rule}", severity, _one_line(each["message"]), _help(each))


def _place(found: dict[str, Any], lines: Sequence[str]) -> tuple[int, int]:
    """Line and column as people count: squawk's begin with 0, and its columns are bytes."""
    line, byte = int(found["line"]), int(found["column"])
    text = (lines[line] if line < len(lines) else "").encode("utf-8")
    return line + 1, len(text[:byte].decode("utf-8", "ignore")) + 1


def _help(found: dict[str, Any]) -> str:
    told = f"{_one_line(found['help']).rstrip('.')}. " if found.get("help") else ""
    return f"{told}If it is meant: `-- squawk-ignore {found['rule_name']}` above the statement."


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _broken(why: str) -> NeonctlError:
    return NeonctlError(
        "SQUAWK_FAILED",
        f"the SQL linter squawk did not work: {why}",
        hint="Look at .squawk.toml: it must be what this version of squawk understands.",
    )
