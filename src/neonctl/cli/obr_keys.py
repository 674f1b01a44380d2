"""obr keys generate | add | revoke | list | status-key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.bank import Desk, Environment, document, lines
from neonctl.cli.given_files import PassphraseFile, passphrase
from neonctl.cli.obr_authority import Act, Given, Officers, ask, carry_out, documents_of, told, validity_of
from neonctl.cli.options import command, command_group
from neonctl.cli.status_key import StatusKey, signer_of

if TYPE_CHECKING:
    from neonctl.cli.session import Session


def register(group: typer.Typer) -> None:
    """Add the group below ``obr``."""
    keys = command_group(group, "keys", "Keys of officers and the regulator: made here, registered in the database.")
    command(keys, "generate")(keys_generate)
    command(keys, "add")(keys_add)
    command(keys, "revoke")(keys_revoke)
    command(keys, "list")(keys_list)
    command(keys, "status-key")(keys_status_key)


def keys_generate(
    session: Session,
    out: Annotated[Path, typer.Option("--out", help="File for the private key; the public one gets .pub behind it")],
    kind: Annotated[
        Literal["ed25519", "p256"], typer.Option("--type", help="ed25519 for instructions, p256 also for status")
    ] = "ed25519",
    passphrase_file: PassphraseFile = None,
) -> int:
    """Make a key: FILE, for its owner alone (mode 0600), and FILE.pub. Nothing is overwritten."""
    from neonctl.banking.key_files import make_key, public_name

    secret = passphrase(session, passphrase_file)
    public = make_key(out, kind, secret)
    if secret is None:
        session.say(f"{out} has no passphrase: whoever can read it can sign")
    result = {
        "key_id": public.key_id,
        "type": kind,
        "private_key": str(out),
        "public_key": str(public_name(out)),
        "passphrase": secret is not None,
    }
    session.emit(result, lines(result))
    return 0


def keys_add(
    session: Session,
    env: Environment,
    name: Annotated[str, typer.Option("--name", help="Who has the key; one person has one name")],
    kind: Annotated[Literal["officer", "regulator"], typer.Option("--kind", help="What it may sign")],
    public_key: Annotated[Path, typer.Option("--public-key", help="The key: a .pub file")],
    valid_from: Annotated[str | None, typer.Option("--valid-from", help="Moment [default: as signed, or now]")] = None,
    valid_until: Annotated[
        str | None, typer.Option("--valid-until", help="Moment [default: as signed, or without end]")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="As signed [default: what the documents say]")
    ] = None,
    officer: Officers = None,
) -> int:
    """Register a key. The first two officers' need no signatures; every other one needs two officers' (`obr sign`)."""
    from neonctl.banking.key_files import read_public_key
    from neonctl.banking.moments import parse_moment
    from neonctl.banking.resolution import read_state
    from neonctl.banking.resolution_keys import NewKey, register_key

    key = read_public_key(public_key)
    begin, end = (None if text is None else parse_moment(text) for text in (valid_from, valid_until))
    desk = Desk(session, env, "obr keys add")
    asked: dict[str, object] = {"key_id": key.key_id, "key_name": name, "key_kind": kind}
    if begin is not None:
        asked["valid_from"] = int(begin.timestamp())
    if end is not None:
        asked["valid_until"] = int(end.timestamp())
    if reference is not None:
        asked["reference"] = reference
    act = Act("add-key", None, asked, None)
    if not officer:
        with desk.changing("obr.add-key", f"{env}/bank_core", act.details, role="resolution_officer") as change:
            ask(desk, act, None, {**asked, "signed by": "nobody, which is for the first two officers only"})
            new = NewKey(name, kind, key.jwk, begin or read_state(change.conn).as_of, end)
            done = change.commit(
                lambda: register_key(change.conn, new, scope=desk.scope, reference=reference or "", trace=desk.trace),
                document,
            )
    else:
        done = carry_out(
            desk,
            act,
            Given("officer", documents_of(officer)),
            None,
            lambda conn, authority: register_key(
                conn,
                NewKey(name, kind, key.jwk, *validity_of(authority.instruction)),
                scope=desk.scope,
                reference=authority.instruction.reference,
                documents=authority.texts,
                trace=desk.trace,
            ),
            document,
        )
    return told(desk, "obr_key_registered", {**document(done), "name": name, "kind": kind})


def keys_revoke(
    session: Session,
    env: Environment,
    key_id: Annotated[str, typer.Argument(help="The key's id")],
    reason: Annotated[str, typer.Option("--reason", help="Why, as signed")],
    officer: Officers = None,
) -> int:
    """Revoke a key, by two officers' signatures. It stays on record; what it signed before stays signed."""
    from neonctl.banking.resolution_keys import revoke_key
    from neonctl.errors import UsageError

    if not officer:
        hint = "neonctl obr sign --action revoke-key"
        raise UsageError("USAGE", "two officers sign for this: --officer FILE --officer FILE", hint=hint)
    desk = Desk(session, env, "obr keys revoke")
    done = carry_out(
        desk,
        Act("revoke-key", None, {"key_id": key_id, "reason": reason}, None),
        Given("officer", documents_of(officer)),
        None,
        lambda conn, authority: revoke_key(
            conn,
            key_id,
            reason=reason,
            scope=desk.scope,
            reference=authority.instruction.reference,
            documents=authority.texts,
            trace=desk.trace,
        ),
        document,
    )
    return told(desk, "obr_key_revoked", {**document(done), "reason": reason})


def keys_list(session: Session, env: Environment) -> int:
    """List every registered key, revoked ones too, and whether it may sign now."""
    from neonctl.banking.resolution_keys import list_keys
    from neonctl.cli.table import table

    with Desk(session, env, "obr keys list").reading() as conn:
        keys = [document(each) for each in list_keys(conn)]
    columns = ("key_id", "name", "kind", "algorithm", "authority", "valid_from", "valid_until", "standing")
    rows = [["-" if each[column] is None else str(each[column]) for column in columns] for each in keys]
    session.emit({"keys": keys}, table([column.replace("_", " ") for column in columns], rows) if rows else "no keys")
    return 0


def keys_status_key(
    session: Session,
    env: Environment,
    out: Annotated[Path, typer.Option("--out", help="File for the public key")],
    key: StatusKey = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Write the public key that `obr verify-status` takes: give it to the regulator once, over a trusted way."""
    from neonctl.banking.key_files import write_new

    public = signer_of(Desk(session, env, "obr keys status-key"), key, passphrase_file).public
    write_new(out, public.pem())
    result = {"key_id": public.key_id, "public_key": str(out)}
    session.emit(result, lines(result))
    return 0
