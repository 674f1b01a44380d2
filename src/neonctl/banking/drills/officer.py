"""The resolution officer of a drill: keys made in memory, instructions signed with them, and what they order.

The keys are registered on the copy only, and what they sign names the copy as its scope: it is worth nothing elsewhere.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.drills.report import Parameters, Proof
from neonctl.banking.failures import translate
from neonctl.banking.money import show
from neonctl.banking.resolution import Order, ResolutionEvent, activate, rearm, release, unwind
from neonctl.banking.resolution_keys import KeyKind, NewKey, register_key
from neonctl.banking.signing.claims import Action, canonical_haircut, canonical_percent
from neonctl.banking.signing.instruction import Instruction
from neonctl.banking.signing.keys import Signer, generate, signer_of
from neonctl.banking.statement import Trace, row
from neonctl.errors import NeonctlError, RetryableError, ServiceError
from neonctl.postgres.queryfile import query

Connection = psycopg.Connection[TupleRow]

_EARLIER, _VALID_FOR = timedelta(minutes=5), timedelta(hours=24)
_NAMES: Final = ("first officer of the drill", "second officer of the drill")
_REGULATOR: Final = "regulator of the drill"


@dataclass(frozen=True)
class Copy:
    """The copy that is drilled on: ``scope`` is ``project/branch``; ``token`` makes keys and references its own."""

    scope: str
    token: str
    trace: Trace


class DrillOfficer:
    """Acts as ``bank_core_resolution_officer`` over ``conn``."""

    def __init__(self, conn: Connection, copy: Copy, asked: Parameters) -> None:
        self._conn = conn
        self._copy = copy
        self._asked = asked
        self._nbf = datetime.now(UTC).replace(microsecond=0) - _EARLIER
        self._officers: Sequence[Signer] = [signer_of(generate("ed25519")), signer_of(generate("p256"))]
        self._regulator: Sequence[Signer] = [signer_of(generate("ed25519"))]
        self._used: Sequence[str] = ()

    def register(self, owner: AbstractContextManager[Connection] | None) -> None:
        """Register the two officers' keys, then the regulator's by their signatures.

        ``owner``: a session of the copy's owner, where officers are registered already: theirs are not to be had.
        """
        if owner is None:
            for name, signer in zip(_NAMES, self._officers, strict=True):
                self._register(name, "officer", signer)
        else:
            with owner as session:
                self._insert(session)
        (regulator,) = self._regulator
        terms = {"key_id": regulator.public.key_id, "key_name": _REGULATOR, "key_kind": "regulator"}
        times = {"valid_from": int(self._nbf.timestamp()), "valid_until": None}
        documents = self._signed("add-key", self._officers, **terms, **times)
        self._register(_REGULATOR, "regulator", regulator, documents)

    def activate(self) -> ResolutionEvent:
        """By the regulator's instruction."""
        self._used = self._activation()
        return self._activate(self._used, "activate")

    def refusals(self) -> Sequence[Proof]:
        """What must be refused once activated: the same instruction again, and another activation."""
        used = _code_of(lambda: self._activate(self._used, "replay"))
        other = _code_of(lambda: self._activate(self._activation(), "twice"))
        return (
            Proof("replay", "The instruction is refused a second time", used == "OBR_INSTRUCTION_REPLAYED", used),
            Proof("twice", "Another activation is refused", other == "ALREADY_ACTIVATED", other),
        )

    def release(self) -> ResolutionEvent:
        """By the regulator's instruction: the percentage that was asked for."""
        assert self._asked.release_percent is not None
        percent = self._asked.release_percent
        documents = self._signed("release", self._regulator, percent=canonical_percent(percent))
        return release(self._conn, self._order(documents, "release"), percent=percent, trace=self._copy.trace)

    def unwind(self) -> ResolutionEvent:
        """By two officers, as in an emergency."""
        documents = self._signed("unwind", self._officers, permanent_haircut_sha256=None)
        return unwind(self._conn, self._order(documents, "unwind"), trace=self._copy.trace)

    def rearm(self) -> ResolutionEvent:
        """By the regulator's instruction."""
        documents = self._signed("rearm", self._regulator)
        return rearm(self._conn, self._order(documents, "rearm"), trace=self._copy.trace)

    def _activation(self) -> Sequence[str]:
        haircut, untouched = canonical_haircut(self._asked.haircut), show(self._asked.de_minimis)
        terms = {"haircut": haircut, "de_minimis": untouched, "equal_shares": self._equal_shares}
        return self._signed("activate", self._regulator, **terms)

    def _activate(self, documents: Sequence[str], key: str) -> ResolutionEvent:
        return activate(
            self._conn,
            self._order(documents, key),
            haircut=self._asked.haircut,
            de_minimis=self._asked.de_minimis,
            equal_shares=self._equal_shares,
            trace=self._copy.trace,
        )

    @property
    def _equal_shares(self) -> bool:
        return self._asked.shares == "equal"

    @property
    def _reference(self) -> str:
        return f"DRILL-{self._copy.token}"

    def _order(self, documents: Sequence[str], key: str) -> Order:
        return Order(self._reference, documents, self._copy.scope, f"drill-{self._copy.token}-{key}")

    def _signed(self, action: Action, signers: Sequence[Signer], **terms: object) -> Sequence[str]:
        begin, end = (int(moment.timestamp()) for moment in (self._nbf, self._nbf + _VALID_FOR))
        number, scope = str(uuid.uuid4()), self._copy.scope
        instruction = Instruction(action, "NZ", scope, self._reference, begin, end, number, terms)
        return [instruction.sign(signer) for signer in signers]

    def _register(self, name: str, kind: KeyKind, signer: Signer, documents: Sequence[str] = ()) -> None:
        register_key(
            self._conn,
            NewKey(name, kind, signer.public.jwk, self._nbf),
            scope=self._copy.scope,
            reference=self._reference,
            documents=documents,
            trace=self._copy.trace,
        )

    def _insert(self, owner: Connection) -> None:
        doing = "registering the drill's officers beside those there are"
        try:
            with owner.transaction():
                owner.execute(query("drill", "lift_guard", "banking"))
                for name, signer in zip(_NAMES, self._officers, strict=True):
                    key = {"key_id": signer.public.key_id, "algorithm": signer.public.algorithm, "name": name}
                    more = {"jwk": json.dumps(signer.public.jwk), "valid_from": self._nbf}
                    parameters = {**key, **more, **self._copy.trace.values()}
                    row(owner, "drill", "insert_key", _KeyId, parameters, doing=doing)
                owner.execute(query("drill", "restore_guard", "banking"))
        except psycopg.Error as error:
            raise translate(error, doing) from None


@dataclass(frozen=True)
class _KeyId:
    key_id: str


def _code_of(attempt: Callable[[], object]) -> str:
    """The code that ``attempt`` is refused with."""
    try:
        attempt()
    except (ServiceError, RetryableError):
        raise
    except NeonctlError as error:
        return error.code
    return "done"
