"""What a verification found, for people, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neonctl.banking.verification import Progress, Scope, Verification
    from neonctl.cli.session import Session

_PLAIN_EVERY_S = 10  # between two lines, where there is no terminal: what takes no time needs none


def verification_text(found: Verification, scope: Scope) -> str:
    """Faults first, then how much was looked at, and what it means."""
    from neonctl.banking.moments import show_moment

    said = [f"{fault.kind:<9}  {fault.table:<32}  {fault.row}\n           {fault.message}" for fault in found.faults]
    if found.more:
        said.append("           … and others")
    if said:
        said.append("")
    looked = [f"{found.accounts:,} accounts", f"{found.log_rows:,} rows of the log", f"{found.hold_rows:,} of holds"]
    if scope.account is None:
        looked += [f"{found.transactions:,} transactions", f"{found.snapshots:,} snapshots"]
    if found.seals:
        looked.append(f"{found.seals:,} seals")
    said.append(f"as of {show_moment(found.as_of)}: {', '.join(looked)}")
    if found.faults:
        said.append(f"NOT INTACT: {len(found.faults)}{' and more' if found.more else ''} faults")
    elif scope.anchor is not None:
        said.append(f"intact, and what the anchor sealed (seal {scope.anchor.seal_no}) is what it was")
    else:
        said.append("intact")
    return "\n".join(said)


@contextmanager
def progress_of(session: Session) -> Generator[Callable[[Progress], object] | None]:
    """Shows how far a verification is: one moving line on a terminal, a plain one now and then elsewhere."""
    options = session.options
    if options.quiet:
        yield None
    elif sys.stderr.isatty() and options.log_format == "text":
        with session.messages.status("verifying …") as status:
            yield lambda at: status.update(f"verifying … {at.done} of {at.parts} parts, {at.rows:,} rows")
    else:
        told = [time.monotonic()]

        def tell(at: Progress) -> None:
            now = time.monotonic()
            if now - told[0] >= _PLAIN_EVERY_S:
                told[0] = now
                session.say(f"verifying: {at.done} of {at.parts} parts, {at.rows:,} rows")

        yield tell
