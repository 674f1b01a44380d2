"""Plain aligned columns: readable in a terminal, a log and a diff; never truncated."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header, columns padded to their widest cell."""
    whole = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in whole) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in whole
    )
