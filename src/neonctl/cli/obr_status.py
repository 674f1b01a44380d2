"""obr status | verify-status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import Desk, Environment, lines
from neonctl.cli.given_files import PassphraseFile, bytes_of, text_of
from neonctl.cli.obr_drill_text import drill_facts
from neonctl.cli.options import command
from neonctl.cli.status_key import StatusKey, signer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neonctl.banking.signing.attested import Attested
    from neonctl.banking.signing.keys import Signer
    from neonctl.cli.session import Session


def register(group: typer.Typer) -> None:
    """Add the commands."""
    command(group, "status")(obr_status)
    command(group, "verify-status")(obr_verify_status)


def obr_status(
    session: Session,
    env: Environment,
    signed: Annotated[
        bool, typer.Option("--signed", help="As a signed document, for whoever has the public key")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="File for the signed document [default: stdout]")] = None,
    key: StatusKey = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Show where the bank stands: state, haircut, sums, last event, last seal. --signed for the regulator."""
    from neonctl.banking.resolution_record import read_status, readiness_gaps, status_document
    from neonctl.errors import UsageError

    if not signed and (out is not None or key is not None):
        raise UsageError("USAGE", "--out and --key go with --signed")
    desk = Desk(session, env, "obr status")
    signer = signer_of(desk, key, passphrase_file) if signed else None
    with desk.reading() as conn:
        status = read_status(conn)
    found = status_document(status, project=desk.desired.platform.project.name, environment=env)
    for gap in readiness_gaps(status):
        session.say(f"warning: {gap}")
    desk.log("obr_status_served", resolution_state=found["resolution_state"], signed=signed)
    if signer is not None:
        return _signed(desk, found, signer, out)
    session.emit(found, lines(flat(found)))
    return 0


def _signed(desk: Desk, found: Mapping[str, object], signer: Signer, out: Path | None) -> int:
    """The signed document on stdout as it is, whichever format was asked for: it is a file of its own."""
    import sys

    from neonctl.banking.key_files import write_new
    from neonctl.banking.signing.attested import attest, attested_text

    key_id = signer.public.key_id
    text = attested_text(attest(found, signer))
    desk.audit.record("obr.status", f"{desk.environment}/bank_core", desk.environment, "done", {"key_id": key_id})
    if out is None:
        sys.stdout.write(text)
        return 0
    write_new(out, text.encode())
    result = {"file": str(out), "key_id": key_id, "resolution_state": found["resolution_state"]}
    desk.session.emit(result, lines(result))
    return 0


def obr_verify_status(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A signed status, the manifest of an export, or a drill's report")],
    key: Annotated[Path, typer.Option("--key", help="The public key it must be signed with")],
) -> int:
    """Check a signed document with the public key alone: no database, no network. Exit 1 when it does not hold."""
    from neonctl.banking.key_files import read_public_key
    from neonctl.banking.signing.attested import check_attested, check_content

    found = check_attested(text_of(file), read_public_key(key), name=str(file))
    exported = None
    if found.kind == "obr-export":
        exported = file.parent / Path(str(found.document.get("file"))).name  # beside it, whatever it says
        check_content(found, bytes_of(exported), name=str(exported))
    page = _checked_page(found, file) if found.kind == "obr-drill" else None
    result = {"valid": True, "kind": found.kind, "key_id": found.key_id, "document": found.document}
    shown = drill_facts(found.document) if found.kind == "obr-drill" else flat(found.document)
    text = f"{lines(shown)}\n\n{file}: the signature of {found.key_id} holds"
    if exported is not None:
        text += f"\n{exported}: is what was exported"
    if page is not None:
        text += f"\n{page}: is the page of this report"
    session.emit(result, text)
    return 0


def _checked_page(found: Attested, file: Path) -> Path | None:
    """The page beside a drill's report, if there is one. Raises ``NeonctlError`` REPORT_PAGE_ALTERED."""
    from neonctl.banking.drills.page import check_page
    from neonctl.banking.signing.attested import sha256_of

    page = file.with_suffix(".html")
    if not page.exists():
        return None
    sha256 = sha256_of(bytes_of(file))
    check_page(text_of(page), found.document, sha256=sha256, key_id=found.key_id, name=str(page))
    return page


def flat(document: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Nested members as ``last_event.event_type``."""
    found: dict[str, object] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{name}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            found[f"{before}{name}"] = value
    return found
