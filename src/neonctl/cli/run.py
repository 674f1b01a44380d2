"""Running the application, and turning every way it can end into a message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback

from typer.exceptions import TyperException

from neonctl.cli.app import build
from neonctl.cli.failure import internal_error, interrupted, told
from neonctl.errors import NeonctlError

USAGE = 64
INTERRUPTED = 130


def run(arguments: list[str]) -> int:
    """One command. Wrong usage is 64 (Typer would say 2, which means "changes pending" here)."""
    import typer

    json_wanted = wants_json(arguments)
    _answer_ctrl_c()
    try:
        code = build()(args=arguments, standalone_mode=False, prog_name="neonctl")
    except TyperException as wrong:
        return told(
            NeonctlError("USAGE", wrong.format_message().rstrip("."), hint="neonctl --help lists commands and options"),
            json_wanted=json_wanted,
            exit_code=USAGE,
        )
    except (typer.Abort, KeyboardInterrupt):
        return interrupted(json_wanted=json_wanted)
    except NeonctlError as error:
        if "-v" in arguments or "--verbose" in arguments:
            traceback.print_exception(error)
        return told(error, json_wanted=json_wanted, exit_code=error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        return internal_error(error, json_wanted=json_wanted, verbose="-v" in arguments or "--verbose" in arguments)
    return code if isinstance(code, int) else 0


def _answer_ctrl_c() -> None:
    """Say at once that Ctrl-C was heard: calls under way are let finish. A second one does not wait for them."""

    def heard(number: int, frame: object) -> None:
        del number, frame
        signal.signal(signal.SIGINT, _leave)
        os.write(2, b"\ninterrupting: calls under way are finished first (Ctrl-C again: not even those)\n")
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, heard)


def _leave(number: int, frame: object) -> None:
    del number, frame
    os._exit(INTERRUPTED)


def wants_json(arguments: list[str]) -> bool:
    """Whether ``-o json`` was given: needed before, and even if, the arguments cannot be parsed."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return any(
        (flag in {"-o", "--output"} and value == "json") or flag in {"-ojson", "--output=json"} for flag, value in pairs
    )
