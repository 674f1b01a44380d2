"""Random operations from several connections against a plain Python ledger: they agree after every step."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ledger.conftest import Bank, Teller
from ledger.proof import problems
from postgres_server import PostgresServer

_CENT = Decimal("0.01")
_amounts = st.sampled_from([1, 250, 1000, 1999, 2500]).map(lambda cents: cents * _CENT)
_who = st.integers(0, 4)


@dataclass
class Book:
    """What an account should be."""

    internal: bool = False
    overdraft: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)
    status: str = "ACTIVE"
    holds: dict[uuid.UUID, Decimal] = field(default_factory=dict[uuid.UUID, Decimal])

    @property
    def available(self) -> Decimal:
        return self.balance - sum(self.holds.values(), Decimal(0))

    def takes(self, entry: str) -> bool:
        if self.status == "RESTRICTED":  # without a reason: gains only
            return entry == "CREDIT"
        return self.status == "ACTIVE"


class Machine(RuleBasedStateMachine):
    """One database for one sequence of steps; ``server`` and ``template`` are set by the test."""

    server: PostgresServer
    template: str

    @initialize()
    def start(self) -> None:
        self.stack = ExitStack()
        name = self.stack.enter_context(self.server.database(self.template))
        self.bank = Bank(self.server, name, self.stack)
        self.tellers = [Teller(self.bank, self.bank.connect("app_user")) for _ in range(3)]
        first = self.tellers[0]
        self.ids = [first.internal(), first.open(), first.open(overdraft="10"), first.open(), first.open()]
        self.books = [Book(internal=True), Book(), Book(overdraft=Decimal(10)), Book(), Book()]
        for who in self.ids[1:]:  # some money to quarrel about
            first.move(self.ids[0], who, "25")
        for book in self.books:
            book.balance = Decimal(-100) if book.internal else Decimal(25)
        self.posted: dict[str, tuple[list[tuple[int, str, Decimal]], uuid.UUID]] = {}
        self.reversed: set[uuid.UUID] = set()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def _fits(self, legs: list[tuple[int, str, Decimal]]) -> str | None:
        for who, entry, _ in legs:
            if not self.books[who].takes(entry):
                return "standing"
        for who, book in enumerate(self.books):
            change = sum((a if e == "CREDIT" else -a for w, e, a in legs if w == who), Decimal(0))
            debited = any(w == who and e == "DEBIT" for w, e, _ in legs)
            if debited and not book.internal and book.available + change + book.overdraft < 0:
                return "INSUFFICIENT_FUNDS"
        return None

    def _book(self, legs: list[tuple[int, str, Decimal]]) -> None:
        for who, entry, amount in legs:
            self.books[who].balance += amount if entry == "CREDIT" else -amount

    @rule(
        teller=st.integers(0, 2),
        payers=st.lists(st.tuples(_who, _amounts), min_size=1, max_size=3),
        payee=_who,
        n=st.integers(1, 2),
    )
    def post(self, teller: int, payers: list[tuple[int, Decimal]], payee: int, n: int) -> None:
        total = sum((amount for _, amount in payers), Decimal(0))
        gains = [(payee, "CREDIT", total)]
        if n == 2 and total > _CENT:
            gains = [(payee, "CREDIT", _CENT), ((payee + 1) % 5, "CREDIT", total - _CENT)]
        legs = [*((who, "DEBIT", amount) for who, amount in payers), *gains]
        key = self.bank.key()
        wrong = self._fits(legs)
        try:
            transaction, _ = self.tellers[teller].post([(self.ids[w], e, str(a)) for w, e, a in legs], key)
        except psycopg.Error as error:
            assert wrong is not None, error
            assert wrong == "standing" or error.diag.constraint_name == wrong, error
            return
        assert wrong is None, legs
        self._book(legs)
        self.posted[key] = (legs, transaction)

    @rule(data=st.data(), teller=st.integers(0, 2))
    def post_again(self, data: st.DataObject, teller: int) -> None:
        if self.posted:
            key = data.draw(st.sampled_from(sorted(self.posted)))
            legs, transaction = self.posted[key]
            again = self.tellers[teller].post([(self.ids[w], e, str(a)) for w, e, a in legs], key)
            assert again == (transaction, True)

    @rule(data=st.data(), teller=st.integers(0, 2))
    def reverse(self, data: st.DataObject, teller: int) -> None:
        if not self.posted:
            return
        legs, transaction = self.posted[data.draw(st.sampled_from(sorted(self.posted)))]
        back = [(w, "DEBIT" if e == "CREDIT" else "CREDIT", a) for w, e, a in legs]
        fits = transaction not in self.reversed and self._fits(back) is None
        try:
            self.tellers[teller].reverse(transaction)
        except psycopg.Error as error:
            assert not fits, error
            return
        assert fits
        self._book(back)
        self.reversed.add(transaction)

    @rule(teller=st.integers(0, 2), who=st.integers(1, 4), amount=_amounts)
    def hold(self, teller: int, who: int, amount: Decimal) -> None:
        book = self.books[who]
        fits = book.takes("DEBIT") and book.available + book.overdraft >= amount
        try:
            hold = self.tellers[teller].hold(self.ids[who], str(amount))
        except psycopg.Error as error:
            assert not fits, error
            return
        assert fits
        book.holds[hold] = amount

    @rule(teller=st.integers(0, 2), who=st.integers(1, 4), data=st.data())
    def release(self, teller: int, who: int, data: st.DataObject) -> None:
        holds = self.books[who].holds
        if holds:
            hold = data.draw(st.sampled_from(sorted(holds)))
            assert self.tellers[teller].release(hold)
            assert not self.tellers[teller].release(hold)
            del holds[hold]

    @rule(who=st.integers(1, 4))
    def hold_all_and_spend(self, who: int) -> None:
        if self.books[who].available > 0:
            self.hold(0, who, self.books[who].available)
            self.post(1, [(who, Decimal("10.01"))], 0, 1)  # more than any overdraft

    @rule(who=st.integers(1, 4), status=st.sampled_from(["ACTIVE", "ACTIVE", "RESTRICTED", "DORMANT"]))
    def stand(self, who: int, status: str) -> None:
        self.tellers[0].status(self.ids[who], status)
        self.books[who].status = status

    @rule()
    def seal(self) -> None:
        self.tellers[1].conn.execute("SELECT core.seal_log()")

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "books"):
            found = dict(
                self.tellers[0]
                .conn.execute("SELECT account_id, ARRAY[balance, available_balance] FROM accounts.accounts")
                .fetchall()  # pyright: ignore[reportArgumentType]
            )
            assert found == {who: [b.balance, b.available] for who, b in zip(self.ids, self.books, strict=True)}
            with self.server.connect(self.bank.database, "bank_core_readonly") as reader:
                assert problems(self.bank, reader) == []


@pytest.fixture
def machine(ledger_server: PostgresServer, ledger_template: str) -> Generator[type[Machine]]:
    return type("OnThisServer", (Machine,), {"server": ledger_server, "template": ledger_template})


def test_the_database_and_a_plain_model_agree(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
