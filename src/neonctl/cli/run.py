"""Running the application, and turning every way it can end into a message and an exit code."""

from __future__ import annotations

import sys

from typer.exceptions import TyperException

from neonctl.cli.app import build
from neonctl.cli.failure import Manner, internal_error, interrupted, show_origin, told
from neonctl.cli.interruption import answering_ctrl_c
from neonctl.cli.messages import leave
from neonctl.errors import NeonctlError, UsageError

INTERRUPTED = 130


def run(arguments: list[str]) -> int:
    """One command. Wrong usage is 64 (Typer would say 2, which means "changes pending" here)."""
    try:
        with answering_ctrl_c():
            code = _run(arguments, Manner.of(arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the result went away: `neonctl plan | head`
        leave(1)
        return 1
    return code


def _run(arguments: list[str], manner: Manner) -> int:
    import typer

    if not all(map(_readable, arguments)):  # Python keeps such bytes as halves of surrogate pairs, which nothing takes
        return told(UsageError("USAGE", "an argument is not UTF-8"), manner)
    try:
        code = build(arguments)(args=arguments, standalone_mode=False, prog_name="neonctl")
    except TyperException as wrong:
        hint = "neonctl --help lists commands and options"
        return told(UsageError("USAGE", wrong.format_message().rstrip("."), hint=hint), manner)
    except (typer.Abort, KeyboardInterrupt):
        return interrupted(manner)
    except BrokenPipeError:
        raise
    except NeonctlError as error:
        if manner.verbose:
            show_origin(error)
        return told(error, manner)
    except Exception as error:
        if manner.verbose:
            show_origin(error)
        return internal_error(error, manner)
    if code == INTERRUPTED:  # Typer catches KeyboardInterrupt and makes it an exit code
        return interrupted(manner)
    return code if isinstance(code, int) else 0


def _readable(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
