"""obr drill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import Desk, Environment
from neonctl.cli.given_files import PassphraseFile
from neonctl.cli.obr_drill_text import drill_text
from neonctl.cli.options import command
from neonctl.cli.status_key import StatusKey, signer_of

if TYPE_CHECKING:
    from neonctl.banking.drills.report import Drill, Parameters
    from neonctl.banking.signing.keys import Signer
    from neonctl.cli.session import Session

FAILED = 1


def register(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "drill")(obr_drill)


def obr_drill(
    session: Session,
    env: Environment,
    haircut: Annotated[str, typer.Option("--haircut", help="Share that is frozen, 0.2500")],
    de_minimis: Annotated[
        str, typer.Option("--de-minimis", help="Amount of each depositor's part left untouched")
    ] = "0.00",
    equal_shares: Annotated[
        bool, typer.Option("--equal-shares", help="Joint holders count in equal parts, not by their shares")
    ] = False,
    release: Annotated[
        str | None, typer.Option("--release", metavar="PERCENT", help="Also release so much of what was frozen")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report and its page")] = Path("obr-drills"),
    lifetime: Annotated[
        str, typer.Option("--lifetime", help="When Neon deletes the copy if this program cannot: 30m, 2h, 1d")
    ] = "2h",
    key: StatusKey = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Carry a resolution out on an instant copy, prove every part of it, unwind, delete the copy. A signed report."""
    from neonctl.banking.drills.record import record_drill
    from neonctl.banking.moments import parse_duration
    from neonctl.cli.progress import ProgressLines
    from neonctl.errors import UsageError
    from neonctl.pipelines.drill import LONGEST, Order, drill_environment

    parameters = _parameters(haircut, de_minimis, release, equal_shares=equal_shares)
    lasting = parse_duration(lifetime)
    if lasting > LONGEST:
        raise UsageError("DURATION_INVALID", f"{lifetime}: no branch may expire later than in {LONGEST.days} days")
    desk = Desk(session, env, "obr drill")
    signer = signer_of(desk, key, passphrase_file)
    _usable(out)
    desk.audit.open()
    session.say(f"Drilling a resolution on a throw-away copy of {env}")
    order = Order(env, parameters, desk.audit.actor(env), session.trace_id, lasting)
    with ProgressLines(session) as progress:
        drill = drill_environment(
            order, desired=desk.desired, services=desk.services, progress=progress, audit=desk.audit
        )
    report, page = _write(drill, signer, out)
    session.say(f"Report written: {report}")
    key_id = signer.public.key_id
    details = {"drill_id": str(drill.drill_id), "haircut": f"{parameters.haircut:.4f}", "report": report.name}
    with desk.changing("obr.drill", f"{env}/bank_core", details, role="resolution_officer") as change:
        change.commit(
            lambda: record_drill(change.conn, drill, report=report.read_bytes(), key_id=key_id),
            lambda recorded: {"drill_outcome": "passed" if drill.passed else "failed", "recorded_at": recorded},
        )
    desk.log("obr_drilled", drill_id=drill.drill_id, passed=drill.passed, branch=drill.target.branch)
    files = {"report_file": str(report), "page_file": str(page), "key_id": key_id}
    session.emit({"passed": drill.passed, **files, "report": drill.document()}, drill_text(drill, report, page, key_id))
    return 0 if drill.passed else FAILED


def _parameters(haircut: str, de_minimis: str, release: str | None, *, equal_shares: bool) -> Parameters:
    from neonctl.banking.drills.conduct import AUTHORITY
    from neonctl.banking.drills.report import Parameters
    from neonctl.banking.money import parse_amount
    from neonctl.banking.signing.claims import parse_haircut, parse_percent

    return Parameters(
        haircut=parse_haircut(haircut),
        de_minimis=parse_amount(de_minimis, zero=True),
        release_percent=None if release is None else parse_percent(release),
        shares="equal" if equal_shares else "recorded",
        authority=AUTHORITY,
    )


def _usable(out: Path) -> None:
    """Make the folder. Raises ``UsageError`` OUTPUT_UNWRITABLE."""
    import os

    from neonctl.errors import UsageError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("OUTPUT_UNWRITABLE", f"{out} cannot be made: {error.strerror}") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise UsageError("OUTPUT_UNWRITABLE", f"{out} cannot be written to")


def _write(drill: Drill, signer: Signer, out: Path) -> tuple[Path, Path]:
    """The signed report and its page. Raises ``UsageError`` FILE_EXISTS, OUTPUT_UNWRITABLE."""
    from neonctl.banking.drills.page import page, report_name
    from neonctl.banking.key_files import write_new
    from neonctl.banking.signing.attested import attest, attested_text, sha256_of

    document = drill.document()
    signed = attested_text(attest(document, signer)).encode()
    html = page(document, sha256=sha256_of(signed), key_id=signer.public.key_id)
    report, beside = (out / f"{report_name(document)}{suffix}" for suffix in (".json", ".html"))
    write_new(report, signed)
    write_new(beside, html.encode())
    return report, beside
