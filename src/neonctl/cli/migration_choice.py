"""What the migration commands work on: the environments and databases that were asked for, and who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neonctl.cli.session import Session
    from neonctl.desired.model import Desired
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.services import Services


@dataclass(frozen=True)
class Choice:
    """Environments in the order of promotion, databases in the YAML's, and what is needed to work on them."""

    environments: tuple[str, ...]
    databases: tuple[str, ...]
    desired: Desired
    files: Mapping[str, MigrationFolder]
    services: Services

    def audit(self, session: Session) -> AuditLog:
        """Where changes are recorded."""
        return session.audit(self.desired, self.services)


def chosen(session: Session, env: Sequence[str] | None, database: Sequence[str] | None, *, purpose: str) -> Choice:
    """Read the configuration and look up what was named. Raises ``UsageError`` for what is not declared."""
    from neonctl.cli.provisioning import selection
    from neonctl.errors import UsageError
    from neonctl.pipelines.migrate import promotion_order

    configuration = session.configuration(env or ())
    desired = configuration.desired
    named = selection(configuration, env) or tuple(
        name for name, spec in desired.environments.items() if spec.state == "present"
    )
    unknown = [name for name in database or () if name not in configuration.migrations]
    if unknown:
        raise UsageError(
            "UNKNOWN_DATABASE",
            f"no migrations of {', '.join(unknown)}",
            hint=f"there are some of: {', '.join(configuration.migrations)}",
        )
    return Choice(
        environments=tuple(promotion_order(desired, named)),
        databases=tuple(dict.fromkeys(database or configuration.migrations)),
        desired=desired,
        files=configuration.migrations,
        services=session.services(desired, purpose),
    )


def provenance_of(session: Session, choice: Choice, environment: str) -> Provenance:
    """Who runs migrations in an environment, under which trace id, from which commit."""
    from neonctl.migrations.evidence import Provenance
    from neonctl.pipelines.provenance import git_commit

    return Provenance(
        actor=choice.audit(session).actor(environment),
        trace_id=session.trace_id,
        git_commit=git_commit(session.db_dir),
    )
