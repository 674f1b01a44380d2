"""One run of one command: its options, its consoles, and the way from options to settings and services."""

from __future__ import annotations

import json
import os
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from neonctl.cli.failure import SCHEMA_VERSION
from neonctl.cli.github_log import Masks, folded, inert, inert_json
from neonctl.cli.messages import write_commands, write_message
from neonctl.errors import UnsafePlanError
from neonctl.secret import unannounced
from neonctl.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from rich.console import Console

    from neonctl.cli.options import Common
    from neonctl.desired.model import Desired
    from neonctl.pipelines.configuration import Configuration
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.services import Services
    from neonctl.secret import Secret


class Session:
    """What a command works with. Use as a context manager: connections are closed at the end."""

    def __init__(self, options: Common) -> None:
        self.options = options
        self.trace_id = options.trace_id or uuid.uuid4().hex
        settings = Settings.from_environment(os.environ)
        self._settings = replace(
            settings,
            local=settings.local or options.local,
            config_dir=options.config or settings.config_dir,
            db_dir=options.db or settings.db_dir,
            actor=options.actor or settings.actor,
        )
        self._attached = False
        self._services: Services | None = None
        self.mask = Masks()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._services is not None:
            self._services.close()

    # --- output ---------------------------------------------------------------------------------------------

    @property
    def json(self) -> bool:
        """Whether the result goes out as JSON."""
        return self.options.output == "json"

    @property
    def messages(self) -> Console:
        """Where messages go: stderr."""
        from rich.console import Console

        return Console(
            stderr=True,
            no_color=self.options.no_color or None,
            highlight=False,
            soft_wrap=True,
            quiet=self.options.quiet,
        )

    def say(self, text: str = "") -> None:
        """One message on stderr, unless quiet."""
        if self.options.quiet:
            return
        if self.options.log_format == "json":
            line = {"level": "info", "message": text, "trace_id": self.trace_id}
            text = inert_json(json.dumps(line, ensure_ascii=False))
        write_message(text)

    def say_folded(self, title: str, text: str) -> None:
        """A long message on stderr, which the log of a GitHub step shows under its title."""
        if self.options.quiet or self.options.log_format == "json":
            self.say(text)
        else:
            write_commands(folded(title, text))

    def emit(self, document: Mapping[str, object], text: str) -> None:
        """The result on stdout: one JSON document, or the text."""
        if self.json:
            whole = {"schema_version": SCHEMA_VERSION, **document}
            sys.stdout.write(inert_json(json.dumps(whole, ensure_ascii=False, default=str)) + "\n")
        elif text:
            sys.stdout.write(inert(text) + "\n")

    def confirm(self, question: str, *, flag: str = "--yes", about: str = "") -> None:
        """Ask on the terminal. Raises ``UnsafePlanError`` when the answer is no or nobody can be asked.

        ``about``: what was said before, which the question makes no sense without: with ``-q`` it is said here.
        """
        from neonctl.cli.answer import read_answer

        if self.options.yes:
            return
        if self.options.no_input or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UnsafePlanError(
                "CONFIRMATION_MISSING",
                "this needs a confirmation, and there is no terminal to ask on",
                hint=f"look at the plan above, then run again with {flag}",
                details={"about": about.splitlines()} if about else None,
            )
        if about and self.options.quiet:
            sys.stderr.write(about + "\n")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if read_answer().strip().lower() not in {"y", "yes"}:
            raise UnsafePlanError("NOT_CONFIRMED", "not confirmed: nothing has been changed")

    def confirm_by_name(self, name: str, given: str | None, *, scope: str, about: str) -> None:
        """What cannot be taken back: ``name`` and the ``scope`` that it is done in have to be typed (``--yes`` is not
        enough). Scripts give ``name`` as ``--confirm``: ``given``. ``about``: as for ``confirm``.

        Raises ``UnsafePlanError``.
        """
        from neonctl.cli.answer import read_answer

        if given == name:
            return
        if given is not None or self.options.no_input or not (sys.stdin.isatty() and sys.stderr.isatty()):
            wrong = "" if given is None else f", and --confirm says {given:.60}"
            raise UnsafePlanError(
                "CONFIRMATION_MISSING",
                f"this needs to be confirmed by its name{wrong}",
                hint=f"read what would be done, then add --confirm {name}",
                details={"about": about.splitlines()},
            )
        if self.options.quiet:
            sys.stderr.write(about + "\n")
        sys.stderr.write(f"Type `{scope} {name}` to do this: ")
        sys.stderr.flush()
        if read_answer().split() != [scope, name]:
            raise UnsafePlanError("NOT_CONFIRMED", "not confirmed: nothing has been changed")

    # --- what commands need ---------------------------------------------------------------------------------

    @property
    def local_dir(self) -> Path:
        """Where the embedded platform lives."""
        return self._settings.local_dir.absolute()

    @property
    def db_dir(self) -> Path:
        """Where the migrations are."""
        return self._settings.db_dir

    @property
    def config_dir(self) -> Path:
        """Where the YAML is."""
        return self._settings.config_dir

    @property
    def key_passphrase(self) -> Secret | None:
        """The passphrase of the key file that signs, where the environment gives one."""
        return self._settings.key_passphrase

    @property
    def settings(self) -> Settings:
        """Settings, pointed at the embedded platform when that is the target (it is started if need be)."""
        if self._settings.local and not self._attached:
            from neonctl.local.platform import ensure_running

            platform = ensure_running(self.local_dir, progress=self.say)
            self._settings = self._settings.with_local_platform(
                api_url=platform.api_url,
                api_key=platform.api_key,
                org_id=platform.org_id,
                aws_endpoint_url=platform.aws_endpoint_url,
                ca_file=platform.ca_file,
            )
            self._attached = True
        return self._settings

    def configuration(self, environments: Iterable[str] = ()) -> Configuration:
        """The YAML, the migrations and the committed privileges; with the previews among ``environments``."""
        from neonctl.pipelines.configuration import read_configuration, with_previews

        whole = read_configuration(self._settings.config_dir, self._settings.db_dir)
        return with_previews(whole, environments)

    def services(
        self, desired: Desired, purpose: str, *, only_describes: bool = False, masked: bool = False
    ) -> Services:
        """Neon, AWS and Postgres, for this command; with ``aws.plan_role_arn`` where it only describes.

        ``masked``: it makes or replaces secrets, so GitHub's runner is told of each. Others write no secret anywhere,
        and masks would be the one place where somebody who keeps stderr finds them.
        """
        if self._services is None:
            from neonctl.provision.services import Services

            self._services = Services(
                self.settings,
                desired,
                purpose=purpose,
                only_describes=only_describes,
                on_wait=self.say,
                on_secret=self.mask if masked else unannounced,
            )
        return self._services

    def audit(self, desired: Desired, services: Services) -> AuditLog:
        """The audit log that the YAML names. The actor is AWS's caller, or ``--actor`` when that is given."""
        from neonctl.provision.audit import AuditLog

        def actor(environment: str) -> str:
            if self.settings.actor:
                return self.settings.actor
            if self.settings.local:
                return f"local:{_user()}"
            name = environment or next(n for n, spec in desired.environments.items() if spec.branch.default)
            return services.aws(desired.environments[name].aws).caller().arn

        return AuditLog(desired.platform.audit.sink, actor=actor, trace_id=self.trace_id)


def _user() -> str:
    """The name of this machine's user; the number where it has no name, as in many containers."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
