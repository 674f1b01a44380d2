"""The resolution officer of a drill: keys made in memory, instructions signed with them, and what they order.

The keys are registered on the copy only, and what they sign names the copy as its scope: it is worth nothing elsewhere.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.drills.report import Proof
from neonctl.banking.failures import translate
from neonctl.banking.money import show
from neonctl.banking.signing.claims import Action, canonical_haircut, canonical_percent
from neonctl.banking.signing.instruction import Instruction
from neonctl.banking.signing.keys import Signer, generate, signer_of
from neonctl.banking.statement import patiently, row
from neonctl.errors import NeonctlError, RetryableError, ServiceError
from neonctl.postgres.queryfile import query

Connection = psycopg.Connection[TupleRow]

_EARLIER, _VALID_FOR = timedelta(minutes=5), timedelta(hours=24)
_NAMES: Final = ("first officer of the drill", "second officer of the drill")
_REGULATOR: Final = "regulator of the drill"
_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class Ordered:
    """The event that an order wrote."""

    event_id: UUID
    accounts_partitioned: int
    total_frozen_amount: Decimal
    total_available_amount: Decimal
    authority: str


@dataclass(frozen=True)
class _KeyId:
    key_id: str


class DrillOfficer:
    """Acts as ``bank_core_resolution_officer`` over ``conn``. ``scope``: ``project/branch``, the copy's."""

    def __init__(self, conn: Connection, *, scope: str, token: str, actor: str, trace_id: str) -> None:
        self._conn = conn
        self._scope = scope
        self._token = token
        self._who: Mapping[str, object] = {"scope": scope, "actor": actor, "trace_id": trace_id}
        self._nbf = datetime.now(UTC).replace(microsecond=0) - _EARLIER
        self._officers: Sequence[Signer] = [signer_of(generate("ed25519")), signer_of(generate("p256"))]
        self._regulator = signer_of(generate("ed25519"))
        self._activation: Mapping[str, object] = {}
        self._sign_activation: Callable[[], Sequence[str]] = tuple
        self._used: Sequence[str] = ()

    def register(self, owner: AbstractContextManager[Connection] | None) -> None:
        """Register the two officers' keys, then the regulator's by their signatures.

        ``owner``: a session of the copy's owner, where officers are registered already: theirs are not to be had.
        """
        if owner is None:
            for name, signer in zip(_NAMES, self._officers, strict=True):
                self._register(name, "officer", signer, [])
        else:
            with owner as session:
                self._insert(session)
        add = self._instruction(
            "add-key",
            key_id=self._regulator.public.key_id,
            key_name=_REGULATOR,
            key_kind="regulator",
            valid_from=int(self._nbf.timestamp()),
            valid_until=None,
        )
        self._register(_REGULATOR, "regulator", self._regulator, [add.sign(each) for each in self._officers])

    def activate(self, haircut: Decimal, de_minimis: Decimal, *, equal_shares: bool) -> Ordered:
        """By the regulator's instruction."""
        terms = {"haircut": canonical_haircut(haircut), "de_minimis": show(de_minimis), "equal_shares": equal_shares}
        self._activation = {"haircut": haircut, "de_minimis": de_minimis, "equal_shares": equal_shares}
        self._sign_activation = lambda: [self._instruction("activate", **terms).sign(self._regulator)]
        self._used = self._sign_activation()
        return self._order("activate", self._used, self._activation)

    def refusals(self) -> Sequence[Proof]:
        """What must be refused once activated: the same instruction again, and another activation."""
        used = self._refusal(self._used)
        other = self._refusal(self._sign_activation())
        return (
            Proof("replay", "The instruction is refused under another key", used == "OBR_INSTRUCTION_REPLAYED", used),
            Proof("twice", "Another activation is refused", other == "ALREADY_ACTIVATED", other),
        )

    def release(self, percent: Decimal) -> Ordered:
        """By the regulator's instruction. ``percent`` of what was frozen."""
        instruction = self._instruction("release", percent=canonical_percent(percent))
        return self._order("release", [instruction.sign(self._regulator)], {"percent": percent})

    def unwind(self) -> Ordered:
        """By two officers, as in an emergency."""
        instruction = self._instruction("unwind", permanent_haircut_sha256=None)
        return self._order("unwind", [instruction.sign(each) for each in self._officers])

    def rearm(self) -> Ordered:
        """By the regulator's instruction."""
        return self._order("rearm", [self._instruction("rearm").sign(self._regulator)])

    @property
    def _reference(self) -> str:
        return f"DRILL-{self._token}"

    def _instruction(self, action: Action, **terms: object) -> Instruction:
        begin, end = (int(moment.timestamp()) for moment in (self._nbf, self._nbf + _VALID_FOR))
        return Instruction(action, "NZ", self._scope, self._reference, begin, end, str(uuid.uuid4()), terms)

    def _register(self, name: str, kind: str, signer: Signer, documents: Sequence[str]) -> None:
        parameters = {
            **self._who,
            "name": name,
            "kind": kind,
            "jwk": json.dumps(signer.public.jwk),
            "valid_from": self._nbf,
            "documents": list(documents),
            "reference": self._reference,
        }
        row(self._conn, "drill", "register_key", _KeyId, parameters, doing="registering a key of the drill")

    def _insert(self, owner: Connection) -> None:
        doing = "registering the drill's officers beside those there are"
        try:
            with owner.transaction():
                owner.execute(query("drill", "lift_guard", "banking"))
                for name, signer in zip(_NAMES, self._officers, strict=True):
                    key = {"key_id": signer.public.key_id, "algorithm": signer.public.algorithm}
                    parameters = {**self._who, **key, "name": name, "valid_from": self._nbf}
                    parameters["jwk"] = json.dumps(signer.public.jwk)
                    row(owner, "drill", "insert_key", _KeyId, parameters, doing=doing)
                owner.execute(query("drill", "restore_guard", "banking"))
        except psycopg.Error as error:
            raise translate(error, doing) from None

    def _refusal(self, documents: Sequence[str]) -> str:
        """The code that an activation by ``documents`` is refused with."""
        try:
            self._order("activate", documents, self._activation, key=str(uuid.uuid4()))
        except (ServiceError, RetryableError):
            raise
        except NeonctlError as error:
            return error.code
        return "activated"

    def _order(
        self, action: Action, documents: Sequence[str], given: Mapping[str, object] = _NOTHING, *, key: str = ""
    ) -> Ordered:
        parameters = {
            **self._who,
            **given,
            "documents": list(documents),
            "reference": self._reference,
            "idempotency_key": key or f"drill-{self._token}-{action}",
        }
        doing = f"the drill's {action}"
        with patiently(self._conn, doing):
            return row(self._conn, "drill", action, Ordered, parameters, doing=doing)
