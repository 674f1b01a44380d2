"""Random work from several sessions against a plain Python model: after each step both say the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bank_database import Bank, Connection
from neonctl.banking.accounts import Holder, NewAccount, open_account, set_status
from neonctl.banking.balances import balance_at, balances_by_party, get_balance
from neonctl.banking.holds import create_hold, list_holds, release_hold, sweep_holds
from neonctl.banking.outbox import Event
from neonctl.banking.posting import Leg, post, reverse, transfer
from neonctl.banking.relay import relay
from neonctl.banking.seals import seal_ledger
from neonctl.banking.verification import verify_ledger
from neonctl.errors import NeonctlError

SESSIONS = 3
CENTS = st.integers(1, 5_000).map(lambda cents: Decimal(cents).scaleb(-2))
WHO = st.integers(0, 5)
SESSION = st.integers(0, SESSIONS - 1)


@dataclass
class Account:
    """What the model knows of an account."""

    id: UUID
    internal: bool = False
    overdraft: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)
    version: int = 0
    debits: bool = True
    credits: bool = True
    holds: dict[UUID, Decimal] = field(default_factory=dict)

    @property
    def available(self) -> Decimal:
        return self.balance - sum(self.holds.values())

    def could_spend(self, amount: Decimal) -> bool:
        return self.internal or self.available + self.overdraft >= amount


class Ledger(RuleBasedStateMachine):
    """The real ledger beside a model of it."""

    bank: Bank

    @initialize()
    def begin(self) -> None:
        self.sessions: list[Connection] = [self.bank.connect("app_user") for _ in range(SESSIONS)]
        self.party = uuid4()
        cash = open_account(self.sessions[0], NewAccount("NZD", "NZ", internal=True)).account_id
        self.accounts = [Account(cash, internal=True)]
        self.done: list[tuple[str, tuple[Leg, ...], UUID]] = []
        self.reversed: set[UUID] = set()
        self.over: list[UUID] = []
        self.moments: list[tuple[datetime, dict[UUID, Decimal]]] = []
        self.told: dict[str, list[int]] = {}

    def teardown(self) -> None:
        if hasattr(self, "sessions"):
            found = verify_ledger(self.door, jobs=1)
            assert found.intact, found.faults
            for session in self.sessions:
                session.close()

    @contextmanager
    def door(self) -> Iterator[Connection]:
        with self.bank.connect("readonly") as conn:
            yield conn

    def pick(self, number: int) -> Account:
        return self.accounts[number % len(self.accounts)]

    def expect(self, work, *, fine: bool):
        """What ``work`` gives, or None when it was refused; both as the model foresaw."""
        try:
            found = work()
        except NeonctlError as refused:
            assert not fine, (refused.code, refused.message)
            return None
        assert fine, "the model would have refused it"
        return found

    def would_post(self, legs: tuple[Leg, ...]) -> bool:
        known = {account.id: account for account in self.accounts}
        change: dict[UUID, Decimal] = {}
        for leg in legs:
            change[leg.account_id] = change.get(leg.account_id, Decimal(0)) + (
                leg.amount if leg.entry_type == "CREDIT" else -leg.amount
            )
        standing = all(
            known[leg.account_id].debits if leg.entry_type == "DEBIT" else known[leg.account_id].credits for leg in legs
        )
        debited = {leg.account_id for leg in legs if leg.entry_type == "DEBIT"}
        funds = all(known[account].could_spend(-change[account]) for account in debited)
        return sum(change.values()) == 0 and standing and funds

    def apply(self, key: str, legs: tuple[Leg, ...], transaction: UUID) -> None:
        known = {account.id: account for account in self.accounts}
        for leg in legs:
            known[leg.account_id].balance += leg.amount if leg.entry_type == "CREDIT" else -leg.amount
            known[leg.account_id].version += 1
        self.done.append((key, legs, transaction))

    @precondition(lambda self: len(self.accounts) < 6)
    @rule(session=SESSION, overdraft=st.sampled_from(["0.00", "25.00"]), money=CENTS)
    def open(self, session: int, overdraft: str, money: Decimal) -> None:
        wanted = NewAccount("NZD", "NZ", (Holder(self.party),), overdraft_limit=Decimal(overdraft))
        account = Account(open_account(self.sessions[session], wanted).account_id, overdraft=Decimal(overdraft))
        self.accounts.append(account)
        legs = transfer(self.accounts[0].id, account.id, money)
        key, fine = str(uuid4()), self.would_post(legs)
        posted = self.expect(lambda: post(self.sessions[session], legs, idempotency_key=key), fine=fine)
        if posted is not None:
            self.apply(key, legs, posted.transaction_id)

    @rule(session=SESSION, entries=st.lists(st.tuples(WHO, st.booleans(), CENTS), min_size=1, max_size=4), last=WHO)
    def post(self, session: int, entries: list[tuple[int, bool, Decimal]], last: int) -> None:
        legs = [Leg(self.pick(who).id, "DEBIT" if debit else "CREDIT", amount) for who, debit, amount in entries]
        rest = sum((leg.amount if leg.entry_type == "DEBIT" else -leg.amount for leg in legs), Decimal(0))
        if rest:
            legs.append(Leg(self.pick(last).id, "CREDIT" if rest > 0 else "DEBIT", abs(rest)))
        whole, key = tuple(legs), str(uuid4())
        fine = len(whole) >= 2 and self.would_post(whole)
        posted = self.expect(lambda: post(self.sessions[session], whole, idempotency_key=key), fine=fine)
        if posted is not None:
            self.apply(key, whole, posted.transaction_id)

    @precondition(lambda self: self.done)
    @rule(session=SESSION, which=st.integers(0, 50), other=st.booleans())
    def again(self, session: int, which: int, other: bool) -> None:
        key, legs, transaction = self.done[which % len(self.done)]
        if other:
            legs = (*legs[1:], legs[0]) if legs[0] != legs[1] else legs[:-1]
            self.expect(lambda: post(self.sessions[session], legs, idempotency_key=key), fine=False)
        elif not key.startswith("back-"):
            found = post(self.sessions[session], legs, idempotency_key=key)
            assert (found.replayed, found.transaction_id) == (True, transaction)

    @precondition(lambda self: self.done)
    @rule(session=SESSION, which=st.integers(0, 50))
    def reverse(self, session: int, which: int) -> None:
        key, legs, transaction = self.done[which % len(self.done)]
        mirror = tuple(
            Leg(leg.account_id, "CREDIT" if leg.entry_type == "DEBIT" else "DEBIT", leg.amount) for leg in legs
        )
        fine = transaction not in self.reversed and not key.startswith("back-") and self.would_post(mirror)
        new = f"back-{uuid4()}"
        found = self.expect(lambda: reverse(self.sessions[session], transaction, idempotency_key=new), fine=fine)
        if found is not None:
            self.reversed.add(transaction)
            self.apply(new, mirror, found.transaction_id)

    @rule(session=SESSION, who=WHO, amount=CENTS)
    def hold(self, session: int, who: int, amount: Decimal) -> None:
        account, key = self.pick(who), str(uuid4())
        fine = account.debits and account.could_spend(amount)
        found = self.expect(
            lambda: create_hold(self.sessions[session], account.id, amount, idempotency_key=key), fine=fine
        )
        if found is not None:
            account.version += 1
            account.holds[found.hold_id] = amount
            assert found.account_version == account.version
            assert create_hold(self.sessions[session], account.id, amount, idempotency_key=key).replayed

    @rule(session=SESSION, who=WHO)
    def hold_that_expires_at_once(self, session: int, who: int) -> None:
        account = self.pick(who)
        if not (account.debits and account.could_spend(Decimal("0.01"))):
            return
        conn = self.sessions[session]
        ttl = timedelta(microseconds=1000)
        found = create_hold(conn, account.id, Decimal("0.01"), idempotency_key=str(uuid4()), ttl=ttl)
        while conn.execute("SELECT clock_timestamp() <= %s", (found.expires_at,)).fetchone() == (True,):
            pass
        assert [hold.hold_id for batch in sweep_holds(conn) for hold in batch] == [found.hold_id]
        account.version += 2
        self.over.append(found.hold_id)

    @precondition(lambda self: any(account.holds for account in self.accounts))
    @rule(session=SESSION, data=st.data())
    def release(self, session: int, data: st.DataObject) -> None:
        held = [(account, hold) for account in self.accounts for hold in account.holds]
        account, hold = data.draw(st.sampled_from(held))
        assert release_hold(self.sessions[session], hold, "DONE").released
        assert not release_hold(self.sessions[session], hold, "AGAIN").released
        del account.holds[hold]
        account.version += 1
        self.over.append(hold)

    @rule(session=SESSION, who=st.integers(1, 5), frozen=st.booleans())
    def standing(self, session: int, who: int, frozen: bool) -> None:
        account = self.pick(who)
        reason = "FROZEN" if frozen else None
        changed = set_status(
            self.sessions[session], account.id, "RESTRICTED" if frozen else "ACTIVE", restriction_reason=reason
        )
        assert changed.changed == (frozen is account.debits)
        account.version += changed.changed
        account.debits = account.credits = not frozen

    @rule(work=st.lists(st.tuples(WHO, WHO, CENTS), min_size=3, max_size=9))
    def at_once(self, work: list[tuple[int, int, Decimal]]) -> None:
        """Transfers from all sessions at the same time. Whichever are refused: what was done adds up."""
        moves = [transfer(self.pick(one).id, self.pick(other).id, amount) for one, other, amount in work]

        def run(session: int) -> list[tuple[str, tuple[Leg, ...], UUID]]:
            found = []
            for legs in moves[session::SESSIONS]:
                key = str(uuid4())
                try:
                    found.append((key, legs, post(self.sessions[session], legs, idempotency_key=key).transaction_id))
                except NeonctlError as error:
                    assert error.code in {"INSUFFICIENT_FUNDS", "ACCOUNT_FROZEN"}, error.code
            return found

        with ThreadPoolExecutor(SESSIONS) as pool:
            for each in pool.map(run, range(SESSIONS)):
                for key, legs, transaction in each:
                    self.apply(key, legs, transaction)
        for account in self.accounts:
            assert account.could_spend(Decimal(0)) or account.balance < 0

    @rule(session=SESSION)
    def remember(self, session: int) -> None:
        (moment,) = self.sessions[session].execute("SELECT clock_timestamp()").fetchone()  # pyright: ignore[reportGeneralTypeIssues]
        self.moments.append((moment, {account.id: account.balance for account in self.accounts}))

    @precondition(lambda self: self.moments)
    @rule(session=SESSION, which=st.integers(0, 50))
    def recall(self, session: int, which: int) -> None:
        moment, balances = self.moments[which % len(self.moments)]
        for account, balance in balances.items():
            past = balance_at(self.sessions[session], account, moment)
            assert (past.balance, past.differences) == (balance, ())

    @rule(session=SESSION)
    def seal(self, session: int) -> None:
        seal_ledger(self.sessions[session])

    @rule(session=SESSION)
    def publish(self, session: int) -> None:
        def take(events: list[Event]) -> list[None]:
            for event in events:
                if event.event_type == "bank.core.balance_updated":
                    self.told.setdefault(event.payload["account_id"], []).append(event.payload["version"])
            return [None] * len(events)

        relay(self.sessions[session], take)
        for versions in self.told.values():
            assert versions == sorted(set(versions))

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "accounts"):
            return
        conn = self.sessions[0]
        found = {each.account_id: each for each in balances_by_party(conn, self.party)}
        found[self.accounts[0].id] = get_balance(conn, self.accounts[0].id)  # pyright: ignore[reportArgumentType]
        for account in self.accounts:
            now = found[account.id]
            assert (now.balance, now.available_balance, now.version) == (
                account.balance,
                account.available,
                account.version,
            )
        listed = {hold.hold_id: hold.amount for account in self.accounts for hold in list_holds(conn, account.id)}
        assert listed == {hold: amount for account in self.accounts for hold, amount in account.holds.items()}
        assert sum(account.balance for account in self.accounts) == 0


def test_the_ledger_does_what_its_model_does(bank):
    Ledger.bank = bank
    # Without shrinking: a failure would take minutes, and its steps can be read as they are.
    wanted = settings(
        max_examples=12,
        stateful_step_count=25,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate],
    )
    run_state_machine_as_test(Ledger, settings=wanted)


def test_a_wrong_model_is_found_out(bank):
    """The machine would notice: a ledger that charges a cent too much fails it."""

    class Wrong(Ledger):
        def apply(self, key, legs, transaction):
            super().apply(key, legs, transaction)
            self.accounts[0].balance += Decimal("0.01")

    Wrong.bank = bank
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Wrong, settings=settings(max_examples=5, stateful_step_count=6, database=None, phases=[Phase.generate])
        )
