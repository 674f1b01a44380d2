"""The result of verify: what failed first, then how much was proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from neonctl.cli.progress import ProgressLines
from neonctl.cli.provisioning import selection
from neonctl.errors import NeonctlError
from neonctl.pipelines.configuration import privileges_file
from neonctl.plan.privileges import header, render
from neonctl.provision.observe import observe
from neonctl.provision.verify import Check, object_privileges, verify_environment

if TYPE_CHECKING:
    from neonctl.cli.session import Session
    from neonctl.plan.observed import Observed


# Plan reads no secret and Postgres shows no password, so neither can see a password that was changed by hand.
_LOGIN_HINT = (
    "a stored credential that cannot log in was changed by hand: `COMMENT ON ROLE … IS NULL`, run as the owner role, "
    "makes the next `neonctl apply` set the stored password again"
)


def run_verification(session: Session, env: Sequence[str] | None, *, write_privileges: bool) -> int:
    """Prove the matrix of every chosen environment. Exit 1 when a check fails."""
    configuration = session.configuration(env or ())
    desired = configuration.desired
    chosen = selection(configuration, env) or tuple(desired.environments)
    services = session.services(desired, "verify")
    session.say(f"Reading {', '.join(chosen)}, then logging in with every stored credential")
    observed = observe(desired, services, selection=chosen)
    missing = [name for name in chosen if observed.environments[name].branch is None]
    if missing:
        raise NeonctlError(
            "NOT_PROVISIONED", f"{', '.join(missing)} does not exist yet", hint="run `neonctl apply` first"
        )
    if write_privileges:
        _write_privileges(session, observed, chosen[-1], list(desired.platform.databases))
        configuration = session.configuration(env or ())
        desired = configuration.desired
    checks: list[Check] = []
    with ProgressLines(session) as progress:
        for name in chosen:
            checks += verify_environment(
                name, observed.environments[name], desired=desired, services=services, progress=progress
            )
    failed = [check for check in checks if not check.passed]
    session.emit(
        {
            "passed": len(checks) - len(failed),
            "failed": len(failed),
            "checks": [{**asdict(check), "passed": check.passed} for check in checks],
        },
        "\n".join([*(_line(check) for check in failed), _result(checks, failed, chosen)]),
    )
    if any(check.probe.startswith("log in") for check in failed):
        session.say(f"\nhint: {_LOGIN_HINT}")
    return 1 if failed else 0


def _write_privileges(session: Session, observed: Observed, environment: str, databases: Sequence[str]) -> None:
    for database in databases:
        inside = observed.environments[environment].cluster
        history = inside.databases[database].history if inside and database in inside.databases else None
        if not history:
            continue
        grants = object_privileges(observed.environments[environment], database)
        path = privileges_file(session.settings.db_dir, database)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (header(history[-1].version), *render(grants))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        session.say(f"wrote {path} as it is on {environment}")


def _line(check: Check) -> str:
    told = f": {check.message}" if check.message else ""
    return (
        f"FAILED  {check.environment}/{check.database}/{check.role}  {check.probe}: "
        f"should be {check.expected}, is {check.found}{told}"
    )


def _result(checks: Sequence[Check], failed: Sequence[Check], environments: Sequence[str]) -> str:
    roles = len({(check.environment, check.role) for check in checks})
    refused = sum(1 for check in checks if check.expected == "denied" and check.passed)
    if failed:
        return f"{len(failed)} of {len(checks)} checks failed."
    return (
        f"All {len(checks)} checks passed in {', '.join(environments)}: {roles} stored credentials logged in over "
        f"their own path, {refused} forbidden things were refused."
    )
