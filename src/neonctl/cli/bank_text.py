"""What a verification found, for people, and how far it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neonctl.banking.verification import Progress, Scope, Verification
    from neonctl.cli.session import Session

_PLAIN_STEPS = 10  # lines at most, where there is no terminal


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
    """Shows how far a verification is: one moving line on a terminal, some plain ones elsewhere."""
    options = session.options
    if options.quiet:
        yield None
    elif sys.stderr.isatty() and options.log_format == "text":
        with session.messages.status("verifying …") as status:
            yield lambda at: status.update(f"verifying … {at.done} of {at.parts} parts, {at.rows:,} rows")
    else:
        told = [0]

        def tell(at: Progress) -> None:
            step = at.done * _PLAIN_STEPS // at.parts
            if at.parts >= _PLAIN_STEPS and step > told[0]:
                told[0] = step
                session.say(f"verifying: {at.done} of {at.parts} parts, {at.rows:,} rows")

        yield tell
