"""For any balances, shares, haircuts, debits and credits: sums hold to the cent, and nobody spends more than he may."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bank_database import Bank, open_customer
from ledger.proof import problems
from neonctl.banking.accounts import Holder, NewAccount, open_account
from obr.conftest import Resolution
from postgres_server import PostgresServer

CENT = Decimal("0.01")
cents = st.integers(0, 200_000).map(lambda n: n * CENT)


@dataclass(frozen=True)
class Case:
    """An account to split: what is on it, an overdraft that is drawn before, and how it is shared."""

    money: Decimal
    drawn: Decimal
    shares: tuple[Decimal, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    holders = draw(st.integers(1, 4))
    cuts = draw(st.lists(st.integers(1, 999_999), min_size=holders - 1, max_size=holders - 1, unique=True))
    edges = [0, *sorted(cuts), 1_000_000]
    shares = tuple(Decimal(b - a) / 10_000 for a, b in pairwise(edges))
    money, drawn = draw(cents), draw(st.sampled_from([Decimal(0), Decimal("50.00")]))
    return Case(money, Decimal(0) if money else drawn, shares)


def _down(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_DOWN)


def _split(case: Case, balance: Decimal, haircut: Decimal, de_minimis: Decimal) -> Decimal:
    """What is frozen of it, by the rule in docs/concepts/resolution.md, written anew."""
    parts = [_down(balance * share / 100) for share in case.shares[:-1]]
    parts.append(balance - sum(parts))
    return sum((_down(max(part - de_minimis, Decimal(0)) * haircut) for part in parts), Decimal(0))


@pytest.fixture(scope="module")
def lasting(postgres_server: PostgresServer, bank_template: str) -> Generator[Resolution]:
    """One bank for all examples: each ends it where it began."""
    with postgres_server.database(bank_template) as name:
        bank = Bank(postgres_server, name)
        yield Resolution(bank).prepare()
        bank.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    accounts=st.lists(cases(), min_size=1, max_size=4),
    haircut=st.integers(0, 10_000).map(lambda n: Decimal(n) / 10_000),
    de_minimis=st.sampled_from([Decimal(0), Decimal("0.01"), Decimal("100.00")]),
    moves=st.lists(st.tuples(st.integers(0, 3), st.booleans(), cents), max_size=12),
    percent=st.one_of(st.none(), st.integers(1, 10_000).map(lambda n: Decimal(n) / 100)),
)
def test_sums_hold_and_nobody_spends_more(
    lasting: Resolution,
    accounts: list[Case],
    haircut: Decimal,
    de_minimis: Decimal,
    moves: list[tuple[int, bool, Decimal]],
    percent: Decimal | None,
) -> None:
    obr = lasting
    ids = [_opened(obr, case) for case in accounts]
    obr.activate(str(haircut), de_minimis=str(de_minimis))
    room: list[Decimal] = []  # what may still be spent
    frozen: list[Decimal] = []
    for account, case in zip(ids, accounts, strict=True):
        balance = case.money - case.drawn
        expected = _split(case, balance, haircut, de_minimis) if balance > 0 else Decimal(0)
        assert obr.split(account) == (f"{expected:.2f}", f"{max(balance, Decimal(0)) - expected:.2f}")
        frozen.append(expected)
        room.append(balance - expected)
    for number, (which, debit, amount) in enumerate(moves):
        if percent is not None and number == len(moves) // 2:
            _release(obr, ids, percent, room, frozen)
            percent = None
        account = which % len(ids)
        if not amount:
            continue
        if not debit:
            obr.pay_in(ids[account], str(amount))
            room[account] += amount
            continue
        try:
            obr.spend(ids[account], str(amount))
        except psycopg.Error as error:
            assert error.diag.constraint_name == "OBR_FROZEN_BALANCE"
            assert amount > room[account]
        else:
            assert amount <= room[account]
            room[account] -= amount
    for account, left, kept in zip(ids, room, frozen, strict=True):
        assert obr.split(account) == (f"{kept:.2f}", f"{max(left, Decimal(0)):.2f}")
    assert obr.reconcile()["differences"] == 0
    obr.unwind()
    assert obr.reconcile()["differences"] == 0
    obr.rearm()


def test_and_the_ledger_is_whole_afterwards(lasting: Resolution) -> None:
    assert problems(lasting.bank) == []  # pyright: ignore[reportArgumentType]


def _opened(obr: Resolution, case: Case) -> uuid.UUID:
    if case.drawn:
        account = open_customer(obr.app, overdraft="100.00")
        obr.spend(account, str(case.drawn))
        return account
    holders = [Holder(uuid.UUID(int=n), share) for n, share in enumerate(case.shares)]
    account = open_account(obr.app, NewAccount("NZD", "NZ", holders, overdraft_limit=Decimal("100.00"))).account_id
    if case.money:
        obr.pay_in(account, str(case.money))
    return account


def _release(
    obr: Resolution, ids: list[uuid.UUID], percent: Decimal, room: list[Decimal], frozen: list[Decimal]
) -> None:
    obr.release(str(percent))
    for number, account in enumerate(ids):
        row = obr.reader.execute(
            "SELECT sum(trunc(h.frozen_amount * (100 - %s) / 100, 2)) FROM core.obr_holder_partitions h, core.obr_resolution_state s"
            " WHERE h.account_id = %s AND h.event_id = s.activation_event_id",
            [percent, account],
        ).fetchone()
        assert row is not None
        assert isinstance(row[0], Decimal)
        room[number] += frozen[number] - row[0]
        frozen[number] = row[0]
