"""A bank with keys registered, and instructions for it. What the database checks needs no true signatures here."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from bank_database import Bank, Connection, open_customer, open_internal

SCOPE = "bank/test"


def encoded(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class Key:
    """A public key as it is registered."""

    name: str
    kind: str
    x: str = field(default_factory=lambda: encoded(secrets.token_bytes(32)))

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": self.x}

    @property
    def key_id(self) -> str:
        text = f'{{"crv":"Ed25519","kty":"OKP","x":"{self.x}"}}'
        return encoded(hashlib.sha256(text.encode()).digest())

    def sign(self, claims: Mapping[str, object], **header: object) -> str:
        """A document with a signature that is none."""
        head = {"alg": "EdDSA", "kid": self.key_id, "typ": "obr-instruction+jws", **header}
        parts = [encoded(json.dumps(part).encode()) for part in (head, claims)]
        return ".".join([*parts, encoded(secrets.token_bytes(64))])


def claims(action: str, **terms: object) -> dict[str, object]:
    """An instruction's claims, valid now."""
    now = int(time.time())
    common = {"jurisdiction": "NZ", "scope": SCOPE, "reference": "RBNZ-1", "nbf": now - 60, "exp": now + 600}
    return {"action": action, "jti": str(uuid.uuid4()), **common, **terms}


@dataclass
class Resolution:
    """A bank with two officers' keys and a regulator's, and the writes of the resolution officer."""

    bank: Bank
    alice: Key = field(default_factory=lambda: Key("alice", "officer"))
    bob: Key = field(default_factory=lambda: Key("bob", "officer"))
    rbnz: Key = field(default_factory=lambda: Key("rbnz", "regulator"))

    @cached_property
    def officer(self) -> Connection:
        return self.bank.connect("resolution_officer")

    @cached_property
    def app(self) -> Connection:
        return self.bank.connect("app_user")

    @cached_property
    def reader(self) -> Connection:
        return self.bank.connect("readonly")

    @cached_property
    def till(self) -> uuid.UUID:
        return open_internal(self.app)

    def register(
        self,
        key: Key,
        documents: list[str] | None = None,
        conn: Connection | None = None,
        *,
        valid_from: int | None = None,
        valid_until: int | None = None,
    ) -> dict[str, Any]:
        valid_from = valid_from or int(time.time()) - 3600
        return one(
            conn or self.officer,
            "SELECT * FROM core.obr_register_key(%s, %s, %s, to_timestamp(%s), to_timestamp(%s), %s, %s, 'RBNZ-1', 'test', NULL)",
            [key.name, key.kind, json.dumps(key.jwk), valid_from, valid_until, documents, SCOPE],
        )

    def add_key(
        self, key: Key, *signers: Key, valid_from: int | None = None, valid_until: int | None = None
    ) -> dict[str, Any]:
        """Register with two officers' word."""
        valid_from = valid_from or int(time.time()) - 3600
        times = {"valid_from": valid_from, "valid_until": valid_until}
        said = claims("add-key", key_id=key.key_id, key_name=key.name, key_kind=key.kind, **times)
        documents = [each.sign(said) for each in signers or (self.alice, self.bob)]
        return self.register(key, documents, valid_from=valid_from, valid_until=valid_until)

    def revoke(self, key: Key, *signers: Key) -> Any:
        said = claims("revoke-key", key_id=key.key_id, reason="lost")
        documents = [each.sign(said) for each in signers or (self.alice, self.bob)]
        return one(
            self.officer,
            "SELECT * FROM core.obr_revoke_key(%s, 'lost', %s, %s, 'RBNZ-1', 'test', NULL)",
            [key.key_id, documents, SCOPE],
        )

    def prepare(self) -> Resolution:
        self.register(self.alice)
        self.register(self.bob)
        self.add_key(self.rbnz)
        return self

    def activate(
        self,
        haircut: str = "0.25",
        *,
        de_minimis: str = "0.00",
        equal_shares: bool = False,
        key: str | None = None,
        documents: list[str] | None = None,
        conn: Connection | None = None,
        reference: str = "RBNZ-1",
    ) -> dict[str, Any]:
        if documents is None:
            said = claims(
                "activate", haircut=haircut, de_minimis=de_minimis, equal_shares=equal_shares, reference=reference
            )
            documents = [self.rbnz.sign(said)]
        return one(
            conn or self.officer,
            "SELECT (r.event).*, r.replayed FROM core.obr_activate(%s, %s, %s, %s, %s, %s, %s, 'test', 'trace', 'corr') AS r",
            [Decimal(haircut), Decimal(de_minimis), reference, key or new_key(), documents, equal_shares, SCOPE],
        )

    def release(self, percent: str, *, key: str | None = None, documents: list[str] | None = None) -> dict[str, Any]:
        documents = documents or [self.rbnz.sign(claims("release", percent=percent))]
        return one(
            self.officer,
            "SELECT (r.event).*, r.replayed FROM core.obr_release(%s, 'RBNZ-1', %s, %s, %s, 'test', NULL, NULL) AS r",
            [Decimal(percent), key or new_key(), documents, SCOPE],
        )

    def unwind(
        self,
        write_off: str | None = None,
        *,
        key: str | None = None,
        documents: list[str] | None = None,
        conn: Connection | None = None,
    ) -> dict[str, Any]:
        if documents is None:
            digest = None if write_off is None else hashlib.sha256(write_off.encode()).hexdigest()
            documents = [self.rbnz.sign(claims("unwind", permanent_haircut_sha256=digest))]
        return one(
            conn or self.officer,
            "SELECT (r.event).*, r.replayed FROM core.obr_unwind('RBNZ-1', %s, %s, %s, %s, 'test', NULL, NULL) AS r",
            [key or new_key(), documents, write_off, SCOPE],
        )

    def rearm(self, *, key: str | None = None, documents: list[str] | None = None) -> dict[str, Any]:
        documents = documents or [self.rbnz.sign(claims("rearm"))]
        return one(
            self.officer,
            "SELECT (r.event).*, r.replayed FROM core.obr_rearm('RBNZ-1', %s, %s, %s, 'test', NULL, NULL) AS r",
            [key or new_key(), documents, SCOPE],
        )

    def reconcile(self, conn: Connection | None = None) -> dict[str, Any]:
        return one(
            conn or self.app, "SELECT (r.event).*, r.differences FROM core.obr_reconcile('test', NULL, NULL) AS r", []
        )

    def customer(self, money: str, **more: Any) -> uuid.UUID:
        return open_customer(self.app, money=money, source=self.till, **more)

    def spend(self, account: uuid.UUID, amount: str, conn: Connection | None = None) -> uuid.UUID:
        return self.move(account, self.till, amount, conn)

    def pay_in(self, account: uuid.UUID, amount: str) -> uuid.UUID:
        return self.move(self.till, account, amount)

    def move(self, debit: uuid.UUID, credit: uuid.UUID, amount: str, conn: Connection | None = None) -> uuid.UUID:
        found = one(
            conn or self.app,
            "SELECT transaction_id FROM accounts.post_transaction(%s, %s, '{DEBIT,CREDIT}', %s)",
            [new_key(), [debit, credit], [Decimal(amount)] * 2],
        )
        return found["transaction_id"]

    def hold(self, account: uuid.UUID, amount: str, conn: Connection | None = None) -> uuid.UUID:
        text = "SELECT hold_id FROM accounts.create_hold(%s, %s, %s)"
        return one(conn or self.app, text, [account, Decimal(amount), new_key()])["hold_id"]

    def account(self, account: uuid.UUID) -> dict[str, Any]:
        text = (
            "SELECT balance::text, available_balance::text AS unheld, obr_partitioned AS partitioned,"
            " obr_frozen_amount::text AS frozen, obr_available_amount::text AS available, allows_debit"
            " FROM accounts.accounts WHERE account_id = %s"
        )
        return one(self.reader, text, [account])

    def split(self, account: uuid.UUID) -> tuple[str, str]:
        """Frozen and available."""
        found = self.account(account)
        return found["frozen"], found["available"]

    def state(self) -> dict[str, Any]:
        return one(self.reader, "SELECT * FROM core.obr_resolution_state", [])


def new_key() -> str:
    """An idempotency key that was not used yet."""
    return f"key-{uuid.uuid4()}"


def one(conn: Connection, text: str, values: list[Any]) -> dict[str, Any]:
    """The one row of a query."""
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(text.encode(), values).fetchone()
    assert found is not None
    return found


def refused(code: str, call: Callable[[], object]) -> psycopg.Error:
    """The call must fail, with this code."""
    with pytest.raises(psycopg.Error) as caught:
        call()
    assert caught.value.diag.constraint_name == code, str(caught.value)
    return caught.value


@pytest.fixture
def bare(bank: Bank) -> Resolution:
    """No keys yet."""
    return Resolution(bank)


@pytest.fixture
def obr(bare: Resolution) -> Resolution:
    """Ready for the day."""
    return bare.prepare()
