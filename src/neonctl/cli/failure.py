"""How failures are told: one line of what, where and why; a hint; as JSON where JSON was asked for."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from neonctl.cli.github import annotate
from neonctl.cli.github_log import inert_json
from neonctl.cli.messages import write_message
from neonctl.errors import NeonctlError
from neonctl.frozen import frozen

SCHEMA_VERSION = 1
_FRAMES = 20


@frozen
class Manner:
    """How to tell: known before, and even if, the arguments cannot be parsed."""

    json: bool = False
    log_json: bool = False
    verbose: bool = False

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Manner:
        """What these arguments ask for."""
        pairs = list(zip(arguments, [*arguments[1:], ""], strict=False))
        return cls(
            json=any(
                (flag in {"-o", "--output"} and value == "json") or flag in {"-ojson", "--output=json"}
                for flag, value in pairs
            ),
            log_json=any(
                (flag == "--log-format" and value == "json") or flag == "--log-format=json" for flag, value in pairs
            ),
            verbose=any(flag in {"-v", "--verbose"} for flag in arguments),
        )


def told(error: NeonctlError, manner: Manner, *, exit_code: int | None = None) -> int:
    """Tell a failure on stderr, and as a document on stdout where JSON is the format. Returns the exit code."""
    facts: dict[str, object] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "details": error.details,
    }
    if manner.json:
        document = {"schema_version": SCHEMA_VERSION, "error": facts}
        sys.stdout.write(inert_json(json.dumps(document, ensure_ascii=False, default=str)) + "\n")
    if manner.log_json:
        write_message(inert_json(json.dumps({"level": "error", **facts}, ensure_ascii=False, default=str)))
    else:
        lines = [f"error: {error.message}", *_problem_lines(error.details), *_notes(error)]
        lines += ["", f"hint: {error.hint}"] if error.hint else []
        write_message("\n".join(lines))
    annotate(error)
    return error.exit_code if exit_code is None else exit_code


def _problem_lines(details: Mapping[str, object]) -> Iterator[str]:
    """Problems of files, one a line: ``config/environments/dev.yaml:4: compute.min_cu: …``."""
    found = details.get("problems")
    if not isinstance(found, Sequence) or isinstance(found, str):
        return
    for problem in cast("Sequence[object]", found):
        if isinstance(problem, Mapping):
            facts = cast("Mapping[str, object]", problem)
            where = ":".join(str(facts[key]) for key in ("file", "line") if facts.get(key) is not None)
            path = f"{facts['path']}: " if facts.get("path") else ""
            message = str(facts.get("message", "")).replace("\n", "\n    ")
            yield f"  {where}: {path}{message}"
        else:
            yield f"  {problem}"


def _notes(error: BaseException) -> list[str]:
    return [f"  {note}" for note in getattr(error, "__notes__", ())]


def interrupted(manner: Manner) -> int:
    """Ctrl-C: nothing is lost, the next run goes on."""
    return told(
        NeonctlError("INTERRUPTED", "interrupted", hint="finished steps are kept: run the same command again"),
        manner,
        exit_code=130,
    )


def internal_error(error: Exception, manner: Manner) -> int:
    """Tell an error that nobody foresaw, without its text: that may quote a value, and a value may be a secret."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return told(
        NeonctlError(
            "INTERNAL",
            f"unexpected {type(error).__name__} in {where.name} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})",
            hint="this is a defect of neonctl: please report it; -v shows where it came from",
        ),
        manner,
    )


def show_origin(error: BaseException) -> None:
    """Where an error came from, and what caused it: files, lines and kinds of error, never their texts."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        frames = traceback.StackSummary.from_list(traceback.extract_tb(cause.__traceback__)[-_FRAMES:])
        write_message("".join([*frames.format(), type(cause).__name__]))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        if cause is not None:
            write_message("which came from:")
