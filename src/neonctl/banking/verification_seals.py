"""Seals looked at again: that each follows the one before, and that an exported one is still there."""

from __future__ import annotations

from collections.abc import Sequence

from neonctl.banking.chain import ZERO_HASH, Fault
from neonctl.banking.seals import Seal
from neonctl.banking.statement import rows
from neonctl.banking.verification_sessions import DOING, Connection
from neonctl.banking.verification_tasks import Scope
from neonctl.errors import NeonctlError


def read_seals(conn: Connection, scope: Scope) -> list[Seal]:
    """The seals to check; none where only an account is asked for. Those up to ``since`` are trusted."""
    if scope.account is not None and scope.anchor is None and not scope.since:
        return []
    found = rows(conn, "verify_seals", "seals", Seal, {"since": max(scope.since - 1, 0)}, doing=DOING)
    if scope.since and (not found or found[0].seal_no != scope.since):
        raise NeonctlError("SEAL_NOT_FOUND", f"there is no seal {scope.since}")
    return found


def seal_chain_faults(seals: Sequence[Seal], scope: Scope) -> list[Fault]:
    """What is wrong with the chain that the seals themselves are."""
    faults: list[Fault] = []
    table = "core.log_seals"
    before, number = (ZERO_HASH, 0) if not scope.since else (None, scope.since - 1)
    for seal in seals:
        named = str(seal.seal_no)
        if seal.seal_no != number + 1:
            faults.append(Fault("removed", table, str(number + 1), f"seal {number + 1} is missing"))
        elif seal.computed() != seal.seal_hash:
            faults.append(Fault("altered", table, named, f"seal {named} does not have the hash of its values"))
        elif before is not None and seal.previous_hash != before:
            faults.append(Fault("altered", table, named, f"seal {named} does not follow the one before"))
        before, number = seal.seal_hash, seal.seal_no
    if scope.anchor is not None:
        same = next((seal for seal in seals if seal.seal_no == scope.anchor.seal_no), None)
        named = str(scope.anchor.seal_no)
        if same is None:
            faults.append(Fault("removed", table, named, f"the exported seal {named} is not in the database"))
        elif same.seal_hash != scope.anchor.seal_hash:
            faults.append(Fault("altered", table, named, f"seal {named} is not the one that was exported"))
    return faults
