"""What a drill found, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from neonctl.banking.drills.report import Drill


def drill_text(drill: Drill, document: Path, page: Path, key_id: str) -> str:
    """How it ended, what did not hold, how long each part took, and where the report lies."""
    return "\n".join(_lines(drill, document, page, key_id))


def drill_facts(report: Mapping[str, Any]) -> dict[str, object]:
    """A report's document in short: the whole of it is for the page and for programs."""
    checked = [*report["proofs"], *(probe for probe in report["probes"] if probe["ok"] is not None)]
    failed = [each["statement"] for each in checked if not each["ok"]]
    failed += [report["failure"]["code"]] if report["failure"] else []
    return {
        "outcome": report["outcome"],
        "environment": report["target"]["environment"],
        "ended_at": report["ended_at"],
        "haircut": report["parameters"]["haircut"],
        "accounts": sum(each["accounts"] for each in report["sums"]),
        "statements": len(checked),
        "failed": "; ".join(failed) or None,
    }


def _lines(drill: Drill, document: Path, page: Path, key_id: str) -> Iterator[str]:
    accounts = sum(each.accounts for each in drill.sums)
    word = "PASSED" if drill.passed else "FAILED"
    whole = (drill.ended_at - drill.started_at).total_seconds()
    yield (
        f"{word}: drill on a copy of {drill.target.environment}, haircut {drill.parameters.haircut:.4f}, "
        f"{accounts:,} customer accounts, {whole:,.1f} s"
    )
    if drill.failure is not None:
        yield f"  stopped   {drill.failure[0]}: {drill.failure[1]}"
    for proof in drill.proofs:
        if not proof.ok:
            yield f"  failed    {proof.statement}: {proof.found}"
            yield from (f"            account {account}" for account in proof.accounts)
    for probe in drill.probes:
        if probe.ok is False:
            yield f"  failed    {probe.statement}: expected {probe.expected}, found {probe.found}"
    yield ""
    width = max((len(phase.title) for phase in drill.phases), default=0)
    for phase in drill.phases:
        yield f"  {phase.title:<{width}}  {phase.took_ms / 1000:>9,.2f} s"
    yield ""
    for each in drill.sums:
        yield (
            f"  {each.currency}  balance {each.balance:,.2f}  "
            f"frozen {each.frozen:,.2f}  available {each.available:,.2f}"
        )
    if drill.depositors is not None:
        view = drill.depositors
        yield (
            f"  depositors {view.depositors:,}, over the limit {view.depositors_over_limit:,}; "
            f"protected {view.protected:,.2f}, not protected {view.unprotected:,.2f}"
        )
    tried = [probe for probe in drill.probes if probe.ok is not None]
    held = sum(proof.ok for proof in drill.proofs) + sum(bool(probe.ok) for probe in tried)
    yield f"  {held} of {len(drill.proofs) + len(tried)} statements held"
    left_out = [probe.name for probe in drill.probes if probe.ok is None]
    if left_out:
        yield f"  not tried, for want of an account or of money there: {', '.join(left_out)}"
    yield from (f"  note: {note}" for note in drill.notes)
    if drill.real_keys is not None:
        yield (
            f"  the environment's own keys: {drill.real_keys.officers} officers', "
            f"{drill.real_keys.regulators} of the regulator"
        )
        yield from (f"  not ready: {gap}" for gap in drill.real_keys.gaps)
    yield ""
    yield f"report  {document} (signed by {key_id})"
    yield f"page    {page}"
