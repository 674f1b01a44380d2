"""What the bank's commands share: the way in, records of what was changed, log lines with MOD-003's event types."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast
from uuid import UUID

import typer

from neonctl.cli.messages import write_message
from neonctl.errors import NeonctlError, UsageError

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.banking.audit import Act
    from neonctl.banking.statement import Trace
    from neonctl.cli.session import Session
    from neonctl.desired.model import Desired, RoleKind
    from neonctl.pipelines.bank import Door
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.services import Services

T = TypeVar("T")

Environment = Annotated[str, typer.Option("--env", help="Environment")]
IdempotencyKey = Annotated[
    str, typer.Option("--idempotency-key", help="Names this request: the same key never does it twice")
]


@dataclass(frozen=True)
class Change:
    """A change under way. ``noted``: what the platform's record says beside the rest; more can be added."""

    conn: psycopg.Connection[TupleRow]
    act: Act
    noted: dict[str, str]
    retried: Callable[[int], object]

    def commit(self, work: Callable[[], T], facts: Callable[[T], Mapping[str, object]]) -> T:
        """What ``work`` gives, done and recorded in one transaction of the bank; ``facts`` go into both records."""
        from neonctl.banking.audit import audited

        done = audited(self.conn, self.act, work, facts=lambda found: plain(facts(found)), on_retry=self.retried)
        self.noted.update({key: str(value) for key, value in plain(facts(done)).items() if value is not None})
        return done

    def record(self, facts: Mapping[str, object]) -> None:
        """Write what was done into the transaction of the bank that is open, where ``commit`` has no place."""
        from neonctl.banking.audit import record

        record(self.conn, self.act, facts=plain(facts))


class Desk:
    """One command at the bank of one environment."""

    def __init__(self, session: Session, environment: str, purpose: str) -> None:
        from neonctl.cli.provisioning import selection

        configuration = session.configuration([environment])
        selection(configuration, [environment])
        self.session = session
        self.environment = environment
        self.desired: Desired = configuration.desired
        self.services: Services = session.services(self.desired, purpose)
        self._audit: AuditLog | None = None

    @property
    def scope(self) -> str:
        """Where signed instructions count: project and environment."""
        return f"{self.desired.platform.project.name}/{self.environment}"

    def door(self, role: RoleKind) -> Door:
        """How to get in as ``role``, any number of times."""
        from neonctl.pipelines.bank import bank_door

        return bank_door(self.environment, desired=self.desired, services=self.services, role=role)

    @contextmanager
    def reading(self) -> Generator[psycopg.Connection[TupleRow]]:
        """A connection that can only read."""
        with self.door("readonly")() as connection:
            yield connection

    @contextmanager
    def changing(
        self, what: str, target: str, details: Mapping[str, str] | None = None, *, role: RoleKind = "app_user"
    ) -> Generator[Change]:
        """A change by the application's role, or another, which goes on record with its outcome: in the platform's
        audit log here, in the bank's own as ``Change`` does. Nothing is done when the first cannot be written.
        """
        from neonctl.banking.audit import Act

        audit, noted = self.audit, dict(details or {})
        audit.open()
        if self.session.options.trace_id is None:
            self.log("trace_id_missing_from_upstream")
        outcome = "failed"
        try:
            with self.door(role)() as connection:
                yield Change(connection, Act(what, target, self.trace, dict(noted)), noted, self.retried)
            outcome = "done"
        except NeonctlError as error:
            noted["code"] = error.code
            self.log("validation_failed" if isinstance(error, UsageError) else "request_refused", code=error.code)
            raise
        except Exception as error:
            self.log("internal_error", error=type(error).__name__)
            raise
        finally:
            audit.record(what, noted.pop("target", target), self.environment, outcome, noted)

    @property
    def audit(self) -> AuditLog:
        """The audit log that the YAML names."""
        if self._audit is None:
            self._audit = self.session.audit(self.desired, self.services)
        return self._audit

    @property
    def trace(self) -> Trace:
        """Who asks, under which trace id: what the bank's tables and events keep."""
        from neonctl.banking.statement import Trace

        return Trace(actor=self.audit.actor(self.environment), trace_id=self.session.trace_id)

    def retried(self, retry: int) -> None:
        """Somebody else's change came between: said where logs are structured."""
        self.log("concurrent_modification_retried", retry=retry)

    def log(self, event_type: str, **fields: object) -> None:
        """One structured line on stderr, where ``--log-format json`` asks for such."""
        options = self.session.options
        if options.log_format != "json" or options.quiet:
            return
        line = {
            "level": "info",
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event_type": event_type,
            "environment": self.environment,
            "trace_id": self.session.trace_id,
            **plain(fields),
        }
        write_message(json.dumps(line, ensure_ascii=False))


def plain(fields: Mapping[str, object]) -> dict[str, Any]:
    """Fields as JSON has them: amounts as text with two decimals, moments as RFC 3339 in UTC, ids as text."""
    return {key: _plain(value) for key, value in fields.items()}


def document(thing: object) -> dict[str, Any]:
    """A dataclass as a JSON object."""
    from dataclasses import fields

    return {each.name: _plain(getattr(thing, each.name)) for each in fields(thing)}  # pyright: ignore[reportArgumentType]


def _plain(value: object) -> Any:
    from dataclasses import is_dataclass
    from datetime import date

    from neonctl.banking.moments import show_moment
    from neonctl.banking.money import show

    if isinstance(value, Decimal):
        return show(value)
    if isinstance(value, datetime):
        return show_moment(value)
    if isinstance(value, (UUID, date)):
        return str(value)
    if is_dataclass(value):
        return document(value)
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in cast("Sequence[object]", value)]
    if isinstance(value, dict):
        return plain(cast("Mapping[str, object]", value))
    return value


def lines(facts: Mapping[str, object]) -> str:
    """One fact a line, for people."""
    width = max(len(key) for key in facts)
    return "\n".join(f"{key.replace('_', ' '):<{width}}  {_said(value)}" for key, value in facts.items())


def _said(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
