"""obr sign: writes the document that an officer or the regulator gives, and shows what it says before it is signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.bank import lines
from neonctl.cli.given_files import PassphraseFile, passphrase, text_of
from neonctl.cli.obr_authority import shown_instruction
from neonctl.cli.options import command

if TYPE_CHECKING:
    from neonctl.banking.signing.claims import Action
    from neonctl.banking.signing.instruction import Instruction
    from neonctl.cli.session import Session

_EARLIER = timedelta(minutes=5)  # the clocks of two machines are never the same


def register(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "sign")(obr_sign)


def obr_sign(
    session: Session,
    key: Annotated[Path, typer.Option("--key", help="File with the private key that signs")],
    out: Annotated[Path, typer.Option("--out", help="File that the signed instruction is written to")],
    action: Annotated[
        Literal["activate", "release", "unwind", "rearm", "add-key", "revoke-key"] | None,
        typer.Option("--action", help="What is allowed"),
    ] = None,
    env: Annotated[str | None, typer.Option("--env", help="Environment that it is allowed in")] = None,
    scope: Annotated[
        str | None, typer.Option("--scope", help="PROJECT/ENVIRONMENT, for who has no configuration", metavar="P/E")
    ] = None,
    reference: Annotated[str | None, typer.Option("--reference", help="The authority's reference")] = None,
    haircut: Annotated[str | None, typer.Option("--haircut", help="activate: share that is frozen, 0.2500")] = None,
    de_minimis: Annotated[
        str | None, typer.Option("--de-minimis", help="activate: amount of each account left untouched [default: 0.00]")
    ] = None,
    equal_shares: Annotated[
        bool, typer.Option("--equal-shares", help="activate: joint holders count in equal parts, not by their shares")
    ] = False,
    percent: Annotated[str | None, typer.Option("--percent", help="release: percent of what was frozen")] = None,
    permanent_haircut: Annotated[
        Path | None, typer.Option("--permanent-haircut", help="unwind: file of the amounts that are lost for good")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="add-key: who has the key")] = None,
    kind: Annotated[
        Literal["officer", "regulator"] | None, typer.Option("--kind", help="add-key: what it may sign")
    ] = None,
    public_key: Annotated[Path | None, typer.Option("--public-key", help="add-key: the key, a .pub file")] = None,
    key_valid_from: Annotated[
        str | None, typer.Option("--key-valid-from", help="add-key: moment [default: --valid-from]")
    ] = None,
    key_valid_until: Annotated[
        str | None, typer.Option("--key-valid-until", help="add-key: moment [default: without end]")
    ] = None,
    key_id: Annotated[str | None, typer.Option("--key-id", help="revoke-key: the key")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="revoke-key: why")] = None,
    jurisdiction: Annotated[Literal["NZ", "AU"], typer.Option("--jurisdiction", help="Whose regime")] = "NZ",
    valid_from: Annotated[
        str | None, typer.Option("--valid-from", help="Moment [default: five minutes ago, for clocks that differ]")
    ] = None,
    valid_for: Annotated[str, typer.Option("--valid-for", help="How long: 90s, 15m, 24h, 7d; at most 31 days")] = "24h",
    same_as: Annotated[
        Path | None, typer.Option("--same-as", help="Sign what this document says: the second officer's signature")
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Sign an instruction: shows what it says and asks. Needs neither database nor network."""
    from neonctl.banking.key_files import read_signer, write_new
    from neonctl.errors import UsageError

    given = _Given(
        action=action,
        scope=_scope(session, env, scope) if env or scope else None,
        reference=reference,
        jurisdiction=jurisdiction,
        valid_from=valid_from,
        valid_for=valid_for,
        terms={
            "--haircut": haircut,
            "--de-minimis": de_minimis,
            "--equal-shares": equal_shares or None,
            "--percent": percent,
            "--permanent-haircut": permanent_haircut,
            "--name": name,
            "--kind": kind,
            "--public-key": public_key,
            "--key-valid-from": key_valid_from,
            "--key-valid-until": key_valid_until,
            "--key-id": key_id,
            "--reason": reason,
        },
    )
    if out.exists():
        raise UsageError("FILE_EXISTS", f"{out} is there already", hint="nothing is overwritten: choose another name")
    instruction = given.instruction() if same_as is None else given.same(same_as)
    signer = read_signer(key, passphrase(session, passphrase_file))
    shown = shown_instruction(instruction)
    about = f"This is what {key} signs (key {signer.public.key_id}):\n\n{lines(shown)}\n"
    session.say(about)
    session.confirm("Sign this?", about=about)
    write_new(out, (instruction.sign(signer) + "\n").encode())
    result = {
        "file": str(out),
        "key_id": signer.public.key_id,
        "claims": instruction.claims,
    }
    session.emit(result, f"{out} signed, valid until {shown['valid until']}")
    return 0


def _scope(session: Session, env: str | None, scope: str | None) -> str:
    from neonctl.cli.provisioning import selection
    from neonctl.errors import UsageError

    if scope is not None:
        if env is not None:
            raise UsageError("USAGE", "--env or --scope says where, not both")
        return scope
    configuration = session.configuration()
    selection(configuration, [str(env)])
    return f"{configuration.desired.platform.project.name}/{env}"


@dataclass(frozen=True)
class _Given:
    """The options as they were given; ``terms`` by option, None where it was not."""

    action: Action | None
    scope: str | None
    reference: str | None
    jurisdiction: str
    valid_from: str | None
    valid_for: str
    terms: Mapping[str, object]

    def instruction(self) -> Instruction:
        """A new instruction. Raises ``UsageError`` for options that are missing or not the action's."""
        import uuid

        from neonctl.banking.moments import parse_duration, parse_moment
        from neonctl.banking.signing.instruction import Instruction
        from neonctl.errors import UsageError

        if self.action is None or self.scope is None or self.reference is None:
            raise UsageError("USAGE", "say what is signed: --action, --env (or --scope) and --reference; or --same-as")
        begin = datetime.now(UTC) - _EARLIER if self.valid_from is None else parse_moment(self.valid_from)
        nbf = int(begin.timestamp())
        return Instruction(
            action=self.action,
            jurisdiction=self.jurisdiction,
            scope=self.scope,
            reference=self.reference,
            nbf=nbf,
            exp=nbf + int(parse_duration(self.valid_for).total_seconds()),
            jti=str(uuid.uuid4()),
            terms=self._terms(self.action, nbf),
        )

    def same(self, file: Path) -> Instruction:
        """What ``file`` says. Options that were given as well must say the same. Raises ``NeonctlError``."""
        from neonctl.banking.signing.instruction import check_asked, parse_instruction
        from neonctl.errors import UsageError

        _, found = parse_instruction(text_of(file), name=str(file))
        given = {option for option, value in self.terms.items() if value is not None}
        if given or self.valid_from is not None:
            raise UsageError(
                "USAGE", f"--same-as has all of it: leave out {', '.join(sorted(given or {'--valid-from'}))}"
            )
        asked = {"scope": self.scope, "reference": self.reference}
        asked = {claim: value for claim, value in asked.items() if value is not None}
        check_asked(found, self.action or found.action, asked, name=str(file))
        return found

    def _terms(self, action: Action, nbf: int) -> dict[str, object]:
        makers: Mapping[Action, tuple[Mapping[str, bool], Callable[[int], dict[str, object]]]] = {
            "activate": ({"--haircut": True, "--de-minimis": False, "--equal-shares": False}, self._activate),
            "release": ({"--percent": True}, self._release),
            "unwind": ({"--permanent-haircut": False}, self._unwind),
            "rearm": ({}, lambda _: {}),
            "add-key": (
                {
                    "--name": True,
                    "--kind": True,
                    "--public-key": True,
                    "--key-valid-from": False,
                    "--key-valid-until": False,
                },
                self._add_key,
            ),
            "revoke-key": ({"--key-id": True, "--reason": True}, self._revoke_key),
        }
        options, make = makers[action]
        self._check_options(action, options)
        return make(nbf)

    def _check_options(self, action: Action, options: Mapping[str, bool]) -> None:
        from neonctl.errors import UsageError

        given = {option for option, value in self.terms.items() if value is not None}
        if foreign := sorted(given - set(options)):
            raise UsageError("USAGE", f"{', '.join(foreign)}: not for --action {action}")
        if missing := [option for option, needed in options.items() if needed and option not in given]:
            raise UsageError("USAGE", f"--action {action} needs {', '.join(missing)}")

    def _activate(self, _: int) -> dict[str, object]:
        from neonctl.banking.money import parse_amount, show
        from neonctl.banking.signing.claims import canonical_haircut, parse_haircut

        return {
            "haircut": canonical_haircut(parse_haircut(str(self.terms["--haircut"]))),
            "de_minimis": show(parse_amount(str(self.terms["--de-minimis"] or "0"), zero=True)),
            "equal_shares": self.terms["--equal-shares"] is True,
        }

    def _release(self, _: int) -> dict[str, object]:
        from neonctl.banking.signing.claims import canonical_percent, parse_percent

        return {"percent": canonical_percent(parse_percent(str(self.terms["--percent"])))}

    def _unwind(self, _: int) -> dict[str, object]:
        from neonctl.banking.haircuts import parse_haircuts

        file = self.terms["--permanent-haircut"]
        if not isinstance(file, Path):
            return {"permanent_haircut_sha256": None}
        return {"permanent_haircut_sha256": parse_haircuts(text_of(file), name=str(file)).sha256}

    def _add_key(self, nbf: int) -> dict[str, object]:
        from neonctl.banking.key_files import read_public_key
        from neonctl.banking.moments import parse_moment

        file, begin, end = (self.terms[o] for o in ("--public-key", "--key-valid-from", "--key-valid-until"))
        return {
            "key_id": read_public_key(Path(str(file))).key_id,
            "key_name": self.terms["--name"],
            "key_kind": self.terms["--kind"],
            "valid_from": nbf if begin is None else int(parse_moment(str(begin)).timestamp()),
            "valid_until": None if end is None else int(parse_moment(str(end)).timestamp()),
        }

    def _revoke_key(self, _: int) -> dict[str, object]:
        return {"key_id": self.terms["--key-id"], "reason": self.terms["--reason"]}
