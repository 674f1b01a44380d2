"""A drill from look to unwind, on a copy: what happens, in which order, and what each part must show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from neonctl.banking.drills import proofs
from neonctl.banking.drills.depositors import depositor_view
from neonctl.banking.drills.gate import Gate
from neonctl.banking.drills.officer import Copy, DrillOfficer
from neonctl.banking.drills.report import DepositorView, Parameters, Probe, Proof, RealKeys, Sums
from neonctl.banking.resolution import ResolutionEvent, read_state, reconcile
from neonctl.banking.resolution_keys import list_keys
from neonctl.banking.resolution_reading import read_record
from neonctl.banking.resolution_record import SOON, read_status, readiness_gaps
from neonctl.banking.resolution_verification import UNREADABLE, RecordFault, record_faults
from neonctl.banking.statement import patiently
from neonctl.banking.verification import Door, Scope, verify_ledger
from neonctl.errors import NeonctlError, RetryableError, ServiceError

if TYPE_CHECKING:
    from neonctl.banking.drills.proofs import Connection, Figures
    from neonctl.banking.drills.timeline import Timeline

_WORK_MEM: Final = "64MB"  # a million rows are joined and sorted; the smallest compute has 1 GB

AUTHORITY: Final = "the regulator's instruction to activate, two officers' to unwind"
ROUNDING: Final = tuple(
    """\
A holder's part of a joint account is its share of the balance, rounded down to the cent; the last holder has the rest.
Of each part, what exceeds the de minimis amount is frozen times the haircut, rounded down: the fraction stays free.
What is not frozen of a part is available. Where the product is not pre-positioned, all of it is frozen.
Of an overdrawn account nothing is frozen and nothing is available.
A release leaves of each frozen part what the percentage leaves of it, rounded down to the cent.""".splitlines()
)


@dataclass(frozen=True)
class Doors:
    """Ways into the copy, each as one role."""

    officer: Door
    app: Door
    readonly: Door
    owner: Door


@dataclass
class Findings:
    """What was seen so far."""

    activation_parts: Mapping[str, int] = field(default_factory=dict[str, int])
    sums: Sequence[Sums] = ()
    depositors: DepositorView | None = None
    real_keys: RealKeys | None = None
    proofs: list[Proof] = field(default_factory=list[Proof])
    probes: list[Probe] = field(default_factory=list[Probe])
    notes: list[str] = field(default_factory=list[str])
    failure: tuple[str, str] | None = None


def check_ready(conn: Connection, environment: str) -> str:
    """The bank's resolution state, if a drill of it makes sense.

    Raises ``NeonctlError`` OBR_DRILL_REFUSED while a resolution is activated, and for a bank that is not under the
    regime; OBR_STATE_TABLE_EMPTY.
    """
    state = read_state(conn).resolution_state
    if state == "activated":
        raise NeonctlError(
            "OBR_DRILL_REFUSED",
            f"a resolution is activated in {environment}: this is no time for a drill",
            hint="`neonctl obr status` shows it; drill once it is unwound and re-armed",
        )
    if state == "normal":
        raise NeonctlError(
            "OBR_DRILL_REFUSED",
            f"{environment} is normal, not pre_positioned: there is nothing to drill",
            hint="a bank under the regime is pre_positioned continuously",
        )
    return state


class Conduct:
    """One drill on one copy."""

    def __init__(self, doors: Doors, parameters: Parameters, copy: Copy, timeline: Timeline) -> None:
        self._doors = doors
        self._asked = parameters
        self._copy = copy
        self._timeline = timeline
        self.findings = Findings()

    def carry_out(self, state: str) -> None:
        """All parts. What the bank refuses ends the drill and is in ``findings.failure``.

        Raises ``ServiceError`` and ``RetryableError``: then Postgres let it come to no end.
        """
        try:
            self._carry_out(state)
        except (ServiceError, RetryableError):
            raise
        except NeonctlError as error:
            self.findings.failure = (error.code, error.message)

    def _carry_out(self, state: str) -> None:
        found, phase = self.findings, self._timeline.phase
        with ExitStack() as opened:
            session, app, self._reader = (
                opened.enter_context(door()) for door in (self._doors.officer, self._doors.app, self._doors.readonly)
            )
            self._reader.execute("SELECT set_config('work_mem', %s, false)", [_WORK_MEM])
            officer, gate = DrillOfficer(session, self._copy, self._asked), Gate(app, self._copy.token)
            with phase("look", "Figures before"):
                gate.open_tills()
                before = proofs.read_figures(self._reader)
                found.real_keys = _real_keys(self._reader)
            with phase("keys", "Keys registered"):
                self._register(officer)
                self._be_ready(officer, state)
                known = set(self._record_faults())
            with phase("activate", "Activation"):
                activated = officer.activate()
                found.activation_parts = _parts(activated)
            with phase("sums", "Sums proven"):
                self._prove_split(activated)
                found.proofs += officer.refusals()
            with phase("gate", "Gate tried by postings"):
                touched = self._try_gate(gate)
            with phase("reconcile", "Reconciliation"):
                found.proofs.append(self._reconcile(app))
            if self._asked.release_percent is not None:
                with phase("release", f"Release of {self._asked.release_percent.normalize():f} %"):
                    released = officer.release()
                with phase("released", "Release proven"):
                    self._prove_release(activated, released)
            with phase("unwind", "Unwind"):
                officer.unwind()
            with phase("after", "Nothing left proven"):
                self._prove_unwound(activated, before, touched)
                found.proofs.append(self._prove_record(known))

    def _register(self, officer: DrillOfficer) -> None:
        officers = sum(key.kind == "officer" for key in list_keys(self._reader))
        officer.register(self._doors.owner() if officers else None)
        if officers:
            self.findings.notes.append(
                f"{officers} officers' keys are registered, and no drill has them: the drill's own were added on the "
                "copy by its owner, with the guard of core.obr_keys lifted for that transaction."
            )

    def _be_ready(self, officer: DrillOfficer, state: str) -> None:
        ok = state == "pre_positioned"
        self.findings.proofs.append(Proof("ready", "The environment was ready: pre_positioned", ok, state))
        if not ok:
            officer.rearm()
            self.findings.notes.append(f"The copy was {state}, and was re-armed to be drilled.")

    def _prove_split(self, activated: ResolutionEvent) -> None:
        found = self.findings
        found.proofs += proofs.proven(self._reader, "split", "evidence", "holders")
        found.sums = proofs.read_sums(self._reader)
        found.proofs.append(
            proofs.totals_agree(
                activated.accounts_partitioned,
                activated.total_frozen_amount,
                activated.total_available_amount,
                found.sums,
            )
        )
        with patiently(self._reader, "counting depositors"):
            found.depositors = depositor_view(self._reader)
        found.proofs.append(proofs.depositors_agree(found.depositors, found.sums))

    def _try_gate(self, gate: Gate) -> Sequence[UUID]:
        self.findings.proofs.append(proofs.guards_stand(self._reader))
        gate.choose(self._reader)
        self.findings.probes += gate.try_all()
        committed, touched = gate.pay_and_spend()
        self.findings.probes.append(committed)
        return touched

    def _reconcile(self, app: Connection) -> Proof:
        differences = reconcile(app, trace=self._copy.trace).differences
        statement = "The daily reconciliation finds nothing"
        return Proof("reconciled", statement, differences == 0, f"{differences:,} differences")

    def _record_faults(self) -> Sequence[RecordFault]:
        return list(record_faults(read_record(self._reader), scope=self._copy.scope))

    def _prove_record(self, known: Set[RecordFault]) -> Proof:
        faults = [each for each in self._record_faults() if each not in known or each == UNREADABLE]
        statement = "Every event of the drill is on record with the signatures it was done by"
        seen = "; ".join(f"{each.subject} {each.message}" for each in faults) or "signatures verified"
        return Proof("record", statement, not faults, seen)

    def _prove_release(self, activated: ResolutionEvent, released: ResolutionEvent) -> None:
        assert self._asked.release_percent is not None
        most = activated.total_frozen_amount * (100 - self._asked.release_percent) / 100
        ok = released.total_frozen_amount <= most
        seen = f"{released.total_frozen_amount:,.2f} of {activated.total_frozen_amount:,.2f} are still frozen"
        again = proofs.proven(self._reader, "split", "evidence")
        self.findings.proofs += [
            Proof("released", "No more stays frozen than the release leaves", ok, seen),
            *(
                Proof(
                    f"{each.name}_released", f"{each.statement}, after the release", each.ok, each.found, each.accounts
                )
                for each in again
            ),
        ]

    def _prove_unwound(self, activated: ResolutionEvent, before: Sequence[Figures], touched: Sequence[UUID]) -> None:
        state = read_state(self._reader).resolution_state
        moved = {"event_id": activated.event_id}
        intact = [verify_ledger(self._doors.readonly, Scope(account=each), jobs=1) for each in touched]
        faults = [f"{fault.kind} in {fault.table}" for each in intact for fault in each.faults]
        self.findings.proofs += [
            Proof("resolved", "The bank is resolved", state == "resolved", state),
            *proofs.proven(self._reader, "left"),
            *proofs.proven(self._reader, "moved", parameters=moved),
            proofs.as_before(before, proofs.read_figures(self._reader)),
        ]
        if touched:
            seen = "; ".join(faults) or f"{len(touched)} accounts intact"
            self.findings.proofs.append(
                Proof("ledger", "The ledger of what was posted for good verifies", not faults, seen)
            )


def _real_keys(reader: Connection) -> RealKeys:
    """The keys that were registered when the copy was made: the drill's own come after."""
    status = read_status(reader)
    gaps = readiness_gaps(status)
    return RealKeys(status.officer_keys, status.regulator_keys, status.keys_until, SOON.days, gaps)


def _parts(activated: ResolutionEvent) -> Mapping[str, int]:
    """What the activation itself says of its parts, in milliseconds."""
    seconds: Mapping[str, float] = activated.metadata.get("seconds", {})
    return {name: round(float(took) * 1000) for name, took in seconds.items()}
