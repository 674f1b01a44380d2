"""Many connections at once: nothing is lost, nothing is spent twice, nobody waits for ever."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable

import psycopg

from ledger.conftest import Bank, Teller
from ledger.proof import problems


def _together(bank: Bank, works: list[Callable[[Teller], None]]) -> list[BaseException]:
    """Each on a thread and connection of its own, started at once; what they raised."""
    start, raised = threading.Barrier(len(works)), list[BaseException]()
    tellers = [Teller(bank, bank.connect("app_user")) for _ in works]

    def run(work: Callable[[Teller], None], teller: Teller) -> None:
        start.wait()
        try:
            work(teller)
        except psycopg.Error as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(works, tellers, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def _codes(raised: list[BaseException]) -> list[str | None]:
    return [error.diag.constraint_name or error.sqlstate for error in raised if isinstance(error, psycopg.Error)]


def test_crossing_transfers_neither_deadlock_nor_lose_money(bank: Bank, teller: Teller) -> None:
    accounts = [teller.open(money="1000") for _ in range(4)]

    def work(seed: int) -> Callable[[Teller], None]:
        def run(mine: Teller) -> None:
            draw = random.Random(seed)
            for _ in range(40):
                legs = draw.sample(accounts, draw.randint(2, 4))
                mine.post([(legs[0], "DEBIT", f"{len(legs) - 1}"), *((other, "CREDIT", "1") for other in legs[1:])])

        return run

    assert _together(bank, [work(seed) for seed in range(8)]) == []
    row = teller.conn.execute("SELECT sum(balance)::text, sum(log_seq) FROM accounts.accounts").fetchone()
    assert row is not None
    assert row[0] == "0.00"
    assert problems(bank) == []


def test_the_last_ten_dollars_are_spent_once(bank: Bank, teller: Teller) -> None:
    account, till = teller.open(money="10"), teller.internal()

    def spend(mine: Teller) -> None:
        mine.move(account, till, "6")

    def hold(mine: Teller) -> None:
        while True:
            try:
                mine.hold(account, "6")
                return
            except psycopg.Error as error:
                if error.diag.constraint_name != "CONCURRENT_MODIFICATION":
                    raise

    raised = _together(bank, [spend, hold, spend, hold, spend, hold])
    assert _codes(raised) == ["INSUFFICIENT_FUNDS"] * 5
    assert problems(bank) == []


def test_one_key_from_many_hands_posts_once(bank: Bank, teller: Teller) -> None:
    a, b, key = teller.open(money="100"), teller.open(), bank.key()
    answers: list[uuid.UUID] = []
    assert _together(bank, [lambda mine: answers.append(mine.move(a, b, "10", key))] * 8) == []
    assert len(set(answers)) == 1
    assert teller.balance(a) == ("90.00", "90.00")


def test_one_transaction_is_reversed_once_by_many(bank: Bank, teller: Teller) -> None:
    a, b = teller.open(money="100"), teller.open(money="100")
    transaction = teller.move(a, b, "10")
    raised = _together(bank, [lambda mine: (mine.reverse(transaction), None)[1]] * 6)
    assert _codes(raised) == ["ALREADY_REVERSED"] * 5
    assert teller.balance(a)[0] == "100.00"
    assert problems(bank) == []


def test_one_hold_is_released_once_by_many(bank: Bank, teller: Teller) -> None:
    account = teller.open(money="10")
    hold = teller.hold(account, "10")
    done: list[bool] = []
    assert _together(bank, [lambda mine: done.append(mine.release(hold))] * 6) == []
    assert sorted(done) == [False] * 5 + [True]
    assert teller.balance(account) == ("10.00", "10.00")


def test_two_that_add_holders_at_once_do_not_exceed_the_whole(bank: Bank, teller: Teller) -> None:
    account = teller.internal()

    def add(mine: Teller) -> None:
        mine.conn.execute(
            "INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)"
            " VALUES (%s, gen_random_uuid(), 'HOLDER', 100)",
            [account],
        )

    assert _codes(_together(bank, [add] * 4)) == ["SHARES_NOT_100"] * 3


def test_repeatable_read_gives_a_retryable_error_not_a_wrong_balance(bank: Bank, teller: Teller) -> None:
    a, b = teller.open(money="10"), teller.open()
    stale = bank.connect("app_user")
    stale.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with stale.transaction():
        stale.execute("SELECT FROM accounts.accounts")
        teller.move(a, b, "10")
        try:
            Teller(bank, stale).move(a, b, "10")
        except psycopg.errors.SerializationFailure:
            pass
        else:
            raise AssertionError("spent twice")
    assert problems(bank) == []
