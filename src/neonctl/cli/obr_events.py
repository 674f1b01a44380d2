"""obr events | reconcile: the regulatory record, and whether the partition adds up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neonctl.cli.bank import Desk, Environment, document, lines
from neonctl.cli.given_files import PassphraseFile, text_of
from neonctl.cli.options import command
from neonctl.cli.status_key import StatusKey, signer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neonctl.banking.resolution import ResolutionEvent
    from neonctl.banking.resolution_reading import Record
    from neonctl.banking.resolution_verification import RecordFault
    from neonctl.banking.signing.keys import Signer
    from neonctl.cli.session import Session


def register(group: typer.Typer) -> None:
    """Add the commands."""
    command(group, "events")(obr_events)
    command(group, "reconcile")(obr_reconcile)


def obr_events(
    session: Session,
    env: Environment,
    export: Annotated[
        Literal["csv", "json"] | None,
        typer.Option("--export", help="Write it into a file, with a signed manifest"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file [default: obr-events-ENV.csv or .json]")] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check all signatures, hashes and evidence again; exit 1 where any is wrong"),
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="With --verify: a JSON export, its manifest or a signed status, kept elsewhere"),
    ] = None,
    key: StatusKey = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """List the regulatory record: who did what, when, by whose signature. Verify it, export it for the regulator."""
    from neonctl.banking.resolution_chain import parse_kept
    from neonctl.banking.resolution_export import listed
    from neonctl.banking.resolution_reading import read_record
    from neonctl.banking.resolution_verification import kept_elsewhere, record_faults
    from neonctl.errors import UsageError

    if export is None and (out is not None or key is not None):
        raise UsageError("USAGE", "--out and --key go with --export")
    if against is not None and not verify:
        raise UsageError("USAGE", "--against goes with --verify")
    desk = Desk(session, env, "obr events")
    kept = () if against is None else parse_kept(text_of(against), scope=desk.scope)
    signer = None if export is None else signer_of(desk, key, passphrase_file)
    with desk.reading() as conn:
        record = read_record(conn, evidence=verify, files=export is not None)
    events = record.events
    faults = [*kept_elsewhere(record, kept), *record_faults(record, scope=desk.scope)] if verify else None
    if signer is None or export is None or not record.readable:
        exported = None
    else:
        exported = _export(desk, record, signer, export, out)
    if faults is not None:
        desk.log("obr_events_verified", events=len(events), faults=len(faults))
    result: dict[str, Any] = {"events": [listed(each) for each in events]}
    if faults is not None:
        result |= {"intact": not faults, "faults": [document(each) for each in faults]}
    if exported is not None:
        result |= {"export": exported}
    session.emit(result, _text(events, faults, exported))
    return 1 if faults else 0


def _export(
    desk: Desk, record: Record, signer: Signer, form: Literal["csv", "json"], out: Path | None
) -> dict[str, Any]:
    """Write the export, then the manifest that vouches for it: a file without one is worth nothing."""
    from datetime import UTC, datetime

    from neonctl.banking.key_files import write_new
    from neonctl.banking.resolution_export import export_bytes, manifest
    from neonctl.banking.signing.attested import attest, attested_text

    file = out or Path(f"obr-events-{desk.environment}.{form}")
    beside = file.with_name(f"{file.name}.manifest.json")
    events = record.events
    content = export_bytes(record, form)
    said = manifest(
        content,
        record,
        file=file.name,
        form=form,
        scope=(desk.desired.platform.project.name, desk.environment),
        at=datetime.now(UTC),
    )
    write_new(file, content)
    try:
        write_new(beside, attested_text(attest(said, signer)).encode())
    except BaseException:
        file.unlink()
        raise
    facts = {"file": str(file), "sha256": said["sha256"], "events": str(len(events)), "key_id": signer.public.key_id}
    desk.audit.record("obr.export", f"{desk.environment}/bank_core", desk.environment, "done", facts)
    return {"file": str(file), "manifest": str(beside), "sha256": said["sha256"], "key_id": signer.public.key_id}


def _text(
    events: Sequence[ResolutionEvent], faults: Sequence[RecordFault] | None, exported: dict[str, Any] | None
) -> str:
    from neonctl.banking.resolution_record import shown
    from neonctl.cli.table import table

    columns = ("event_no", "event_type", "haircut_pct", "released_pct", "accounts_partitioned", "total_frozen_amount")
    columns += ("total_available_amount", "authority", "activated_by", "rbnz_instruction_ref", "occurred_at")
    rows = [["-" if each[name] is None else str(each[name]) for name in columns] for each in map(shown, events)]
    said = [table([name.replace("_", " ") for name in columns], rows) if rows else "no events"]
    if exported is not None:
        said += ["", lines(exported)]
    if faults:
        said += [
            "",
            *[f"{fault.subject}: {fault.message}" for fault in faults],
            "",
            f"NOT INTACT: {len(faults)} faults",
        ]
    elif faults is not None:
        said += [
            "",
            "intact: every event was done by the signatures that are kept with it, and nothing was changed",
        ]
    return "\n".join(said)


def obr_reconcile(session: Session, env: Environment) -> int:
    """Compare every account with the evidence of the partition, and put the answer on record. Exit 1 on differences."""
    from neonctl.banking.resolution import reconcile
    from neonctl.banking.resolution_record import shown

    desk = Desk(session, env, "obr reconcile")
    with desk.changing("obr.reconcile", f"{env}/bank_core") as change:
        done = change.commit(lambda: reconcile(change.conn, trace=desk.trace), _reconciled)
    result: dict[str, Any] = {**shown(done), "differences": done.differences}
    desk.log("obr_partition_reconciled", **_reconciled(done))
    facts = ("event_id", "status", "accounts_partitioned", "total_frozen_amount", "total_available_amount")
    text = lines({name: result[name] for name in (*facts, "differences")})
    wrong = [f"{each['account_id']}: {each['problem']}" for each in result["metadata"].get("accounts", ())]
    session.emit(result, "\n".join([text, *wrong]))
    return 1 if done.differences else 0


def _reconciled(event: ResolutionEvent) -> dict[str, object]:
    return {"event_id": event.event_id, "accounts": event.accounts_partitioned, "differences": event.differences}
