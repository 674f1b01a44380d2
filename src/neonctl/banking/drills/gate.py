"""The gate, tried from outside: postings and holds as the application sends them, on an activated copy.

Each is taken back at once, but for one pair that is committed: a credit, and the spending of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import Currency, NewAccount, open_account
from neonctl.banking.drills.report import Probe
from neonctl.banking.holds import create_hold
from neonctl.banking.posting import post, transfer
from neonctl.banking.statement import patiently, rows
from neonctl.errors import NeonctlError, RetryableError, ServiceError

Connection = psycopg.Connection[TupleRow]
Doing = Literal["debit", "credit", "hold"]
Kind = Literal["plain", "overseas", "joint", "held", "overdraft", "overdrawn", "notice"]

FROZEN: Final = "OBR_FROZEN_BALANCE"
DONE: Final = "done"
ABSENT: Final = "no such account"
EMPTY: Final = "nothing is available"
_DOING: Final = "trying the gate"
_CURRENCIES: Final[Sequence[Currency]] = ("NZD", "AUD")
_CENT, _CREDIT = Decimal("0.01"), Decimal("10.00")


@dataclass(frozen=True)
class Account:
    """A customer's account that stands for all of its kind. ``spendable``: what it may spend now."""

    kind: str
    account_id: UUID
    currency: str
    spendable: Decimal


@dataclass(frozen=True)
class Step:
    """One posting or hold, and what must become of it. ``amount`` None: all that may be spent."""

    doing: Doing
    amount: Decimal | None
    expected: str
    over: Decimal = Decimal("0.00")  # beyond it

    def amount_on(self, account: Account) -> Decimal:
        """What is sent."""
        return (account.spendable if self.amount is None else self.amount) + self.over


@dataclass(frozen=True)
class Trial:
    """Steps one after the other on an account of a kind, taken back afterwards."""

    name: str
    kind: Kind
    statement: str
    steps: Sequence[Step]


_ALL = Step("debit", None, DONE)
_CENT_MORE = Step("debit", _CENT, FROZEN)

TRIALS: Final[Sequence[Trial]] = (
    Trial("within", "plain", "A customer spends all that is available", [_ALL]),
    Trial(
        "beyond",
        "plain",
        "A customer tries to spend one cent more than is available",
        [Step("debit", None, FROZEN, over=_CENT)],
    ),
    Trial("in_parts", "plain", "Having spent all, the customer tries one cent more", [_ALL, _CENT_MORE]),
    Trial(
        "credit_spent",
        "plain",
        "Having spent all, the customer is paid, spends exactly that, and tries one cent more",
        [_ALL, Step("credit", _CREDIT, DONE), Step("debit", _CREDIT, DONE), _CENT_MORE],
    ),
    Trial("internal", "plain", "An account of the bank's own pays out below zero", [Step("credit", _CREDIT, DONE)]),
    Trial("hold", "plain", "All that is available is held", [Step("hold", None, DONE)]),
    Trial("hold_beyond", "plain", "One cent more than is available is held", [Step("hold", None, FROZEN, over=_CENT)]),
    Trial("held", "held", "A customer with a hold spends what it leaves, and tries one cent more", [_ALL, _CENT_MORE]),
    Trial("joint", "joint", "Holders of a joint account spend all, and try one cent more", [_ALL, _CENT_MORE]),
    Trial("overseas", "overseas", "The same on an account that is not in NZD", [_ALL, _CENT_MORE]),
    Trial("overdraft", "overdraft", "A customer tries to use an overdraft while resolved", [_ALL, _CENT_MORE]),
    Trial(
        "overdrawn",
        "overdrawn",
        "An overdrawn customer tries one cent, and is paid",
        [_CENT_MORE, Step("credit", _CREDIT, DONE)],
    ),
    Trial("notice", "notice", "A customer under notice of withdrawal spends what is available", [_ALL]),
)


class Gate:
    """The application's session on the copy. ``token`` makes its idempotency keys nobody else's."""

    def __init__(self, app: Connection, token: str) -> None:
        self._app = app
        self._token = token
        self._sent = 0
        self._tills: Mapping[str, UUID] = {}
        self.accounts: Mapping[str, Account] = {}

    def open_tills(self) -> None:
        """Accounts of the bank's own, the other side of every posting: opened before anything is compared."""
        self._tills = {
            currency: open_account(self._app, NewAccount(currency, "NZ", internal=True)).account_id
            for currency in _CURRENCIES
        }

    def choose(self, reader: Connection) -> None:
        """One customer's account of each kind, after activation. It may take longer than the application may."""
        with patiently(reader, _DOING):
            self.accounts = {each.kind: each for each in rows(reader, "drill", "candidates", Account, doing=_DOING)}

    def try_all(self) -> Iterator[Probe]:
        """Every trial, each taken back. Raises ``ServiceError`` and ``RetryableError``: then nothing was shown."""
        for trial in TRIALS:
            account = self.accounts.get(trial.kind)
            # Where nothing is available, as after a haircut of all, there is nothing to spend.
            steps = [step for step in trial.steps if account is None or step.amount_on(account) > 0]
            expected = ", ".join(step.expected for step in steps or trial.steps)
            if account is None or not steps:
                yield Probe(trial.name, trial.statement, expected, ABSENT if account is None else EMPTY, None)
                continue
            with self._app.transaction(force_rollback=True):
                found = ", ".join(self._step(step, account) for step in steps)
            yield Probe(trial.name, trial.statement, expected, found, found == expected)

    def pay_and_spend(self) -> tuple[Probe, Sequence[UUID]]:
        """A credit and its spending, committed: what the ledger is verified for afterwards, with those accounts."""
        steps = (Step("credit", _CREDIT, DONE), Step("debit", _CREDIT, DONE))
        statement, expected = "A customer is paid and spends that, for good", ", ".join(s.expected for s in steps)
        account = self.accounts.get("plain")
        if account is None:
            return Probe("committed", statement, expected, ABSENT, None), ()
        found = ", ".join(self._step(step, account) for step in steps)
        touched = (account.account_id, self._tills[account.currency])
        return Probe("committed", statement, expected, found, found == expected), touched

    def _step(self, step: Step, account: Account) -> str:
        amount = step.amount_on(account)
        self._sent += 1
        key, till = f"drill-{self._token}-{self._sent}", self._tills[account.currency]
        try:
            with self._app.transaction():
                if step.doing == "hold":
                    create_hold(self._app, account.account_id, amount, idempotency_key=key)
                elif step.doing == "debit":
                    post(self._app, transfer(account.account_id, till, amount), idempotency_key=key)
                else:
                    post(self._app, transfer(till, account.account_id, amount), idempotency_key=key)
        except (ServiceError, RetryableError):
            raise
        except NeonctlError as refused:
            return refused.code
        return DONE
