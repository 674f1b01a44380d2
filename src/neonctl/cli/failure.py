"""How failures are told: one line of what, where and why; a hint; as JSON where JSON was asked for."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import cast

from neonctl.errors import NeonctlError


def told(error: NeonctlError, *, json_wanted: bool, exit_code: int) -> int:
    """Tell an expected failure and return its exit code."""
    if json_wanted:
        document = {
            "error": {
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "retryable": error.retryable,
                "details": error.details,
            }
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    lines = [f"error: {error.message}", *_problems(error.details), *_notes(error)]
    if error.hint:
        lines += ["", f"hint: {error.hint}"]
    sys.stderr.write("\n".join(lines) + "\n")
    _annotate(error)
    return exit_code


def _problems(details: Mapping[str, object]) -> list[str]:
    """Problems of files, one a line: ``config/environments/dev.yaml:4: compute.min_cu: …``."""
    found = details.get("problems")
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    lines: list[str] = []
    for problem in cast("Sequence[object]", found):
        if isinstance(problem, Mapping):
            facts = cast("Mapping[str, object]", problem)
            where = ":".join(str(facts[key]) for key in ("file", "line") if facts.get(key) is not None)
            path = f"{facts['path']}: " if facts.get("path") else ""
            lines.append(f"  {where}: {path}{facts.get('message', '')}")
        else:
            lines.append(f"  {problem}")
    return lines


def _notes(error: BaseException) -> list[str]:
    return [f"  {note}" for note in getattr(error, "__notes__", ())]


def _annotate(error: NeonctlError) -> None:
    """On GitHub Actions, the failure as an annotation; on stderr, so that stdout stays data."""
    import os

    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    text = error.message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    sys.stderr.write(f"::error title={error.code}::{text}\n")


def interrupted(*, json_wanted: bool) -> int:
    """Ctrl-C: nothing is lost, the next run goes on."""
    return told(
        NeonctlError("INTERRUPTED", "interrupted", hint="finished steps are kept: run the same command again"),
        json_wanted=json_wanted,
        exit_code=130,
    )


def internal_error(error: Exception, *, json_wanted: bool, verbose: bool) -> int:
    """Tell an error that nobody foresaw, without its values: they might hold a secret."""
    if verbose:
        traceback.print_exception(error, limit=-20)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return told(
        NeonctlError(
            "INTERNAL",
            f"unexpected {type(error).__name__} in {where.name} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})",
            hint="this is a defect of neonctl: please report it; -v shows where it came from",
        ),
        json_wanted=json_wanted,
        exit_code=1,
    )
