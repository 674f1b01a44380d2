"""obr status | verify-status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.bank import lines
from neonctl.cli.given_files import bytes_of, text_of
from neonctl.cli.options import command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neonctl.banking.signing.attested import Attested
    from neonctl.cli.session import Session


def register(group: typer.Typer) -> None:
    """Add the commands."""
    command(group, "verify-status")(obr_verify_status)


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
        exported = file.with_name(Path(str(found.document["file"])).name)
        check_content(found, bytes_of(exported), name=str(exported))
    page = _checked_page(found, file) if found.kind == "obr-drill" else None
    result = {"valid": True, "kind": found.kind, "key_id": found.key_id, "document": found.document}
    text = f"{file}: the signature of {found.key_id} holds\n\n{lines(_flat(found.document))}"
    if exported is not None:
        text += f"\n\n{exported}: is what was exported"
    if page is not None:
        text += f"\n\n{page}: is the page of this report"
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


def _flat(document: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Nested members as ``counts.events``."""
    flat: dict[str, object] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            flat[f"{before}{name}"] = value
    return flat
