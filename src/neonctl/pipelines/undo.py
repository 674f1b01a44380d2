"""Going back: the newest migrations of one database of one environment are undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neonctl.pipelines.logins import logged_in
from neonctl.pipelines.migrate import Order, Outcome, run_settings, shown

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder, UndoFile
    from neonctl.migrations.progress import MigrationEvent
    from neonctl.migrations.stakes import Loss
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services


@dataclass(frozen=True)
class Undoing:
    """What is about to be undone, newest first, and what would be lost with it."""

    database: str
    undos: tuple[UndoFile, ...]
    at_stake: tuple[Loss, ...]


def undo_migrations(
    environment: str,
    database: str,
    *,
    to: int,
    desired: Desired,
    files: MigrationFolder,
    services: Services,
    progress: Progress,
    provenance: Callable[[], Provenance],
    before: Callable[[Undoing], None],
    after: Callable[[Outcome], None],
) -> tuple[str, ...]:
    """Go back to version ``to``, as ``{database}_migrate_user``; the versions that were undone, newest first.

    ``before`` is told what would be undone and lost, and may refuse by raising; it is not asked when there is
    nothing to undo; ``after`` is told how it ended, failed or not. Raises what ``migrations.undo.undo`` raises.
    """
    from neonctl.migrations.history import read_history
    from neonctl.migrations.stakes import rows_at_stake
    from neonctl.migrations.undo import newest_first, undo

    spec = desired.environments[environment]
    with logged_in([database], spec, services) as connections:
        connection = connections[database]
        todo = newest_first(files, read_history(connection), database=database, to=to)
        if not todo:
            return ()
        undos = tuple(file.undo for file in todo)
        before(Undoing(database, undos, rows_at_stake(connection, undos)))
        undone: list[str] = []

        def tell(event: MigrationEvent) -> None:
            if event.kind == "undone" and event.script:
                undone.append(event.script)
            progress(shown(environment, event))

        state: Literal["done", "failed", "stopped"] = "failed"
        try:
            result = undo(
                connection,
                database=database,
                files=files,
                to=to,
                progress=tell,
                settings=run_settings(desired, spec, Order()),
                provenance=provenance(),
            )
            state = "done"
        except KeyboardInterrupt:
            state = "stopped"
            raise
        finally:
            after(Outcome(environment, database, state, tuple(undone), "undone"))
    return result.undone
