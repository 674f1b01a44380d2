"""Writing to people: stderr, from which nobody may be reading any more."""

from __future__ import annotations

import os
import sys

from neonctl.cli.github_log import inert


def write_message(text: str) -> None:
    """One message on stderr. A reader that went away (``2>&1 | head``) does not stop the work."""
    write_commands(inert(text))


def write_commands(text: str) -> None:
    """The same for text that may hold workflow commands of ours, and nothing of anybody else's."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        leave(2)


def leave(stream: int) -> None:
    """Point a stream whose reader is gone to nowhere, so that nothing later stumbles over it, the exit included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream)
    os.close(nowhere)
