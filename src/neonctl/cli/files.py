"""Files that a command writes because it was told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neonctl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def write_file(path: Path, text: str) -> None:
    """Write or overwrite it. Raises ``UsageError`` OUTPUT_UNWRITABLE."""
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(
            "OUTPUT_UNWRITABLE", f"{path} cannot be written: {error.strerror}", hint="Give --output-file another place."
        ) from None
