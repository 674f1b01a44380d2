"""Proofs: every undo of these databases shown to undo, on a throw-away branch; the outcome stays on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from neonctl.errors import UsageError
from neonctl.pipelines.gate import proof_home
from neonctl.pipelines.logins import logged_in
from neonctl.pipelines.migrate import Order, run_settings, shown
from neonctl.provision.parallel import by_key

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.desired.model import Desired
    from neonctl.migrations.evidence import Provenance
    from neonctl.migrations.files import MigrationFolder
    from neonctl.migrations.proof import Proof
    from neonctl.provision.audit import AuditLog
    from neonctl.provision.progress import Progress
    from neonctl.provision.services import Services


def home_of_proofs(desired: Desired) -> str:
    """The environment whose copy proofs run on and that keeps them. Raises ``UsageError`` when there is none."""
    home = proof_home(desired)
    if home is None:
        raise UsageError(
            "NO_PLACE_FOR_PROOFS",
            "every environment holds production data: there is none to prove migrations on",
            hint="declare a lower environment in config/environments/",
        )
    return home


def prove_databases(
    databases: Sequence[str],
    *,
    desired: Desired,
    files: Mapping[str, MigrationFolder],
    db_dir: Path,
    services: Services,
    progress: Progress,
    provenance: Callable[[], Provenance],
    audit: AuditLog,
) -> Mapping[str, Proof]:
    """Prove each database's migrations on a copy of ``home_of_proofs``, side by side, and record what came out.

    A migration that fails its proof is in the result, and on record too: it revokes an earlier proof of the same
    bytes. Raises what reading fixtures, Neon and Postgres raise.
    """
    from neonctl.migrations.proof import read_fixtures
    from neonctl.migrations.prove import prove
    from neonctl.provision.throwaway import throwaway_branch

    home = home_of_proofs(desired)
    settings = run_settings(desired, desired.environments[home], Order())
    fixtures = {name: read_fixtures(db_dir / name / "fixtures") for name in databases}
    with throwaway_branch(
        desired,
        services,
        environment=home,
        purpose="proof",
        databases=databases,
        progress=progress,
        now=datetime.now(UTC),
        audit=audit,
    ) as branch:

        def one(database: str) -> Proof:
            with branch.login(database) as connection:
                return prove(
                    connection,
                    database=database,
                    files=files[database],
                    fixtures=fixtures[database],
                    progress=lambda event: progress(shown(branch.name, event)),
                    settings=settings,
                )

        proofs = by_key(one, databases)
    with logged_in(databases, desired.environments[home], services) as connections:
        origin = provenance()
        by_key(lambda name: _record(connections[name], proofs[name], origin), databases)
    return proofs


def _record(connection: psycopg.Connection[TupleRow], proof: Proof, provenance: Provenance) -> None:
    """One entry for each version whose outcome is not on record already."""
    from neonctl.migrations.evidence import NewEntry, read_evidence, record

    newest = {
        (entry.version, entry.up_sha256, entry.down_sha256): (entry.proof_id, entry.details.get("ok"))
        for entry in read_evidence(connection)
        if entry.kind == "proof"
    }
    for each in proof.versions:
        ok = each.ok and not proof.problems
        if newest.get((each.version, each.up_sha256, each.down_sha256)) == (proof.proof_id, ok):
            continue
        record(
            connection,
            NewEntry(
                "proof",
                provenance,
                version=each.version,
                script=each.script,
                up_sha256=each.up_sha256,
                down_sha256=each.down_sha256,
                proof_id=proof.proof_id,
                details={"ok": ok, "problems": [*proof.problems, *each.problems], "notes": list(each.notes)},
            ),
        )
