"""Where a migration comes from: who runs it, under which trace id, from which commit of the files."""

from __future__ import annotations

import subprocess
from pathlib import Path

_TIMEOUT_S = 10


def git_commit(folder: Path) -> str | None:
    """The commit that ``folder`` is checked out at, with ``+changes`` when files in it differ; None outside of git.

    Never an error: a machine without git, or a folder copied out of its repository, has no commit to name.
    """
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--", ".")
    return f"{head}+changes" if changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # fixed words, and a folder that the user named
            ["git", "-C", str(folder), *arguments],  # noqa: S607  # whichever git the machine has
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
